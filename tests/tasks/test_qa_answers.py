import numpy as np
import pytest

from keras_electra.tasks.qa_answers import rank_answers
from keras_electra.tasks.qa_windows import read_document
from keras_electra.tasks.qa_windows import split_document
from tests import checks

TEXT = "the chef ate a meal"


def ranked(starts, ends, **kwargs):
    """Answers from scores of `[CLS] ate [SEP] the chef ate a meal [SEP]`."""
    tokenizer = checks.tiny_tokenizer()
    document = read_document(TEXT, tokenizer)
    windows = split_document(document, [9], 0, tokenizer, 9, 3)
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
    assert answers.null_odds == -6.0


def test_limits():
    short = ranked(STARTS, ENDS, n_best=4, max_answer_length=1)
    assert [answer.text for answer in short.n_best] == ["chef"]
    nothing = ranked([9] * 3 + [0] * 6, [9] * 3 + [0] * 6, n_best=3)
    assert nothing.text == "" and nothing.n_best == []
    assert nothing.null_odds == 18.0


def test_no_answer():
    logit = {"answerable_logit": np.float32(-1.0)}
    assert ranked(STARTS, ENDS, more=logit).text == "a meal"
    assert ranked(STARTS, ENDS, more=logit).null_odds == -1.0
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
