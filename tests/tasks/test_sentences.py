import numpy as np
import pytest

from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.sentences import encode_word_labels
from keras_electra.tasks.sentences import to_sentences


def test_words():
    expected = [["a", "b"], ["c"]]
    for x in (
        ["a b", "c"],
        [["a", "b"], ("c",)],
        np.array(["a  b", b"c"], "O"),
    ):
        assert to_sentences(x) == expected


@pytest.mark.parametrize(
    "x, error, message",
    [
        ("a b", TypeError, "list of sentences. Received one string"),
        (["a", ""], ValueError, "at least one word.*Sentence 1"),
        ([["a", " "]], ValueError, "not empty. Sentence 0"),
        ([["a", 1]], TypeError, "Sentence 0 holds 1 of type int"),
        ([3], TypeError, "Sentence 0 holds 3"),
    ],
)
def test_bad_sentences(x, error, message):
    with pytest.raises(error, match=message):
        to_sentences(x)


def test_labels_of_words():
    encoder = LabelEncoder(2, ["O", "X"])
    words = [["a", "b"], ["c"]]
    for y in (["O X", "X"], [["O", "X"], ["X"]], [[0, 1], np.array([1])]):
        assert encode_word_labels(words, y, encoder) == [[0, 1], [1]]
    numbers = LabelEncoder(2)
    assert encode_word_labels(words, ["0 1", "1"], numbers) == [[0, 1], [1]]


@pytest.mark.parametrize(
    "y, message",
    [
        ([["O"], ["X"]], "Sentence 0 has more words than labels: 2 words, 1"),
        ([["O", "X"], "X X"], "Sentence 1 has fewer words than labels"),
        ([["O", "X"]], "2 sentences and labels for 1"),
        ([["O", "Y"], ["X"]], "In sentence 0: .*Label 1 is 'Y'"),
        ([[0, 1], [2]], "In sentence 1: .*Label 0 is 2"),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        words = [["a", "b"], ["c"]]
        encode_word_labels(words, y, LabelEncoder(2, ["O", "X"]))
