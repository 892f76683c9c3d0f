"""Texts, or pairs of texts, to the three arrays every network takes.

KerasHub has this in its `TextClassifierPreprocessor`, but there may be only
one of those for a backbone: with two, its `from_preset` picks an arbitrary
one. Tasks and pre-training that need no more than packing derive from here.
"""

import keras
import keras_hub

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import OpensPresets
from keras_electra.text.tokenizer import ElectraTokenizer

# Where the original fine-tunes and reads: no network of it has more positions.
MAX_SEQUENCE_LENGTH = 512


def add_sequence_length(loader, kwargs):
    """Arguments of a preprocessor with a `sequence_length` of its network.

    For `_add_missing_kwargs`, KerasHub's hook for a preprocessor that was not
    saved with the preset; `loader.config` is that of the backbone.
    """
    config = loader.config.get("config", {})
    positions = config.get("max_sequence_length", MAX_SEQUENCE_LENGTH)
    length = min(MAX_SEQUENCE_LENGTH, positions)
    return {"sequence_length": length, **kwargs}


class TextPreprocessor(OpensPresets, keras_hub.models.Preprocessor):
    """Turns texts, or pairs of texts, into token ids of a fixed length.

    It is called on a string, a list of strings, or a tuple of two of either
    (pairs; with `y=None`, as KerasHub takes a tuple alone for `(x, y)`). A
    dict is packed already and stays as it is. The result is a dict of arrays
    of shape `(batch, sequence_length)`: `token_ids`, `segment_ids` and
    `padding_mask`; with labels `y` and `sample_weight` a tuple with them.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to `512`.
        truncate: string. How a pair that is too long is shortened, as in
            `keras_hub.layers.MultiSegmentPacker`: `"round_robin"`, the
            default, or `"waterfall"`.
        **kwargs: `name` and the like of `keras.layers.Layer`.
    """

    backbone_cls = ElectraBackbone
    tokenizer_cls = ElectraTokenizer

    def __init__(
        self, tokenizer, sequence_length=512, truncate="round_robin", **kwargs
    ):
        super().__init__(**kwargs)
        self.tokenizer = tokenizer
        self.packer = None
        self.sequence_length = sequence_length
        self.truncate = truncate

    def build(self, input_shape=None):
        # Not earlier: a tokenizer that is being loaded has no ids yet.
        self.packer = keras_hub.layers.MultiSegmentPacker(
            sequence_length=self.sequence_length,
            start_value=self.tokenizer.cls_token_id,
            end_value=self.tokenizer.sep_token_id,
            pad_value=self.tokenizer.pad_token_id,
            truncate=self.truncate,
        )
        self.built = True

    def call(self, x, y=None, sample_weight=None):
        if not isinstance(x, dict):
            x = self.pack(x)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def pack(self, x):
        """Turns texts, or a tuple of texts, into the dict of arrays."""
        segments = x if isinstance(x, tuple) else (x,)
        segments = tuple(self.tokenizer(segment) for segment in segments)
        token_ids, segment_ids = self.packer(segments)
        return {
            "token_ids": token_ids,
            "segment_ids": segment_ids,
            "padding_mask": token_ids != self.tokenizer.pad_token_id,
        }

    @classmethod
    def _add_missing_kwargs(cls, loader, kwargs):
        return super()._add_missing_kwargs(
            loader, add_sequence_length(loader, kwargs)
        )

    @property
    def sequence_length(self):
        """Length of the rows, in tokens."""
        return self._sequence_length

    @sequence_length.setter
    def sequence_length(self, value):
        self._sequence_length = value
        if self.packer is not None:
            self.packer.sequence_length = value

    def get_config(self):
        config = super().get_config()
        config["sequence_length"] = self.sequence_length
        config["truncate"] = self.truncate
        return config
