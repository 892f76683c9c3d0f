"""The network's outputs for the windows of a document -> answers, best first.

As the original (`finetune/qa/qa_metrics.py:88-247`), but cut from the document.
"""

import collections
import math
import re
import string
import typing
from typing import Any

import numpy as np

from keras_electra.tasks.span_heads import masked_logits

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Answer(typing.NamedTuple):
    """One stretch of a document as an answer, `text = document[start:end]`.

    Attributes:
        probability: float. Among the answers of the list, which sum to 1.
        start_logit, end_logit: float. Scores of the first and last token.
    """

    text: str
    start: int
    end: int
    probability: float
    start_logit: float
    end_logit: float


class Answers(typing.NamedTuple):
    """What a document says to a question.

    Attributes:
        text: string. The best answer, empty if there seems to be none.
        n_best: list of `Answer`, best first, whatever `text` says.
        null_score: float. The higher, the less the document seems to hold an
            answer: its logit, or the lead of `[CLS]` over the best answer.
    """

    text: str
    n_best: list[Answer]
    null_score: float

    @property
    def best_text(self) -> str:
        """The best answer, whatever the score; empty if none was found."""
        return next((answer.text for answer in self.n_best if answer.text), "")


def rank_answers(
    document, windows, outputs, n_best=20, max_length=30, null_threshold=None
):
    """`Answers` from the outputs for each window; `max_length` in tokens."""
    parts, nulls = [], []
    for window, output in zip(windows, outputs):
        starts, ends = masked_logits(output)
        parts.append(_spans(window, output, starts, ends, n_best, max_length))
        nulls.append(output.get("answerable_logit", starts[0] + ends[0]))
    tokens, scores = map(np.concatenate, zip(*parts))
    sums = scores.sum(axis=-1)
    shares = np.exp(sums - sums.max(initial=-np.inf)).tolist()
    found = {}  # the best answer of each text
    for i in np.argsort(-sums, kind="stable"):
        if len(found) == n_best:
            break
        first, last = tokens[i]
        start, end = document.offsets[first][0], document.offsets[last][1]
        text = document.text[start:end]
        answer = Answer(text, start, end, shares[i], *scores[i].tolist())
        found.setdefault(text, answer)
    best = list(found.values())
    total = sum(answer.probability for answer in best)
    best = [a._replace(probability=a.probability / total) for a in best]
    null = min(nulls)  # one window that answers is enough
    if best and "answerable_logit" not in output:
        null -= sums.max()
    result = Answers("", best, float(null))
    if null_threshold is None or result.null_score <= null_threshold:
        result = result._replace(text=result.best_text)
    return result


def _spans(window, output, starts, ends, n_best, max_length):
    """Tokens `(spans, 2)` of the document, and scores of the same shape."""
    if "start_top_index" in output:
        first, last = output["start_top_index"], output["end_top_index"]
        starts = output["start_top_log_probs"]
        ends = output["end_top_log_probs"]
    else:
        first = np.argsort(-starts, kind="stable")[:n_best]
        last = np.argsort(-ends, kind="stable")[:n_best]
        starts, ends = starts[first], ends[last]
    tokens = np.stack(np.broadcast_arrays(first[:, None], last), axis=-1)
    scores = np.stack(np.broadcast_arrays(starts[:, None], ends), axis=-1)
    first, last = np.moveaxis(tokens - window.offset, -1, 0)
    best = np.array([*window.best, False])
    is_valid = (first >= 0) & (first <= last) & (last < len(window.best))
    is_valid &= (last - first < max_length) & best.take(first, mode="clip")
    return tokens[is_valid] - window.offset + window.start, scores[is_valid]


def normalize_answer(text: Any) -> str:
    """Lower case, without punctuation, articles and superfluous spaces."""
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(text: Any, gold: Any) -> float:
    """1.0 if an answer reads like the right one, else 0.0."""
    return float(normalize_answer(text) == normalize_answer(gold))


def f1_score(text: Any, gold: Any) -> Any:
    """F1 of the words of an answer; of two empty texts 1.0."""
    words, right = (normalize_answer(part).split() for part in (text, gold))
    if not words or not right:
        return float(words == right)
    common = collections.Counter(words) & collections.Counter(right)
    return 2 * common.total() / (len(words) + len(right))


SCORES = {"exact": exact_match, "f1": f1_score}  # as SQuAD's official scripts


def best_score(score: Any, text: Any, golds: Any) -> Any:
    """The best `score` over the right answers, or over "" for none."""
    golds = [gold for gold in golds if normalize_answer(gold)] or [""]
    return max(score(text, gold) for gold in golds)


def best_threshold(null_scores, scores, has_answer, texts):
    """The best mean score, and the greatest null score still answered for it.

    Takes lists with an entry a question. As SQuAD's script, but where to
    answer nothing is best: there just below the least score, and not 0.0.
    """
    current = sum(not has for has in has_answer)
    best, threshold = current, math.nextafter(min(null_scores), -math.inf)
    for i in sorted(range(len(texts)), key=null_scores.__getitem__):
        current += scores[i] if has_answer[i] else -bool(texts[i])
        if current > best:
            best, threshold = current, null_scores[i]
    return best / len(texts), threshold
