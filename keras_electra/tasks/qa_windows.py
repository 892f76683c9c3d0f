"""Questions and documents -> windows of word pieces, and where answers are.

As in the original (`finetune/qa/qa_tasks.py:136-420`): a document that is too
long is read in windows that begin `stride` tokens apart; the question is in
all of them. Answers are characters of the document; for training they become
tokens, first by whole words between spaces, then by the narrowest tokens that
spell the answer.
"""

import bisect
import re
import typing

import numpy as np

# What ends a word of a document (`qa_tasks.py:132-133`).
_WORD = re.compile(r"[^ \t\r\n\u202f]+")


class Document(typing.NamedTuple):
    """A document in words and tokens.

    Attributes:
        text: string.
        word_spans: list of `(start, end)`, characters of the words.
        ids: list of int, token ids.
        offsets: list of `(start, end)`, characters of the tokens.
        words: list of int. For every token the number of its word.
    """

    text: str
    word_spans: list
    ids: list
    offsets: list
    words: list


class QAWindow(typing.NamedTuple):
    """A row of a question and a part of its document.

    Attributes:
        example: int. Number of the question.
        ids: list of int, `[CLS] question [SEP] part [SEP]`.
        offset: int. Where in `ids` the part begins.
        start: int. Token of the document that the part begins with.
        best: list of bool. For each token of the part, whether this window,
            of all that hold it, has most text around it.
    """

    example: int
    ids: list
    offset: int
    start: int
    best: list

    @property
    def stop(self):
        """Token of the document after the last of the part."""
        return self.start + len(self.best)


def read_document(text, tokenizer):
    """Splits a document into words and tokens.

    Args:
        text: string.
        tokenizer: `ElectraTokenizer`.

    Returns:
        A `Document`.
    """
    word_spans = [match.span() for match in _WORD.finditer(text)]
    [ids], [offsets] = tokenizer.encode_with_offsets([text])
    starts = [start for start, _ in word_spans]
    words = [bisect.bisect_right(starts, start) - 1 for start, _ in offsets]
    return Document(text, word_spans, ids, offsets, words)


def split_document(document, question, example, tokenizer, length, stride):
    """Pairs a question with the windows of its document.

    Args:
        document: `Document`.
        question: list of int, token ids.
        example: int. Number of the question.
        tokenizer: `ElectraTokenizer`.
        length: int. Most tokens of a row.
        stride: int. Tokens between the beginnings of windows.

    Returns:
        List of `QAWindow`.

    Raises:
        ValueError: when the question leaves no room for the document.
    """
    head = [tokenizer.cls_token_id, *question, tokenizer.sep_token_id]
    room = length - len(head) - 1
    if room < 1:
        raise ValueError(
            "`sequence_length` must leave room for the document beside the "
            f"question. Received: sequence_length={length} and a question of "
            f"{len(question)} tokens. Lower `max_question_length`."
        )
    count = len(document.ids)
    step = min(stride, room)
    starts = [*range(0, max(0, count - room), step)]
    starts.append(len(starts) * step)
    spans = [(start, min(start + room, count)) for start in starts]
    best = _best_windows(spans, count)
    return [
        QAWindow(
            example,
            [*head, *document.ids[start:stop], tokenizer.sep_token_id],
            len(head),
            start,
            (best[start:stop] == number).tolist(),
        )
        for number, (start, stop) in enumerate(spans)
    ]


def _best_windows(spans, count):
    """For each token the number of its window with most text around it.

    The lesser of the tokens left and right of it counts, and a hundredth of
    the length of the window (`qa_tasks.py:71-107`); of equals the first.
    """
    best, scores = np.zeros(count, int), np.full(count, -1.0)
    for number, (start, stop) in enumerate(spans):
        places = np.arange(start, stop)
        score = np.minimum(places - start, stop - 1 - places)
        score = score + 0.01 * (stop - start)
        better = score > scores[start:stop]
        best[start:stop][better] = number
        scores[start:stop][better] = score[better]
    return best


def find_answer(document, answer, start, tokenizer):
    """The tokens of an answer.

    Args:
        document: `Document`.
        answer: string.
        start: int or `None`. Character of the document where the answer
            begins; `None` for the first place that reads like it.
        tokenizer: `ElectraTokenizer`.

    Returns:
        `(first, last)`, tokens of the document, or `None` if the answer is
        not in it.
    """
    if start is None or start < 0:
        start = document.text.find(answer)
    end = start + len(answer) - 1
    if start < 0 or end >= len(document.text) or not answer.strip():
        return None
    starts = [word_start for word_start, _ in document.word_spans]
    first_word = bisect.bisect_right(starts, start) - 1
    last_word = bisect.bisect_right(starts, end) - 1
    spans = document.word_spans[max(first_word, 0) : last_word + 1]
    words = " ".join(document.text[a:b] for a, b in spans)
    if " ".join(answer.split()).lower() not in words.lower():
        return None
    first = bisect.bisect_left(document.words, first_word)
    last = bisect.bisect_right(document.words, last_word) - 1
    [wanted] = tokenizer.encode_batch([answer])
    for new_first in range(first, last + 1):
        new_last = new_first + len(wanted) - 1
        if wanted and document.ids[new_first : new_last + 1] == wanted:
            if new_last <= last:
                return new_first, new_last
    return (first, last) if first <= last else None


def answer_positions(window, tokens):
    """Where in a row the answer is.

    Args:
        window: `QAWindow`.
        tokens: `(first, last)`, tokens of the document, or `None`.

    Returns:
        `(start, end)`, places in `window.ids`; `(0, 0)`, `[CLS]`, where the
        window does not hold all of the answer.
    """
    if tokens is None or tokens[0] < window.start or tokens[1] >= window.stop:
        return 0, 0
    shift = window.offset - window.start
    return tokens[0] + shift, tokens[1] + shift
