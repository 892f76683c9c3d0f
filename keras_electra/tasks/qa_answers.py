"""Outputs for the windows of a document -> answers, best first.

As in the original (`finetune/qa/qa_metrics.py:88-247`): start and end must lie
in the document, in this order, in the window that has most text around the
start; spans are ranked by the sum of their two scores over all windows. What
differs by default is the text of a span: here it is cut from the document at
the tokens' own characters, which is always the place that was found.
"""

import typing

import numpy as np

from keras_electra.tasks.probabilities import softmax


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
        null_odds: float. The higher, the less the document seems to hold an
            answer: the logit of that, or the lead of `[CLS]` over the best
            answer.
    """

    text: str
    n_best: list
    null_odds: float

    @property
    def best_text(self):
        """The best answer, whatever the odds; empty if none was found."""
        return next((answer.text for answer in self.n_best if answer.text), "")


def rank_answers(
    document,
    windows,
    outputs,
    n_best=20,
    max_answer_length=30,
    null_threshold=None,
    span_text=None,
):
    """Ranks the spans of a document.

    Args:
        document: `Document`.
        windows: list of its `QAWindow`s.
        outputs: list of dicts, the network's outputs for each window:
            `start_logits` and `end_logits` of shape `(length,)`; from a joint
            head `start_top_log_probs` and `start_top_index` `(beam,)`,
            `end_top_log_probs` and `end_top_index` `(beam, beam)`;
            `answerable_logit`, a scalar, if the head has one.
        n_best: int. Most answers. Defaults to `20`.
        max_answer_length: int, in tokens. Defaults to `30`.
        null_threshold: float or `None`. Null odds above which the answer is
            empty. Defaults to `None`: never.
        span_text: function of a `Document` and the first and last token of a
            span, or `None`, the default, for the characters in between.

    Returns:
        An `Answers`.
    """
    found = [
        _candidates(window, output, n_best, max_answer_length)
        for window, output in zip(windows, outputs)
    ]
    tokens, scores = (np.concatenate(parts) for parts in zip(*found))
    order = np.argsort(-(scores[:, 0] + scores[:, 1]), kind="stable")
    spans, kept, texts = [], [], set()
    for i in order:
        if len(kept) == n_best:
            break
        first, last = tokens[i]
        start, end = document.offsets[first][0], document.offsets[last][1]
        text = document.text[start:end]
        if span_text is not None:
            text = span_text(document, first, last)
        if text not in texts:
            texts.add(text)
            spans.append((text, start, end))
            kept.append(scores[i])
    answers = []
    if kept:
        kept = np.stack(kept)
        probabilities = softmax(kept.sum(axis=-1))
        answers = [
            Answer(*span, float(probability), *map(float, pair))
            for span, probability, pair in zip(spans, probabilities, kept)
        ]
    null_odds = _null_odds(outputs, kept[0] if answers else np.zeros(2, "f4"))
    result = Answers("", answers, null_odds)
    if null_threshold is not None and null_odds > null_threshold:
        return result
    return result._replace(text=result.best_text)


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


def _null_odds(outputs, best):
    """The least over the windows: one that answers is enough."""
    if "answerable_logit" in outputs[0]:
        return float(min(output["answerable_logit"] for output in outputs))
    null = min(
        output["start_logits"][0] + output["end_logits"][0]
        for output in outputs
    )
    return float(null - best[0] - best[1])
