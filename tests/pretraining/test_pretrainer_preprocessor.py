import numpy as np
import pytest
from keras import ops

from keras_electra.pretraining.pretrainer_preprocessor import (
    ElectraPretrainerPreprocessor,
)
from tests import checks

# [CLS] the chef cook ##ed [SEP]
ROW = [2, 5, 6, 7, 8, 3]


def build(**kwargs):
    return ElectraPretrainerPreprocessor(
        checks.tiny_tokenizer(), **{"sequence_length": 8, **kwargs}
    )


def arrays(x):
    return {name: np.asarray(ops.convert_to_numpy(x[name])) for name in x}


def test_texts():
    x = arrays(build()(["The chef cooked", "a meal."]))
    assert set(x) == {"token_ids", "segment_ids", "padding_mask"}
    np.testing.assert_array_equal(
        x["token_ids"], [[*ROW, 0, 0], [2, 12, 10, 11, 3, 0, 0, 0]]
    )
    np.testing.assert_array_equal(x["padding_mask"], x["token_ids"] > 0)
    assert not np.any(x["segment_ids"])


def test_nothing_is_masked():
    assert not np.any(arrays(build()(["the chef"] * 4))["token_ids"] == 4)


def test_one_text():
    x = arrays(build()("the chef cooked"))
    np.testing.assert_array_equal(x["token_ids"], [*ROW, 0, 0])


def test_pairs():
    x = arrays(build()((["the chef"], ["ate"]), y=None))
    np.testing.assert_array_equal(x["token_ids"], [[2, 5, 6, 3, 9, 3, 0, 0]])
    np.testing.assert_array_equal(x["segment_ids"], [[0, 0, 0, 0, 1, 1, 0, 0]])


def test_long_texts_are_cut():
    x = arrays(build(sequence_length=5)(["the chef cooked a meal"]))
    np.testing.assert_array_equal(x["token_ids"], [[2, 5, 6, 7, 3]])


@pytest.mark.parametrize(
    "truncate, expected",
    [
        ("round_robin", [2, 5, 6, 3, 12, 10, 3]),
        ("waterfall", [2, 5, 6, 7, 3, 12, 3]),
    ],
)
def test_long_pairs_are_cut(truncate, expected):
    preprocessor = build(sequence_length=7, truncate=truncate)
    x = arrays(preprocessor((["the chef cook"], ["a meal ate"]), y=None))
    np.testing.assert_array_equal(x["token_ids"], [expected])


def test_length_can_be_changed_later():
    preprocessor = build()
    preprocessor(["the chef"])
    preprocessor.sequence_length = 4
    assert arrays(preprocessor(["the chef cooked"]))["token_ids"].shape == (
        1,
        4,
    )


def test_config():
    config = build(truncate="waterfall").get_config()
    copy = ElectraPretrainerPreprocessor.from_config(dict(config))
    assert copy.sequence_length == 8 and copy.truncate == "waterfall"
    again = copy.get_config()
    # Tokenizers are compared by their own test.
    for name in config.keys() - {"tokenizer"}:
        assert again[name] == config[name]
    default = ElectraPretrainerPreprocessor(checks.tiny_tokenizer())
    assert default.sequence_length == 128


def test_labels_pass():
    x, y = build()(["the chef"], [1])
    assert x["token_ids"].shape == (1, 8)
    assert list(y) == [1]


def test_arrays_stay():
    x = checks.ids(ROW)
    assert build()(x) is x
