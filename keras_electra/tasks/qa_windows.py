"""Questions and documents -> rows of windows, and where answers are.

As in the original (`finetune/qa/qa_tasks.py:71-420`): a document that is too
long is read in windows, with the question in all of them.
"""

import bisect
import collections
import numbers
import re
import typing
from typing import Any

import keras
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.data.inputs import check_texts
from keras_electra.data.rows import RowPreprocessor
from keras_electra.data.rows import make_rows

WORD = re.compile(r"[^ \t\r\n\u202f]+")  # as in `qa_tasks.py:132-133`


# A text in tokens; `offsets` are `(start, end)` of each, in characters.
Document = collections.namedtuple("Document", "text ids offsets")


class QAWindow(typing.NamedTuple):
    """A row of a question and a part of its document."""

    ids: list  # [CLS] question [SEP] part [SEP]
    offset: int  # where in `ids` the part begins
    start: int  # token of the document that the part begins with
    best: list  # for each token of the part: has it most text around it here

    def places(self, tokens: Any) -> tuple[Any, ...]:
        """First and last token of an answer in `ids`; `[CLS]` if not here."""
        stop = self.start + len(self.best)
        if tokens is None or tokens[0] < self.start or tokens[1] >= stop:
            return 0, 0
        return tuple(token + self.offset - self.start for token in tokens)


def split_document(document, question, tokenizer, length, stride):
    """A question (token ids) with each window of a document: `QAWindow`s."""
    head = [tokenizer.cls_token_id, *question, tokenizer.sep_token_id]
    count, room = len(document.ids), length - len(head) - 1
    if room < 1:
        raise ValueError(
            "`sequence_length` must leave room for the document. Received: "
            f"{length} for a question of {len(question)} tokens. Lower "
            "`max_question_length`."
        )
    step = min(stride, room)
    starts = range(0, max(0, count - room) + step, step)
    parts = [slice(start, start + room) for start in starts]
    scores = np.full((len(parts), count), -1.0)
    for row, part in zip(scores, parts):
        # The lesser of the tokens left and right of one counts, and the
        # length of the window; of equals the first (`qa_tasks.py:71-107`).
        left = np.arange(len(row[part]))
        row[part] = np.minimum(left, left[::-1]) + 0.01 * len(left)
    windows, best = [], scores.argmax(axis=0)
    for i, part in enumerate(parts):
        ids = [*head, *document.ids[part], tokenizer.sep_token_id]
        is_best = (best[part] == i).tolist()
        windows.append(QAWindow(ids, len(head), part.start, is_best))
    return windows


def find_answer(document: Any, answer: Any, start: Any, tokenizer: Any) -> Any:
    """First and last token of an answer (str), `None` if it is not there.

    `start` is its first character, by default the first place. Looks for whole
    words between spaces, in these for the tokens that spell it.
    """
    text, ids, offsets = document
    start = text.find(answer) if start is None else start
    stop = start + len(answer)
    if start < 0 or stop > len(text) or not answer.strip():
        return None
    words = [match.span() for match in WORD.finditer(text)]
    # `(n,)` stands just before what begins at `n`.
    first = max(0, bisect.bisect(words, (start + 1,)) - 1)
    words = words[first : bisect.bisect(words, (stop,))]
    spelled = " ".join(text[a:b] for a, b in words)
    if " ".join(answer.split()).lower() not in spelled.lower():
        return None
    first = bisect.bisect(offsets, words[0][:1])
    last = bisect.bisect(offsets, words[-1][1:]) - 1
    [wanted] = tokenizer.encode_batch([answer])
    for place in range(first, last + 2 - len(wanted) if wanted else first):
        if ids[place : place + len(wanted)] == wanted:
            return place, place + len(wanted) - 1
    return (first, last) if first <= last else None


def to_questions(x: Any) -> Any:
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


def to_answers(y: Any) -> list[Any]:
    """Answers in any form -> list of `(text, start or None)`, or of `None`."""
    if isinstance(y, dict) and "text" in y:
        y = (y["text"], y.get("answer_start", [None] * len(y["text"])))
    if isinstance(y, tuple) and len(y) == 2:
        y = list(zip(*y, strict=True))
    return [_to_answer(answer, index) for index, answer in enumerate(y)]


def _to_answer(answer, index):
    parts = answer, None
    if isinstance(answer, dict):
        parts = answer.get("text", answer), answer.get("answer_start")
    elif isinstance(answer, list | tuple) and len(answer) == 2:
        parts = answer
    # SQuAD lists all right answers, of which the first counts.
    text, start = (
        (*part, None)[0] if isinstance(part, list | tuple) else part
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

    Takes `(questions, contexts)`, columns of strings, or a dict of `question`
    and `context`; as labels a column of answers: strings, tuples of a string
    and its first character in the context, dicts of `text` and `answer_start`
    as in SQuAD, `None` for no answer; or a tuple of two columns. Labels become
    `start_positions` `(rows,)` of the rows and an int array `(rows, 3)`: first
    and last token of the answer (0 if not in the row), 1 for no answer.

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.
        stride: int. Tokens between the beginnings of two rows of a context.
        max_question_length: int. Tokens of a question that are read.
    """

    makes_labels = True

    def __init__(
        self,
        tokenizer: keras.Layer,
        sequence_length: int = 512,
        stride: int = 128,
        max_question_length: int = 64,
        **kwargs: object,
    ) -> None:
        super().__init__(tokenizer, sequence_length, **kwargs)
        check_count("stride", stride)
        check_count("max_question_length", max_question_length)
        self.keep_arguments(locals())

    def split(self, questions: object, contexts: object) -> object:
        """Lists of texts to a `Document` and a list of `QAWindow` for each."""
        # Data sets ask many questions about one context.
        texts = list(dict.fromkeys(contexts))
        parts = self.tokenizer.encode_with_offsets(texts)
        known = dict(zip(texts, map(Document, texts, *parts)))
        documents = [known[context] for context in contexts]
        questions = self.tokenizer.encode_batch(questions)
        questions = [ids[: self.max_question_length] for ids in questions]
        settings = (self.tokenizer, self.sequence_length, self.stride)
        pairs = zip(documents, questions)
        return documents, [split_document(*p, *settings) for p in pairs]

    def pack(self, windows: object, length: int | None = None) -> object:
        """Pads the windows of all questions to a dict of arrays."""
        pairs = [(w.ids, w.offset) for some in windows for w in some]
        ids, offsets = zip(*pairs) if pairs else ((), ())
        return make_rows(ids, offsets, self.tokenizer.pad_token_id, length)

    def rows(self, x, y=None, sample_weight=None, length=None):
        questions, contexts = to_questions(x)
        documents, windows = self.split(questions, contexts)
        x = self.pack(windows, length)
        if y is None:
            return x
        found, tokenizer = [], self.tokenizer
        for i, answer in enumerate(to_answers(y)):
            text, start = answer or (None, None)
            tokens = text and find_answer(documents[i], text, start, tokenizer)
            if text and not tokens:
                raise ValueError(
                    "An answer must be in its context. That of the question "
                    f"{questions[i]!r}, {text!r}, is not in it, start={start}: "
                    f"{contexts[i][start or 0 :][:60]!r}. Correct or omit it."
                )
            found += [(*w.places(tokens), not text) for w in windows[i]]
        y = np.array(found, "int32").reshape(-1, 3)
        x["start_positions"] = y[:, 0]
        if sample_weight is not None:
            counts = [*map(len, windows)]
            sample_weight = np.repeat(np.float32(sample_weight), counts)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
