"""Exact match and F1 of an answer as SQuAD's official scripts define them.

Answers are compared in lower case, without punctuation, articles and
superfluous spaces.
"""

import collections
import math
import re
import string

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text):
    """What of an answer is compared: a string."""
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(text, gold):
    """1.0 if an answer reads like the right one, else 0.0."""
    return float(normalize_answer(text) == normalize_answer(gold))


def f1_score(text, gold):
    """F1 of the words of an answer, 0.0 to 1.0.

    Where one of the two is empty it is 1.0 if both are, else 0.0.
    """
    words = normalize_answer(text).split()
    right = normalize_answer(gold).split()
    if not words or not right:
        return float(words == right)
    common = collections.Counter(words) & collections.Counter(right)
    shared = sum(common.values())
    return 2 * shared / (len(words) + len(right))


SCORES = {"exact": exact_match, "f1": f1_score}


def best_score(score, text, golds):
    """The best score of a text over several right answers.

    Args:
        score: function of two strings.
        text: string.
        golds: list of str. None left by normalization, or none at all, means
            that the right answer is an empty text.

    Returns:
        float.
    """
    golds = [gold for gold in golds if normalize_answer(gold)] or [""]
    return max(score(text, gold) for gold in golds)


def best_threshold(null_odds, scores, has_answer, texts):
    """The null odds above which to answer nothing, as the official script.

    Args:
        null_odds: list of float, one a question.
        scores: list of float. Scores of the texts.
        has_answer: list of bool. Whether the question has an answer.
        texts: list of str. The best answers, whatever the odds.

    Returns:
        `(score, threshold)`: the best mean score, and the greatest null odds
        that are still answered. If answering nothing is best, that is just
        below the least of them; the official script has 0.0 there, above
        which odds need not be.
    """
    current = sum(not has for has in has_answer)
    best, threshold = current, math.nextafter(min(null_odds), -math.inf)
    order = sorted(range(len(texts)), key=lambda i: null_odds[i])
    for i in order:
        if has_answer[i]:
            current += scores[i]
        else:
            current -= bool(texts[i])
        if current > best:
            best, threshold = current, null_odds[i]
    return best / len(texts), threshold
