"""What preprocessors share that make rows in Python."""

import functools

import keras
import keras_hub

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import OpensPresets
from keras_electra.tasks.in_graph import run_in_python
from keras_electra.text.preprocessor import add_sequence_length
from keras_electra.text.tokenizer import ElectraTokenizer


class RowPreprocessor(OpensPresets, keras_hub.models.Preprocessor):
    """Turns batches of raw data into rows; for one kind of task each.

    A subclass has `rows`, from `(x, y, sample_weight)` to what
    `keras.utils.pack_x_y_sample_weight` returns, as long as the longest row
    or as `length` says, and `output_spec`.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
        **kwargs: `name` and the like of `keras.layers.Layer`.
    """

    backbone_cls = ElectraBackbone
    tokenizer_cls = ElectraTokenizer

    def __init__(self, tokenizer, sequence_length=512, **kwargs):
        super().__init__(**kwargs)
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        # It has no weights; `quantize` of a task refuses unbuilt layers.
        self.built = True

    def call(self, x, y=None, sample_weight=None):
        if isinstance(x, dict) and "token_ids" in x:
            return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        spec = self.output_spec(y, sample_weight is not None)
        rows = functools.partial(self.rows, length=self.sequence_length)
        return run_in_python(rows, (x, y, sample_weight), spec)

    @classmethod
    def _add_missing_kwargs(cls, loader, kwargs):
        return super()._add_missing_kwargs(
            loader, add_sequence_length(loader, kwargs)
        )

    def get_config(self):
        config = super().get_config()
        config["sequence_length"] = self.sequence_length
        return config
