"""Outputs for the windows of a document -> answers, best first; their scores.

As in the original (`finetune/qa/qa_metrics.py:88-247`): start and end must lie
in the document, in this order, in the window that has most text around the
start; spans are ranked by the sum of their two scores over all windows. What
differs by default is the text of a span: here it is cut from the document at
the tokens' own characters, which is always the place that was found.

Exact match and F1 are those of SQuAD's official scripts.
"""

import collections
import math
import re
import string
import typing

import numpy as np

from keras_electra.data.inputs import check_texts

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Answer(typing.NamedTuple):
    """One stretch of a document as an answer.

    Attributes:
        text: string. `document[start:end]`.
        start: int. First character in the document.
        end: int. Character after the last.
        probability: float. Among the answers of the list, which sum to 1.
        start_logit: float. Score of the first token.
        end_logit: float. Score of the last token.
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
            answer: the logit of that, or the lead of `[CLS]` over the best
            answer.
    """

    text: str
    n_best: list
    null_score: float

    @property
    def best_text(self):
        """The best answer, whatever the score; empty if none was found."""
        return next((answer.text for answer in self.n_best if answer.text), "")


def to_questions(x):
    """Checks columns of questions and of contexts and returns them."""
    if isinstance(x, dict) and {"question", "context"} <= set(x):
        x = (x["question"], x["context"])
    if not isinstance(x, tuple) or len(x) != 2:
        raise TypeError(
            "`x` must be a tuple of two lists, `(questions, contexts)`, or "
            "have columns `question` and `context`. Received: "
            f"{type(x).__name__}."
        )
    check_texts(x, ("questions", "contexts"))
    return x


def to_answers(y, count):
    """Answers as users give them -> a list of `(text, start)`.

    `start` is `None` where it is not given, and the whole `None` where there
    is no answer.
    """
    if isinstance(y, dict) and "text" in y:
        y = (y["text"], y.get("answer_start", [None] * len(y["text"])))
    if isinstance(y, tuple) and len(y) == 2:
        y = list(zip(*y, strict=True))
    if len(y) != count:
        raise ValueError(
            "`y` must hold one answer a question. Received: "
            f"{count} questions and {len(y)} answers."
        )
    return [_to_answer(answer, index) for index, answer in enumerate(y)]


def _to_answer(answer, index):
    text, start = answer, None
    if isinstance(answer, dict) and "text" in answer:
        text, start = answer["text"], answer.get("answer_start")
    elif isinstance(answer, (list, tuple)) and len(answer) == 2:
        text, start = answer
    # SQuAD lists all right answers, of which the first counts.
    text, start = (
        (part[0] if part else None) if isinstance(part, (list, tuple)) else part
        for part in (text, start)
    )
    if text is None or text == "":
        return None
    is_place = start is None or (
        not isinstance(start, (str, float)) and int(start) == start
    )
    if not isinstance(text, str) or not is_place:
        raise TypeError(
            "An answer must be a string, a tuple `(text, start)`, a dict with "
            "`text` and `answer_start`, or None. Number "
            f"{index} is {answer!r}."
        )
    return text, None if start is None or start < 0 else int(start)


def rank_answers(
    document,
    windows,
    outputs,
    n_best=20,
    max_answer_length=30,
    null_threshold=None,
    span_text=None,
):
    """Ranks the spans of a document: an `Answers`.

    `outputs` are the network's for each of its windows; `max_answer_length`
    is in tokens. `span_text` is a function of the document and the first and
    last token of a span, instead of the characters in between.
    """
    found = [
        _candidates(window, output, n_best, max_answer_length)
        for window, output in zip(windows, outputs)
    ]
    tokens, scores = (np.concatenate(parts) for parts in zip(*found))
    sums = scores.sum(axis=-1)
    spans = {}  # from the text to its place and its best scores
    for i in np.argsort(-sums, kind="stable"):
        if len(spans) == n_best:
            break
        first, last = tokens[i]
        start, end = document.offsets[first][0], document.offsets[last][1]
        text = document.text[start:end]
        if span_text is not None:
            text = span_text(document, first, last)
        spans.setdefault(text, (start, end, i))
    kept = [i for _, _, i in spans.values()]
    shares = np.exp(sums[kept] - sums[kept].max(initial=-np.inf))
    answers = [
        Answer(text, start, end, float(share), *map(float, scores[i]))
        for (text, (start, end, i)), share in zip(
            spans.items(), shares / shares.sum()
        )
    ]
    best = scores[kept[0]] if kept else np.zeros(2, "float32")
    result = Answers("", answers, _null_score(outputs, best))
    if null_threshold is not None and result.null_score > null_threshold:
        return result
    return result._replace(text=result.best_text)


def _null_score(outputs, best):
    """The least over the windows: one that answers is enough."""
    if "answerable_logit" in outputs[0]:
        return float(min(output["answerable_logit"] for output in outputs))
    null = min(
        output["start_logits"][0] + output["end_logits"][0]
        for output in outputs
    )
    return float(null - best[0] - best[1])


def _candidates(window, output, n_best, max_answer_length):
    """Tokens `(spans, 2)` of the document, and scores of the same shape."""
    if "start_top_index" in output:
        starts, ends = output["start_top_index"], output["end_top_index"]
        start_scores = output["start_top_log_probs"]
        end_scores = output["end_top_log_probs"]
    else:
        starts, ends = (
            np.argsort(-output[name], kind="stable")[:n_best]
            for name in ("start_logits", "end_logits")
        )
        start_scores = output["start_logits"][starts]
        end_scores = output["end_logits"][ends][None]
        ends = ends[None]
    starts, ends = np.broadcast_arrays(starts[:, None], ends)
    scores = np.stack(
        np.broadcast_arrays(start_scores[:, None], end_scores), axis=-1
    )
    best = np.array(window.best, bool)
    first, last = starts - window.offset, ends - window.offset
    inside = (first >= 0) & (first < len(best)) & (last < len(best))
    is_valid = inside & (last >= first) & (last - first < max_answer_length)
    if len(best):
        is_valid &= best[np.clip(first, 0, len(best) - 1)]
    tokens = np.stack([first, last], axis=-1)[is_valid] + window.start
    return tokens, scores[is_valid]


def normalize_answer(text):
    """Lower case, without punctuation, articles and superfluous spaces."""
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(text, gold):
    """1.0 if an answer reads like the right one, else 0.0."""
    return float(normalize_answer(text) == normalize_answer(gold))


def f1_score(text, gold):
    """F1 of the words of an answer; of two empty texts 1.0."""
    words = normalize_answer(text).split()
    right = normalize_answer(gold).split()
    if not words or not right:
        return float(words == right)
    common = collections.Counter(words) & collections.Counter(right)
    return 2 * common.total() / (len(words) + len(right))


SCORES = {"exact": exact_match, "f1": f1_score}


def best_score(score, text, golds):
    """The best score of a text over right answers (list of str).

    None left by normalization, or none at all, means that the right answer
    is an empty text. `score` is a function of two strings.
    """
    golds = [gold for gold in golds if normalize_answer(gold)] or [""]
    return max(score(text, gold) for gold in golds)


def best_threshold(null_scores, scores, has_answer, texts):
    """The null score above which to answer nothing, as the official script.

    All lists have an entry a question: null scores, scores of the texts,
    whether there is an answer, the best texts whatever the null score.
    Returns the best mean score, and the greatest null score that is still
    answered. If answering nothing is best, that is just below the least of
    them; the official script has 0.0 there, above which they need not be.
    """
    current = sum(not has for has in has_answer)
    best, threshold = current, math.nextafter(min(null_scores), -math.inf)
    for i in sorted(range(len(texts)), key=null_scores.__getitem__):
        if has_answer[i]:
            current += scores[i]
        else:
            current -= bool(texts[i])
        if current > best:
            best, threshold = current, null_scores[i]
    return best / len(texts), threshold
