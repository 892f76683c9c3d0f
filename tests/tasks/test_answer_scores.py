import pytest

from keras_electra.tasks.answer_scores import best_score
from keras_electra.tasks.answer_scores import best_threshold
from keras_electra.tasks.answer_scores import exact_match
from keras_electra.tasks.answer_scores import f1_score
from keras_electra.tasks.answer_scores import normalize_answer


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
