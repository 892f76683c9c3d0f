"""Contexts and their choices to the inputs of multiple choice."""

import keras
import numpy as np

from keras_electra.tasks.in_graph import rows_spec
from keras_electra.tasks.row_preprocessor import RowPreprocessor
from keras_electra.tasks.rows import NAMES
from keras_electra.tasks.rows import text_rows
from keras_electra.tasks.sentences import to_list


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraMultipleChoicePreprocessor(RowPreprocessor):
    """Turns a context and each of its choices into a row.

    A row is `[CLS] context [SEP] choice [SEP]`; of the two the longer is
    shortened.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: tuple of a list of strings, the contexts, and a list with, for
            each, a list of equally many choices (or an array of shape
            `(batch, choices)`, or a tuple of columns, one a choice). A tuple
            alone KerasHub takes for `(x, y)`: call it with `y=None`.
        y: numbers of the right choices, from 0, or `None`.
        sample_weight: weights of the examples, or `None`.

    Returns:
        A dict of arrays of shape `(batch, choices, sequence_length)`:
        `token_ids`, `segment_ids` and `padding_mask`; a tuple with `y` and
        `sample_weight` if they are given.
    """

    def rows(self, x, y=None, sample_weight=None):
        """Rows of contexts with choices; see the class."""
        contexts, choices = to_choices(x)
        shape = (len(choices), len(choices[0]), self.sequence_length)
        ids = self.tokenizer.encode_batch(contexts)
        first = [row for row, texts in zip(ids, choices) for _ in texts]
        second = self.tokenizer.encode_batch(
            [text for texts in choices for text in texts]
        )
        x = text_rows(first, second, self.tokenizer, self.sequence_length)
        x = {name: array.reshape(shape) for name, array in x.items()}
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def output_spec(self, y=None, weighted=False):
        """What a call returns, with a `keras.KerasTensor` for each array."""
        rows = keras.KerasTensor((None,), "int32")
        weights = keras.KerasTensor((None,), "float32") if weighted else None
        return keras.utils.pack_x_y_sample_weight(
            rows_spec(self.sequence_length, NAMES, middle=(None,)),
            None if y is None else rows,
            weights,
        )


def to_choices(x):
    """Contexts, and lists of as many choices for each.

    Args:
        x: see `ElectraMultipleChoicePreprocessor`.

    Returns:
        `(contexts, choices)`: list of str, and list of lists of str.

    Raises:
        TypeError: when `x` is not a tuple of two columns of strings.
        ValueError: when there are no examples, or numbers of choices differ,
            or a string is empty.
    """
    if not isinstance(x, tuple) or len(x) != 2:
        raise TypeError(
            "`x` must be a tuple of two lists, `(contexts, choices)`, with a "
            f"list of choices for each context. Received: {type(x).__name__}."
        )
    contexts, choices = x
    if isinstance(choices, tuple):
        choices = list(zip(*map(to_list, choices), strict=True))
    contexts, choices = to_list(contexts), to_list(choices)
    choices = [
        [texts] if isinstance(texts, (str, bytes)) else to_list(texts)
        for texts in choices
    ]
    counts = sorted({len(texts) for texts in choices})
    if len(contexts) != len(choices) or len(counts) != 1 or counts[0] < 2:
        raise ValueError(
            "`x` must hold at least one context, and for each the same number "
            f"of choices, at least 2. Received: {len(contexts)} contexts, "
            f"{len(choices)} lists of choices of the lengths {counts}."
        )
    for index, texts in enumerate(zip(contexts, *zip(*choices))):
        for text in texts:
            if not isinstance(text, (str, bytes)):
                raise TypeError(
                    "Contexts and choices must be strings. Example "
                    f"{index} holds {text!r} of type {type(text).__name__}."
                )
            if not text.strip():
                raise ValueError(
                    "Contexts and choices must not be empty. Example "
                    f"{index} holds {text!r}. Leave the example out."
                )
    decode = np.vectorize(
        lambda t: t.decode("utf-8") if isinstance(t, bytes) else t,
        otypes=[object],
    )
    return decode(contexts).tolist(), decode(choices).tolist()
