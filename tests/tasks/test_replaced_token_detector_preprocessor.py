import numpy as np
from keras import ops

from keras_electra.tasks.replaced_token_detector_preprocessor import (
    ElectraReplacedTokenDetectorPreprocessor,
)
from tests import checks

MASK = [[1, 1, 1, 1, 0, 0]]


def build():
    return ElectraReplacedTokenDetectorPreprocessor(
        checks.tiny_tokenizer(), sequence_length=6
    )


def test_padding_has_no_weight():
    y = np.zeros((1, 6), "int32")
    x, labels, weights = build()(["the chef"], y)
    assert labels is y
    assert np.array(ops.cast(weights, "int32")).tolist() == MASK
    x, _, weights = build()(["the chef"], y, y)
    assert weights is y


def test_packed_rows_stay_as_they_are():
    x = {"token_ids": np.ones((1, 6)), "padding_mask": np.array(MASK)}
    same, _, weights = build()(x, y=np.zeros((1, 6)))
    assert same["token_ids"] is x["token_ids"]
    assert weights.tolist() == MASK
