import pytest

from keras_electra.tasks.question_answering_preprocessor import (
    ElectraQuestionAnsweringPreprocessor,
)
from tests import checks


def build(**kwargs):
    config = {"sequence_length": 8, "stride": 2, **kwargs}
    return ElectraQuestionAnsweringPreprocessor(
        checks.tiny_tokenizer(), **config
    )


def test_rows_of_windows():
    x, y = build()((["chef"], ["the chef ate a meal"]), y=["a meal"])
    assert x["token_ids"].tolist() == [
        [2, 6, 3, 5, 6, 9, 12, 3],
        [2, 6, 3, 9, 12, 10, 3, 0],
    ]
    assert x["segment_ids"].tolist() == [
        [0, 0, 0, 1, 1, 1, 1, 1],
        [0, 0, 0, 1, 1, 1, 1, 0],
    ]
    assert y.tolist() == [[0, 0, 0], [4, 5, 0]]
    assert x["start_positions"].tolist() == [0, 4]


def test_weights_and_no_answer():
    x = (["chef", "a"], ["the chef ate a meal", "the"])
    x, y, weights = build()(x, [None, "the"], [0.5, 1.0])
    assert y.tolist() == [[0, 0, 1], [0, 0, 1], [3, 3, 0]]
    assert weights.tolist() == [0.5, 0.5, 1.0]


def test_long_questions_are_cut():
    x = build(max_question_length=2)((["the chef ate"], ["a"]), y=None)
    assert x["token_ids"].tolist() == [[2, 5, 6, 3, 12, 3, 0, 0]]


def test_config():
    preprocess = build(max_question_length=2)
    again = ElectraQuestionAnsweringPreprocessor.from_config(
        preprocess.get_config()
    )
    assert again.sequence_length == preprocess.sequence_length
    assert (again.stride, again.max_question_length) == (2, 2)


@pytest.mark.parametrize("name", ["stride", "max_question_length"])
def test_errors(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1"):
        build(**{name: 0})
    with pytest.raises(ValueError, match="leave room for the document"):
        build().rows((["the chef ate a meal"], ["a"]))
