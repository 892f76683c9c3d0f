import types

import keras
import numpy as np
import pytest

from keras_electra.data.rows import TextPreprocessor
from keras_electra.data.rows import split_windows
from tests import checks


def test_short_texts_are_one_window():
    assert split_windows(0, 4) == []
    assert split_windows(3, 4) == [(0, 3, 0, 3)]
    assert split_windows(4, 4) == [(0, 4, 0, 4)]


def test_long_texts_overlap_by_half():
    assert split_windows(7, 4) == [(0, 4, 0, 3), (2, 6, 3, 4), (3, 7, 4, 7)]


@pytest.mark.parametrize("room", [1, 2, 5, 8])
def test_every_token_is_judged_once_and_read(room):
    for count in range(1, 40):
        windows = split_windows(count, room)
        judged = [i for *_, a, b in windows for i in range(a, b)]
        assert judged == list(range(count))
        for start, stop, first, last in windows:
            assert 0 <= start <= first <= last <= stop <= count
            assert stop - start <= room


def read(x):
    x = {name: keras.ops.convert_to_numpy(array) for name, array in x.items()}
    return {name: array.astype("int32").tolist() for name, array in x.items()}


@pytest.fixture(scope="module")
def preprocess():
    return TextPreprocessor(checks.tiny_tokenizer(), sequence_length=7)


def test_one_text(preprocess):
    assert read(preprocess("the chef")) == {
        "token_ids": [2, 5, 6, 3, 0, 0, 0],
        "segment_ids": [0] * 7,
        "padding_mask": [1, 1, 1, 1, 0, 0, 0],
    }


def test_pairs_are_cut_evenly(preprocess):
    pair = (["the chef cooked"], ["a meal"])
    x = read(preprocess(pair, y=None))
    assert x["token_ids"] == [[2, 5, 6, 3, 12, 10, 3]]
    assert x["segment_ids"] == [[0, 0, 0, 0, 1, 1, 1]]


@pytest.mark.parametrize(
    "data",
    [
        ((["the", "chef"], ["a"]),),
        (["the", "chef"], [0]),
        (["the", "chef"], [0, 1], [1.0]),
    ],
)
def test_columns_must_be_equally_long(preprocess, data):
    class LabellingPreprocessor(TextPreprocessor):
        makes_labels = True

    labels = LabellingPreprocessor(preprocess.tokenizer, sequence_length=7)
    with pytest.raises(ValueError, match="different lengths"):
        labels(*data)


def test_packed_rows_and_labels_stay(preprocess):
    x = {"token_ids": np.ones((1, 7))}
    packed, y = preprocess(x, y=[1])
    assert packed["token_ids"] is x["token_ids"] and y == [1]


def test_length_can_be_changed():
    preprocess = TextPreprocessor(checks.tiny_tokenizer(), sequence_length=7)
    preprocess("the")
    preprocess.sequence_length = 4
    assert read(preprocess("the"))["token_ids"] == [2, 5, 3, 0]
    again = TextPreprocessor.from_config(preprocess.get_config())
    assert again.sequence_length == 4 and again.truncate == "round_robin"


def test_length_fits_the_network():
    def length(positions, **kwargs):
        config = {"config": {"max_sequence_length": positions}}
        loader = types.SimpleNamespace(config=config)
        kwargs = TextPreprocessor._add_missing_kwargs(
            loader, {"tokenizer": None, **kwargs}
        )
        return kwargs["sequence_length"]

    assert (length(128), length(900)) == (128, 512)
    assert length(128, sequence_length=9) == 9
