import numpy as np

from keras_electra.tasks.multiple_choice_preprocessor import (
    ElectraMultipleChoicePreprocessor,
)
from keras_electra.tasks.multiple_choice_preprocessor import to_choices
from tests import checks


def test_a_row_for_each_choice():
    preprocess = ElectraMultipleChoicePreprocessor(
        checks.tiny_tokenizer(), sequence_length=6
    )
    x, y = preprocess((["the chef"], [["ate", "a"]]), [1])
    assert x["token_ids"].tolist() == [
        [[2, 5, 6, 3, 9, 3], [2, 5, 6, 3, 12, 3]]
    ]
    assert x["segment_ids"].tolist() == [[[0, 0, 0, 0, 1, 1]] * 2]
    assert y == [1]
    assert preprocess.get_config()["sequence_length"] == 6


def test_forms_of_choices():
    expected = (["q", "r"], [["a", "b"], ["c", "d"]])
    for choices in (
        [["a", "b"], ["c", "d"]],
        np.array([["a", "b"], [b"c", "d"]], object),
        (["a", "c"], np.array(["b", "d"])),
    ):
        assert to_choices((["q", "r"], choices)) == expected
