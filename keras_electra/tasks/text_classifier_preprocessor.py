"""Texts or pairs of texts to the inputs of the classifier."""

import keras
import keras_hub

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.tasks.in_graph import in_graph
from keras_electra.tasks.in_graph import rows_spec
from keras_electra.tasks.rows import NAMES
from keras_electra.tasks.rows import text_rows
from keras_electra.text.preprocessor import BuildsOnce
from keras_electra.text.preprocessor import add_sequence_length
from keras_electra.text.tokenizer import ElectraTokenizer


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTextClassifierPreprocessor(
    BuildsOnce, keras_hub.models.TextClassifierPreprocessor
):
    """Turns texts, or pairs of texts, into token ids of a fixed length.

    A text becomes `[CLS] text [SEP]`, a pair `[CLS] first [SEP] second
    [SEP]` with segment ids 0 and 1.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
        truncate: string. How a pair that is too long is shortened:
            `"round_robin"`, the default, cuts the longer text, as the
            original does; `"waterfall"` cuts the second before the first.
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: a string, a list of strings, a tuple of two of either (pairs), or
            a dict of arrays that is packed already and stays as it is. A
            tuple alone KerasHub takes for `(x, y)`: call it with `y=None`.
        y: labels or `None`.
        sample_weight: weights of the labels or `None`.

    Returns:
        A dict of arrays of shape `(batch, sequence_length)`: `token_ids`,
        `segment_ids` and `padding_mask`; a tuple with `y` and
        `sample_weight` if they are given.
    """

    backbone_cls = ElectraBackbone
    tokenizer_cls = ElectraTokenizer

    def call(self, x, y=None, sample_weight=None):
        if isinstance(x, dict):
            return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        if in_graph():
            return super().call(x, y, sample_weight)
        parts = [
            self.tokenizer(part)
            for part in (x if isinstance(x, tuple) else (x,))
        ]
        # The ids of one text are an array, those of several are lists.
        is_one = not isinstance(parts[0], list)
        if is_one:
            parts = [[part.tolist()] for part in parts]
        x = text_rows(
            parts[0],
            parts[1] if len(parts) > 1 else None,
            self.tokenizer,
            self.sequence_length,
            self.truncate,
            self.sequence_length,
        )
        if is_one:
            x = {name: array[0] for name, array in x.items()}
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def output_spec(self, label_spec=None, weighted=False):
        """What a call on a batch returns, with a `keras.KerasTensor` for
        each array: `label_spec` for the labels."""
        weights = keras.KerasTensor((None,), "float32") if weighted else None
        return keras.utils.pack_x_y_sample_weight(
            rows_spec(self.sequence_length, NAMES), label_spec, weights
        )

    @classmethod
    def _add_missing_kwargs(cls, loader, kwargs):
        return super()._add_missing_kwargs(
            loader, add_sequence_length(loader, kwargs)
        )
