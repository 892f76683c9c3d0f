"""Questions and documents -> rows of windows, and where answers are.

As in the original (`finetune/qa/qa_tasks.py:136-420`): a document that is too
long is read in windows that begin `stride` tokens apart; the question is in
all of them. Answers are characters of the document; for training they become
tokens, first by whole words between spaces, then by the narrowest tokens that
spell the answer.
"""

import bisect
import re
import typing

import keras
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.tasks.answers import to_answers
from keras_electra.tasks.answers import to_questions
from keras_electra.tasks.rows import RowPreprocessor
from keras_electra.tasks.rows import make_rows

# What ends a word of a document (`qa_tasks.py:132-133`).
_WORD = re.compile(r"[^ \t\r\n\u202f]+")


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraQuestionAnsweringPreprocessor(RowPreprocessor):
    """Turns questions with their contexts into rows of windows.

    A row is `[CLS] question [SEP] part of the context [SEP]`. A context that
    is too long becomes several rows: the batch grows.

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.
        stride: int. Tokens between the beginnings of two windows. Defaults
            to `128`, the original's (`configure_finetuning.py:82-83`).
        max_question_length: int. Tokens of a question that are read. Defaults
            to `64`, the original's.

    Call arguments:
        x: tuple of two columns of strings, `(questions, contexts)`, or a dict
            of them with `question` and `context`.
        y: column with, for each question, its answer: a string, a tuple of a
            string and its first character in the context, a dict with `text`
            and `answer_start` as in SQuAD, or `None` where there is none. Or
            a tuple of two columns, strings and numbers. Or `None`.
        sample_weight: column of one weight a question, or `None`.

    Returns:
        A dict of rows; with `y` it has `start_positions` of shape `(rows,)`,
        too, and comes in a tuple with an int array of shape `(rows, 3)`:
        first and last token of the answer (0, `[CLS]`, where the row does not
        hold it), and 1 for a question without answer.
    """

    makes_labels = True

    def __init__(
        self,
        tokenizer,
        sequence_length=512,
        stride=128,
        max_question_length=64,
        **kwargs,
    ):
        super().__init__(tokenizer, sequence_length, **kwargs)
        check_count("stride", stride)
        check_count("max_question_length", max_question_length)
        self.stride = stride
        self.max_question_length = max_question_length

    def split(self, questions, contexts):
        """Lists of texts to a `Document` and a list of `QAWindow` for each."""
        # Data sets ask many questions about one context.
        known = {}
        documents, windows = [], []
        rows = self.tokenizer.encode_batch(questions)
        for number, (question, context) in enumerate(zip(rows, contexts)):
            if context not in known:
                known[context] = read_document(context, self.tokenizer)
            documents.append(known[context])
            windows.append(
                split_document(
                    known[context],
                    question[: self.max_question_length],
                    number,
                    self.tokenizer,
                    self.sequence_length,
                    self.stride,
                )
            )
        return documents, windows

    def pack(self, windows, length=None):
        """Pads a list of `QAWindow` to a dict of arrays."""
        return make_rows(
            [window.ids for window in windows],
            [
                [0] * window.offset + [1] * (len(window.ids) - window.offset)
                for window in windows
            ],
            self.tokenizer.pad_token_id,
            length,
        )

    def rows(self, x, y=None, sample_weight=None, length=None):
        """Rows as long as the longest, or `length`; see the class."""
        questions, contexts = to_questions(x)
        documents, windows = self.split(questions, contexts)
        flat = [window for some in windows for window in some]
        x = self.pack(flat, length)
        if y is None:
            return x
        answers = to_answers(y, len(questions))
        tokens = [
            answer and self._find(*example, answer)
            for *example, answer in zip(questions, documents, answers)
        ]
        y = [
            (
                *answer_positions(window, tokens[window.example]),
                answers[window.example] is None,
            )
            for window in flat
        ]
        y = np.array(y, "int32").reshape(-1, 3)
        x["start_positions"] = y[:, 0]
        if sample_weight is not None:
            weights = [sample_weight[window.example] for window in flat]
            sample_weight = np.array(weights, "float32")
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _find(self, question, document, answer):
        tokens = find_answer(document, *answer, self.tokenizer)
        if tokens is None:
            text, start = answer
            place = "" if start is None else f" at character {start}"
            raise ValueError(
                "An answer must be in its context. That of the question "
                f"{question!r}, {text!r}, is not in it{place}: "
                f"{document.text[start or 0 :][:60]!r}. Correct "
                "`answer_start` or leave the question out."
            )
        return tokens

    def output_spec(self, x=None, y=None, sample_weight=None):
        rows = super().output_spec()
        if y is None:
            return rows
        rows["start_positions"] = keras.KerasTensor((None,), "int32")
        weights = keras.KerasTensor((None,), "float32")
        return keras.utils.pack_x_y_sample_weight(
            rows,
            keras.KerasTensor((None, 3), "int32"),
            None if sample_weight is None else weights,
        )


class Document(typing.NamedTuple):
    """A text in words and tokens."""

    text: str
    word_spans: list  # (start, end) of each word, in characters
    ids: list  # token ids
    offsets: list  # (start, end) of each token, in characters
    words: list  # for every token the number of its word


class QAWindow(typing.NamedTuple):
    """A row of a question and a part of its document."""

    example: int  # number of the question
    ids: list  # [CLS] question [SEP] part [SEP]
    offset: int  # where in `ids` the part begins
    start: int  # token of the document that the part begins with
    # For each token of the part, whether this window, of all that hold it,
    # has most text around it.
    best: list

    @property
    def stop(self):
        """Token of the document after the last of the part."""
        return self.start + len(self.best)


def read_document(text, tokenizer):
    """Splits a text (str) into words and tokens: a `Document`."""
    word_spans = [match.span() for match in _WORD.finditer(text)]
    [ids], [offsets] = tokenizer.encode_with_offsets([text])
    starts = [start for start, _ in word_spans]
    words = [bisect.bisect_right(starts, start) - 1 for start, _ in offsets]
    return Document(text, word_spans, ids, offsets, words)


def split_document(document, question, example, tokenizer, length, stride):
    """Pairs a question (token ids) with the windows of its document.

    Returns a list of `QAWindow` of at most `length` tokens, which begin
    `stride` tokens apart; `example` is the number of the question.
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
    """First and last token of an answer (str), `None` if it is not there.

    `start` is the character of the document where it begins, `None` for the
    first place that reads like it.
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
    """Start and end in `window.ids` of what `find_answer` found.

    `(0, 0)`, `[CLS]`, where the window does not hold all of it.
    """
    if tokens is None or tokens[0] < window.start or tokens[1] >= window.stop:
        return 0, 0
    shift = window.offset - window.start
    return tokens[0] + shift, tokens[1] + shift
