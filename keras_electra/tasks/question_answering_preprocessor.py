"""Questions and contexts to the inputs of question answering."""

import keras
import numpy as np

from keras_electra.tasks.in_graph import rows_spec
from keras_electra.tasks.qa_inputs import to_answers
from keras_electra.tasks.qa_inputs import to_questions
from keras_electra.tasks.qa_windows import answer_positions
from keras_electra.tasks.qa_windows import find_answer
from keras_electra.tasks.qa_windows import read_document
from keras_electra.tasks.qa_windows import split_document
from keras_electra.tasks.row_preprocessor import RowPreprocessor
from keras_electra.tasks.rows import NAMES
from keras_electra.tasks.rows import make_rows


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraQuestionAnsweringPreprocessor(RowPreprocessor):
    """Turns questions with their contexts into rows of windows.

    A row is `[CLS] question [SEP] part of the context [SEP]`. A context that
    is too long becomes several rows: the batch grows.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
        stride: int. Tokens between the beginnings of two windows. Defaults
            to `128`, the original's (`configure_finetuning.py:82-83`).
        max_question_length: int. Tokens of a question that are read. Defaults
            to `64`, the original's.
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: tuple of two lists of strings, `(questions, contexts)`, or a dict
            of them with `question` and `context`. A tuple alone KerasHub
            takes for `(x, y)`: call it with `y=None`.
        y: list with, for each question, its answer: a string, a tuple of a
            string and its first character in the context, a dict with `text`
            and `answer_start` as in SQuAD, or `None` where there is none. Or
            a tuple of two columns, strings and numbers. Or `None`.
        sample_weight: list or array of one weight a question, or `None`.

    Returns:
        A dict of arrays of shape `(rows, sequence_length)`: `token_ids`,
        `segment_ids` and `padding_mask`. With `y` it has `start_positions`
        of shape `(rows,)`, too, and comes in a tuple with an int array of
        shape `(rows, 3)`: first and last token of the answer (0, `[CLS]`,
        where the row does not hold it), and 1 for a question without answer.

    Raises:
        ValueError: when an answer is not in its context.
    """

    def __init__(
        self,
        tokenizer,
        sequence_length=512,
        stride=128,
        max_question_length=64,
        **kwargs,
    ):
        super().__init__(tokenizer, sequence_length, **kwargs)
        for name, value in (
            ("stride", stride),
            ("max_question_length", max_question_length),
        ):
            if value < 1:
                raise ValueError(
                    f"`{name}` must be at least 1 token. "
                    f"Received: {name}={value}."
                )
        self.stride = stride
        self.max_question_length = max_question_length

    def split(self, questions, contexts):
        """Reads contexts and splits them into windows.

        Args:
            questions: list of str.
            contexts: list of str.

        Returns:
            `(documents, windows)`: for each question a `Document` and a list
            of `QAWindow`.
        """
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

    def pack(self, windows):
        """Pads a list of `QAWindow` to a dict of arrays."""
        return make_rows(
            [window.ids for window in windows],
            [
                [0] * window.offset + [1] * (len(window.ids) - window.offset)
                for window in windows
            ],
            self.tokenizer.pad_token_id,
            self.sequence_length,
        )

    def rows(self, x, y=None, sample_weight=None):
        """Rows of windows, with answers and weights; see the class."""
        questions, contexts = to_questions(x)
        documents, windows = self.split(questions, contexts)
        flat = [window for some in windows for window in some]
        x = self.pack(flat)
        weights = None
        if sample_weight is not None:
            weights = [sample_weight[window.example] for window in flat]
            weights = np.array(weights, "float32")
        if y is None:
            return x
        answers = to_answers(y, len(questions))
        tokens = [
            self._find(document, answer, index)
            for index, (document, answer) in enumerate(zip(documents, answers))
        ]
        y = np.array(
            [
                (
                    *answer_positions(window, tokens[window.example]),
                    answers[window.example] is None,
                )
                for window in flat
            ],
            "int32",
        )
        x["start_positions"] = y[:, 0]
        return keras.utils.pack_x_y_sample_weight(x, y, weights)

    def _find(self, document, answer, index):
        if answer is None:
            return None
        tokens = find_answer(document, *answer, self.tokenizer)
        if tokens is None:
            text, start = answer
            place = "" if start is None else f" at character {start}"
            raise ValueError(
                "An answer must be in its context. That of question number "
                f"{index}, {text!r}, is not in it{place}: "
                f"{document.text[start or 0 :][:60]!r}. Correct "
                "`answer_start` or leave the question out."
            )
        return tokens

    def output_spec(self, y=None, weighted=False):
        """What a call returns, with a `keras.KerasTensor` for each array."""
        x = rows_spec(self.sequence_length, NAMES)
        if y is None:
            return x
        x["start_positions"] = keras.KerasTensor((None,), "int32")
        weights = keras.KerasTensor((None,), "float32") if weighted else None
        return keras.utils.pack_x_y_sample_weight(
            x, keras.KerasTensor((None, 3), "int32"), weights
        )

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "stride": self.stride,
                "max_question_length": self.max_question_length,
            }
        )
        return config
