"""Texts to the inputs of the embedder."""

import functools

import keras
import numpy as np

from keras_electra.tasks.in_graph import rows_spec
from keras_electra.tasks.in_graph import run_in_python
from keras_electra.tasks.row_preprocessor import RowPreprocessor
from keras_electra.tasks.rows import NAMES
from keras_electra.tasks.rows import text_rows
from keras_electra.tasks.rows import to_list


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextEmbedderPreprocessor(RowPreprocessor):
    """Turns texts into rows; pairs into two rows that belong together.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: list of strings, or a tuple of two lists. A tuple alone KerasHub
            takes for `(x, y)`: call it with `y=None`.
        y: list or array of groups (int): texts of the same group belong
            together. `None` for texts without; pairs make their own.
        sample_weight: weights of the texts or pairs, or `None`.

    Returns:
        A dict of arrays of shape `(rows, sequence_length)`: `token_ids`,
        `segment_ids` and `padding_mask`. With groups, or for pairs, a tuple
        of it and an int array of shape `(rows,)`, the group of each row, and
        weights if they are given.
    """

    def rows(self, x, y=None, sample_weight=None, length=None):
        """Rows of texts, with their groups; see the class."""
        columns = [to_list(c) for c in (x if isinstance(x, tuple) else (x,))]
        # A pair becomes two neighbours.
        texts = [text for pair in zip(*columns, strict=True) for text in pair]
        if len(columns) > 1 and y is None:
            y = np.arange(len(columns[0]), dtype="int32")
        if y is not None:
            y = np.repeat(np.asarray(to_list(y), "int32"), len(columns))
        if sample_weight is not None:
            weights = np.asarray(to_list(sample_weight), "float32")
            sample_weight = np.repeat(weights, len(columns))
        x = text_rows(
            self.tokenizer.encode_batch(texts),
            None,
            self.tokenizer,
            self.sequence_length,
            length=length,
        )
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def call(self, x, y=None, sample_weight=None):
        if isinstance(x, tuple) and y is None:
            # Only says that groups come out; `rows` numbers them.
            spec = self.output_spec(True, sample_weight is not None)
            rows = functools.partial(self.rows, length=self.sequence_length)
            return run_in_python(rows, (x, y, sample_weight), spec)
        return super().call(x, y, sample_weight)

    def output_spec(self, y=None, weighted=False):
        """What a call returns, with a `keras.KerasTensor` for each array."""
        rows = keras.KerasTensor((None,), "int32")
        weights = keras.KerasTensor((None,), "float32") if weighted else None
        return keras.utils.pack_x_y_sample_weight(
            rows_spec(self.sequence_length, NAMES),
            None if y is None else rows,
            weights,
        )
