import pytest

from keras_electra.tasks.qa_windows import answer_positions
from keras_electra.tasks.qa_windows import find_answer
from keras_electra.tasks.qa_windows import read_document
from keras_electra.tasks.qa_windows import split_document
from tests import checks

TEXT = "The chef cooked. A meal, the meal."


@pytest.fixture(scope="module")
def tokenizer():
    return checks.tiny_tokenizer()


@pytest.fixture(scope="module")
def document(tokenizer):
    return read_document(TEXT, tokenizer)


def test_words_and_tokens(document):
    words = [TEXT[a:b] for a, b in document.word_spans]
    assert words == TEXT.split()
    # the chef cook ##ed . a meal [UNK] the meal .
    assert document.ids == [5, 6, 7, 8, 11, 12, 10, 1, 5, 10, 11]
    assert document.words == [0, 1, 2, 2, 2, 3, 4, 4, 5, 6, 6]


def test_windows(document, tokenizer):
    windows = split_document(document, [9], 7, tokenizer, 9, 3)
    assert [window.start for window in windows] == [0, 3, 6]
    assert windows[0].ids == [2, 9, 3, 5, 6, 7, 8, 11, 3]
    assert windows[2].ids == [2, 9, 3, 10, 1, 5, 10, 11, 3]
    assert {window.example for window in windows} == {7}
    chosen = [
        window.start + i
        for window in windows
        for i, flag in enumerate(window.best)
        if flag
    ]
    assert sorted(chosen) == list(range(11))
    # Token 3: one on its right in the first window, none left in the second.
    assert windows[0].best == [True] * 4 + [False]


def test_answers(document, tokenizer):
    def found(*answer):
        return find_answer(document, *answer, tokenizer)

    assert found("chef", None) == (1, 1)
    assert found("meal", None) == (6, 6)
    assert found("meal", TEXT.rindex("meal")) == (9, 9)
    assert found("cooked", 9) == (2, 3)
    # Not a sequence of tokens: the whole word.
    assert found("cooke", 9) == (2, 4)
    for answer in (("cooks", None), ("meal", 0), ("meal.x", 29), (" ", 3)):
        assert found(*answer) is None


def test_positions_in_a_row(document, tokenizer):
    first, *_, last = split_document(document, [9], 0, tokenizer, 9, 3)
    assert answer_positions(first, (1, 2)) == (4, 5)
    assert answer_positions(last, (9, 10)) == (6, 7)
    for tokens in ((4, 5), None):
        assert answer_positions(first, tokens) == (0, 0)


def test_questions_leave_room(document, tokenizer):
    with pytest.raises(ValueError, match="`sequence_length` must leave room"):
        split_document(document, [9] * 6, 0, tokenizer, 9, 3)
