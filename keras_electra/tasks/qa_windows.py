"""Questions and documents -> rows of windows, and where answers are.

As in the original (`finetune/qa/qa_tasks.py:71-420`): a document that is too
long is read in windows, with the question in all of them.
"""

import bisect
import numbers
import re
import typing

import keras
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.data.inputs import check_texts
from keras_electra.data.rows import RowPreprocessor
from keras_electra.data.rows import make_rows

# A word of a document, and what ends it (`qa_tasks.py:132-133`).
WORD = re.compile(r"[^ \t\r\n\u202f]+")


class Document(typing.NamedTuple):
    """A text in tokens."""

    text: str
    ids: list  # token ids
    offsets: list  # (start, end) of each token, in characters


class QAWindow(typing.NamedTuple):
    """A row of a question and a part of its document."""

    ids: list  # [CLS] question [SEP] part [SEP]
    offset: int  # where in `ids` the part begins
    start: int  # token of the document that the part begins with
    best: list  # for each token of the part: has it most text around it here

    def places(self, tokens):
        """First and last token of an answer in `ids`; `[CLS]` if not here."""
        stop = self.start + len(self.best)
        if tokens is None or tokens[0] < self.start or tokens[1] >= stop:
            return 0, 0
        return tuple(token + self.offset - self.start for token in tokens)


def split_document(document, question, tokenizer, length, stride):
    """A question (token ids) with each window of a document: `QAWindow`s."""
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
    best, scores = np.zeros(count, int), np.full(count, -1.0)
    for start in starts:
        # The lesser of the tokens left and right of one counts, and the
        # length of the window; of equals the first (`qa_tasks.py:71-107`).
        part = slice(start, start + room)
        left = np.arange(len(best[part]))
        score = np.minimum(left, left[::-1]) + 0.01 * len(left)
        best[part] = np.where(score > scores[part], start, best[part])
        scores[part] = np.maximum(score, scores[part])
    windows = []
    for start in starts:
        part = slice(start, start + room)
        ids = [*head, *document.ids[part], tokenizer.sep_token_id]
        is_best = (best[part] == start).tolist()
        windows.append(QAWindow(ids, len(head), start, is_best))
    return windows


def find_answer(document, answer, start, tokenizer):
    """First and last token of an answer (str), `None` if it is not there.

    `start` is its first character, `None` for where it is first. Looks for
    whole words between spaces, in these for the tokens that spell it.
    """
    if start is None:
        start = document.text.find(answer)
    end = start + len(answer) - 1
    if start < 0 or end >= len(document.text) or not answer.strip():
        return None
    words = [match.span() for match in WORD.finditer(document.text)]
    starts = [word_start for word_start, _ in words]
    first = bisect.bisect_right(starts, start) - 1
    words = words[max(first, 0) : bisect.bisect_right(starts, end)]
    spelled = " ".join(document.text[a:b] for a, b in words)
    if " ".join(answer.split()).lower() not in spelled.lower():
        return None
    starts = [token_start for token_start, _ in document.offsets]
    first = bisect.bisect_left(starts, words[0][0])
    last = bisect.bisect_left(starts, words[-1][1]) - 1
    [wanted] = tokenizer.encode_batch([answer])
    for place in range(first, last + 2 - len(wanted) if wanted else first):
        if document.ids[place : place + len(wanted)] == wanted:
            return place, place + len(wanted) - 1
    return (first, last) if first <= last else None


def to_questions(x):
    """Checks columns of questions and of contexts and returns them."""
    if isinstance(x, dict) and {"question", "context"} <= set(x):
        x = (x["question"], x["context"])
    if not isinstance(x, tuple) or len(x) != 2:
        raise TypeError(
            "`x` must be a tuple of two lists, `(questions, contexts)`, or a "
            f"dict of `question` and `context`. Received: {type(x).__name__}."
        )
    check_texts(x, ("questions", "contexts"))
    return x


def to_answers(y, count):
    """Answers in any form -> list of `(text, start or None)`, or of `None`."""
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
    parts = (answer, None)
    if isinstance(answer, dict) and "text" in answer:
        parts = (answer["text"], answer.get("answer_start"))
    elif isinstance(answer, (list, tuple)) and len(answer) == 2:
        parts = answer
    # SQuAD lists all right answers, of which the first counts.
    text, start = (
        next(iter(part), None) if isinstance(part, (list, tuple)) else part
        for part in parts
    )
    if text is None or text == "":
        return None
    kinds = (numbers.Integral, type(None))
    if not isinstance(text, str) or not isinstance(start, kinds):
        raise TypeError(
            "An answer must be a string, a tuple `(text, start)`, a dict with "
            f"`text` and `answer_start`, or None. Number {index} is {answer!r}."
        )
    return text, None if start is None or start < 0 else int(start)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraQuestionAnsweringPreprocessor(RowPreprocessor):
    """Rows `[CLS] question [SEP] context [SEP]`, several for a long context.

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.
        stride: int. Tokens between the beginnings of two rows of a context.
        max_question_length: int. Tokens of a question that are read.

    Call arguments:
        x: tuple of columns of strings, `(questions, contexts)`, or a dict of
            `question` and `context`.
        y: column of answers: strings, tuples of a string and its first
            character in the context, dicts of `text` and `answer_start` as in
            SQuAD, `None` for no answer; or a tuple of two columns.
        sample_weight: column of numbers, one a question.

    Returns:
        A dict of rows; with `y` it has `start_positions` `(rows,)` and comes
        with an int array `(rows, 3)`: first and last token of the answer (0,
        `[CLS]`, if the row does not hold it), 1 for no answer.
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
        texts = list(dict.fromkeys(contexts))
        parts = zip(texts, *self.tokenizer.encode_with_offsets(texts))
        known = {text: Document(text, *tokens) for text, *tokens in parts}
        documents = [known[context] for context in contexts]
        questions = self.tokenizer.encode_batch(questions)
        questions = [ids[: self.max_question_length] for ids in questions]
        settings = (self.tokenizer, self.sequence_length, self.stride)
        pairs = zip(documents, questions)
        return documents, [split_document(*p, *settings) for p in pairs]

    def pack(self, windows, length=None):
        """Pads the windows of all questions to a dict of arrays."""
        flat = [window for some in windows for window in some]
        ids = [window.ids for window in flat]
        offsets = [window.offset for window in flat]
        return make_rows(ids, offsets, self.tokenizer.pad_token_id, length)

    def rows(self, x, y=None, sample_weight=None, length=None):
        questions, contexts = to_questions(x)
        documents, windows = self.split(questions, contexts)
        x = self.pack(windows, length)
        if y is None:
            return x
        found, examples = [], []
        for i, answer in enumerate(to_answers(y, len(questions))):
            tokens = answer and self._find(questions[i], documents[i], answer)
            found += [(*w.places(tokens), answer is None) for w in windows[i]]
            examples += [i] * len(windows[i])
        y = np.array(found, "int32").reshape(-1, 3)
        x["start_positions"] = y[:, 0]
        if sample_weight is not None:
            sample_weight = np.asarray(sample_weight, "float32")[examples]
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _find(self, question, document, answer):
        tokens = find_answer(document, *answer, self.tokenizer)
        if tokens is not None:
            return tokens
        text, start = answer
        place = "" if start is None else f" at character {start}"
        raise ValueError(
            "An answer must be in its context. That of the question "
            f"{question!r}, {text!r}, is not in it{place}: "
            f"{document.text[start or 0 :][:60]!r}. Correct the start or "
            "leave the question out."
        )

    def output_spec(self, x=None, y=None, sample_weight=None):
        rows = super().output_spec()
        if y is None:
            return rows
        rows["start_positions"] = keras.KerasTensor((None,), "int32")
        y = keras.KerasTensor((None, 3), "int32")
        if sample_weight is not None:
            sample_weight = keras.KerasTensor((None,), "float32")
        return keras.utils.pack_x_y_sample_weight(rows, y, sample_weight)
