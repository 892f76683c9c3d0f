import numpy as np
import pytest

from keras_electra.tasks.token_classifier_preprocessor import (
    ElectraTokenClassifierPreprocessor,
)
from tests import checks


def build(**kwargs):
    return ElectraTokenClassifierPreprocessor(
        checks.tiny_tokenizer(), sequence_length=6, **kwargs
    )


def test_labels_are_at_first_pieces():
    x, y, weights = build()(["the cooked", ["a"]], [[1, 2], "1"])
    assert x["token_ids"].tolist() == [[2, 5, 7, 8, 3, 0], [2, 12, 3, 0, 0, 0]]
    assert not np.any(x["segment_ids"])
    assert y.tolist() == [[0, 1, 2, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
    assert weights.tolist() == [[0, 1, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
    _, _, weights = build()(["the", "a"], [[1], [1]], [0.5, 2.0])
    assert weights[:, 1].tolist() == [0.5, 2.0]


def test_segment_of_the_original():
    x = build(segment_id=1)(["the chef"])
    assert x["segment_ids"].tolist() == x["padding_mask"].tolist()
    assert np.any(x["segment_ids"])


def test_long_sentences_become_rows():
    x, y, weights = build()(["the chef ate a meal ."], [[1, 2, 3, 4, 5, 6]])
    assert x["token_ids"].tolist() == [
        [2, 5, 6, 9, 12, 3],
        [2, 9, 12, 10, 11, 3],
    ]
    assert y[weights > 0].tolist() == [1, 2, 3, 4, 5, 6]


def test_config():
    preprocess = build(segment_id=1, rules="original")
    again = ElectraTokenClassifierPreprocessor.from_config(
        preprocess.get_config()
    )
    assert again.sequence_length == preprocess.sequence_length
    assert (again.segment_id, again.rules) == (1, "original")


def test_errors():
    with pytest.raises(ValueError, match="rules='none'"):
        build(rules="none")
    with pytest.raises(ValueError, match="Sentence 0 has 2 words and 1"):
        build().rows(["the chef"], [[1]])
