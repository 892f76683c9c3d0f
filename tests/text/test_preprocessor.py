import types

import keras
import numpy as np
import pytest

from keras_electra.text.preprocessor import TextPreprocessor
from keras_electra.text.preprocessor import add_sequence_length
from tests import checks


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
    def loader(positions):
        config = {"config": {"max_sequence_length": positions}}
        return types.SimpleNamespace(config=config)

    assert add_sequence_length(loader(128), {}) == {"sequence_length": 128}
    assert add_sequence_length(loader(900), {}) == {"sequence_length": 512}
    given = {"sequence_length": 9}
    assert add_sequence_length(loader(128), given) == given
