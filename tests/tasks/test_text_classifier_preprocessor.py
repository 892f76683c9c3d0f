from keras import ops

from keras_electra.tasks.text_classifier import (
    ElectraTextClassifierPreprocessor,
)
from tests import checks


def test_pairs_have_two_segments():
    preprocess = ElectraTextClassifierPreprocessor(
        checks.tiny_tokenizer(), sequence_length=8
    )
    x = preprocess((["the chef"], ["ate a meal"]), y=None)
    assert ops.convert_to_numpy(x["token_ids"]).tolist() == [
        [2, 5, 6, 3, 9, 12, 10, 3]
    ]
    assert ops.convert_to_numpy(x["segment_ids"]).tolist() == [
        [0, 0, 0, 0, 1, 1, 1, 1]
    ]
    x, y = preprocess(["a meal"], [1])
    mask = ops.cast(x["padding_mask"], "int32")
    assert ops.convert_to_numpy(mask).tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
    assert list(y) == [1]


def test_a_text_alone_and_rows():
    preprocess = ElectraTextClassifierPreprocessor(
        checks.tiny_tokenizer(), sequence_length=4, truncate="waterfall"
    )
    x = preprocess("the chef")
    assert x["token_ids"].tolist() == [2, 5, 6, 3]
    assert preprocess(x) is x
    pair = preprocess(("the chef", "ate"), y=None)
    assert pair["token_ids"].tolist() == [2, 5, 3, 3]
    pairs = preprocess((["the chef"], [""]), y=None)
    assert pairs["token_ids"].tolist() == [[2, 5, 6, 3]]
