"""Texts or pairs of texts to the inputs of the classifier."""

import keras
import keras_hub

from keras_electra.model.backbone import ElectraBackbone
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
        truncate: string. How a pair that is too long is shortened, as in
            `keras_hub.layers.MultiSegmentPacker`: `"round_robin"`, the
            default, or `"waterfall"`.
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: a string, a list of strings, or a tuple of two of either (pairs).
            A tuple alone KerasHub takes for `(x, y)`: call it with `y=None`.
        y: labels or `None`.
        sample_weight: weights of the labels or `None`.

    Returns:
        A dict of arrays of shape `(batch, sequence_length)`: `token_ids`,
        `segment_ids` and `padding_mask`; a tuple with `y` and
        `sample_weight` if they are given.
    """

    backbone_cls = ElectraBackbone
    tokenizer_cls = ElectraTokenizer

    @classmethod
    def _add_missing_kwargs(cls, loader, kwargs):
        return super()._add_missing_kwargs(
            loader, add_sequence_length(loader, kwargs)
        )
