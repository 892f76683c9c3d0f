"""Windows and answers, without a network."""

import numpy as np
import pytest

from keras_electra.tasks.answers import best_score
from keras_electra.tasks.answers import best_threshold
from keras_electra.tasks.answers import exact_match
from keras_electra.tasks.answers import f1_score
from keras_electra.tasks.answers import normalize_answer
from keras_electra.tasks.answers import rank_answers
from keras_electra.tasks.qa_windows import Document
from keras_electra.tasks.qa_windows import find_answer
from keras_electra.tasks.qa_windows import split_document
from keras_electra.tasks.qa_windows import to_answers
from keras_electra.tasks.qa_windows import to_questions
from tests import checks


def test_questions():
    expected = (["q", "r"], ["c", "d"])
    for x in (
        (["q", "r"], ["c", "d"]),
        {"question": ["q", "r"], "context": ["c", "d"]},
    ):
        assert to_questions(x) == expected


@pytest.mark.parametrize(
    "x, error, message",
    [
        (["q"], TypeError, "tuple of two lists.*Received: list"),
        (({"q": 1},), TypeError, "tuple of two lists"),
        ((["q"], [None]), TypeError, "contexts as strings. Entry 0"),
        (([3], ["c"]), TypeError, "questions as strings. Entry 0"),
    ],
)
def test_bad_questions(x, error, message):
    with pytest.raises(error, match=message):
        to_questions(x)


def test_forms_of_answers():
    squad = {"text": ["a", "b"], "answer_start": [3, 9]}
    y = ["a", ("a", 3), squad, None, "", {"text": [], "answer_start": []}]
    expected = [("a", None), ("a", 3), ("a", 3), None, None, None]
    assert to_answers(y) == expected
    columns = (["a", ""], [3, -1])
    assert to_answers(columns) == [("a", 3), None]


@pytest.mark.parametrize("answer", [3, ("a", "b"), ("a", 0.5), {"a": 1}])
def test_bad_answers(answer):
    with pytest.raises(TypeError, match="An answer must be.*Number 1 is"):
        to_answers([None, answer])


def read(text, tokenizer):
    [ids], [offsets] = tokenizer.encode_with_offsets([text])
    return Document(text, ids, offsets)


LONG = "The chef cooked. A meal, the meal."


@pytest.fixture(scope="module")
def tokenizer():
    return checks.tiny_tokenizer()


@pytest.fixture(scope="module")
def document(tokenizer):
    return read(LONG, tokenizer)


def test_windows(document, tokenizer):
    # the chef cook ##ed . a meal [UNK] the meal .
    assert document.ids == [5, 6, 7, 8, 11, 12, 10, 1, 5, 10, 11]
    windows = split_document(document, [9], tokenizer, 9, 3)
    assert [window.start for window in windows] == [0, 3, 6]
    assert windows[0].ids == [2, 9, 3, 5, 6, 7, 8, 11, 3]
    assert windows[2].ids == [2, 9, 3, 10, 1, 5, 10, 11, 3]
    chosen = [
        window.start + i
        for window in windows
        for i, flag in enumerate(window.best)
        if flag
    ]
    assert sorted(chosen) == list(range(11))
    # Token 3: one on its right in the first window, none left in the second.
    assert windows[0].best == [True] * 4 + [False]


def test_tokens_of_answers(document, tokenizer):
    def found(*answer):
        return find_answer(document, *answer, tokenizer)

    assert found("chef", None) == (1, 1)
    assert found("meal", None) == (6, 6)
    assert found("meal", LONG.rindex("meal")) == (9, 9)
    assert found("cooked", 9) == (2, 3)
    # Not a sequence of tokens: the whole word.
    assert found("cooke", 9) == (2, 4)
    for answer in (("cooks", None), ("meal", 0), ("meal.x", 29), (" ", 3)):
        assert found(*answer) is None


def test_positions_in_a_row(document, tokenizer):
    first, *_, last = split_document(document, [9], tokenizer, 9, 3)
    assert first.places((1, 2)) == (4, 5)
    assert last.places((9, 10)) == (6, 7)
    for tokens in ((4, 5), None):
        assert first.places(tokens) == (0, 0)


def test_questions_leave_room(document, tokenizer):
    with pytest.raises(ValueError, match="`sequence_length` must leave room"):
        split_document(document, [9] * 6, tokenizer, 9, 3)


SHORT = "the chef ate a meal"


def ranked(starts, ends, **kwargs):
    """Answers from scores of `[CLS] ate [SEP] the chef ate a meal [SEP]`."""
    tokenizer = checks.tiny_tokenizer()
    document = read(SHORT, tokenizer)
    windows = split_document(document, [9], tokenizer, 9, 3)
    output = {
        "start_logits": np.array(starts, "float32"),
        "end_logits": np.array(ends, "float32"),
        **kwargs.pop("more", {}),
    }
    return rank_answers(document, windows, [output], **kwargs)


STARTS = [0, 0, 0, 2, 1, 0, 3, 0, 0]
ENDS = [0, 0, 0, 0, 2, 0, 0, 3, 0]


def test_best_spans():
    answers = ranked(STARTS, ENDS, n_best=3)
    assert [answer.text for answer in answers.n_best] == [
        "a meal",
        "the chef ate a meal",
        "the chef",
    ]
    best = answers.n_best[0]
    assert (answers.text, best.start, best.end) == ("a meal", 13, 19)
    assert (best.start_logit, best.end_logit) == (3.0, 3.0)
    expected = np.exp([6.0, 5.0, 4.0])
    assert [answer.probability for answer in answers.n_best] == (
        pytest.approx(expected / expected.sum(), rel=1e-5)
    )
    # The scores of [CLS] less those of the best.
    assert answers.null_score == -6.0


def test_limits():
    short = ranked(STARTS, ENDS, n_best=4, max_length=1)
    assert [answer.text for answer in short.n_best] == ["chef"]
    nothing = ranked([9] * 3 + [0] * 6, [9] * 3 + [0] * 6, n_best=3)
    assert nothing.text == "" and nothing.n_best == []
    assert nothing.null_score == 18.0


def test_no_answer():
    logit = {"answerable_logit": np.float32(-1.0)}
    assert ranked(STARTS, ENDS, more=logit).text == "a meal"
    assert ranked(STARTS, ENDS, more=logit).null_score == -1.0
    for threshold, text in ((-1.0, "a meal"), (-1.5, "")):
        answers = ranked(STARTS, ENDS, more=logit, null_threshold=threshold)
        assert answers.text == text and answers.n_best


def test_beams():
    beams = {
        "start_top_index": np.array([6, 30]),
        "start_top_log_probs": np.array([-0.5, -9.0], "float32"),
        "end_top_index": np.array([[7, 5], [7, 6]]),
        "end_top_log_probs": np.array([[-0.2, -0.1], [0, 0]], "float32"),
    }
    answers = ranked(STARTS, ENDS, more=beams)
    [only] = answers.n_best
    assert only.text == "a meal"
    assert only.end_logit == pytest.approx(-0.2)


def test_normalization():
    assert normalize_answer(" The  U.S. and an  ant!") == "us and ant"
    assert normalize_answer("a") == normalize_answer("...") == ""


def test_scores():
    assert exact_match("the cat", "Cat.") == 1.0
    assert exact_match("cats", "cat") == 0.0
    # Two of three words shared with two.
    assert f1_score("big black cat", "black cat") == pytest.approx(0.8)
    assert f1_score("cat cat", "cat") == pytest.approx(2 / 3)
    assert f1_score("", "a") == 1.0 and f1_score("", "cat") == 0.0
    assert best_score(f1_score, "cat", ["dog", "a cat"]) == 1.0
    assert best_score(exact_match, "", []) == 1.0
    assert best_score(exact_match, "cat", []) == 0.0


def test_threshold():
    odds, texts = [-3.0, -1.0, 0.5, 2.0], ["a", "b", "c", "d"]
    scores, has_answer = [1.0, 0.0, 1.0, 0.0], [True, False, True, False]
    best, threshold = best_threshold(odds, scores, has_answer, texts)
    # Answer the first alone (1 + 2 of 4), or up to the third (2 + 1 of 4).
    assert (best, threshold) == (0.75, -3.0)
    best, threshold = best_threshold(odds, scores, [False] * 4, texts)
    # Nothing is answered, the least odds included.
    assert best == 1.0 and -3.001 < threshold < -3.0
