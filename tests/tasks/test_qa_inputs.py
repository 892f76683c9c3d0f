import numpy as np
import pytest

from keras_electra.tasks.qa_inputs import to_answers
from keras_electra.tasks.qa_inputs import to_questions


def test_questions():
    expected = (["q", "r"], ["c", "d"])
    for x in (
        (["q", "r"], ["c", "d"]),
        {"question": ["q", "r"], "context": np.array(["c", b"d"], "O")},
    ):
        assert to_questions(x) == expected


@pytest.mark.parametrize(
    "x, error, message",
    [
        (["q"], TypeError, "tuple of two lists.*Received: list"),
        (({"q": 1},), TypeError, "tuple of two lists"),
        ((["q", "r"], ["c"]), ValueError, "2 questions and 1 contexts"),
        ((["q"], [""]), ValueError, "A context must not be empty. Number 0"),
        (([3], ["c"]), TypeError, "A question must be a string. Number 0"),
    ],
)
def test_bad_questions(x, error, message):
    with pytest.raises(error, match=message):
        to_questions(x)


def test_answers():
    squad = {"text": ["a", "b"], "answer_start": [3, 9]}
    y = ["a", ("a", 3), squad, None, "", {"text": [], "answer_start": []}]
    expected = [("a", None), ("a", 3), ("a", 3), None, None, None]
    assert to_answers(y, 6) == expected
    columns = (["a", ""], np.array([3, -1]))
    assert to_answers(columns, 2) == [("a", 3), None]


@pytest.mark.parametrize("answer", [3, ("a", "b"), ("a", 0.5), {"a": 1}])
def test_bad_answers(answer):
    with pytest.raises(TypeError, match="An answer must be.*Number 1 is"):
        to_answers([None, answer], 2)
    with pytest.raises(ValueError, match="3 questions and 1 answers"):
        to_answers(["a"], 3)
