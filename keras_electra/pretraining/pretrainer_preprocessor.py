"""Raw text to the inputs of the pre-trainer.

Nothing is masked here: the pre-trainer masks anew at every step, on the
device, so a text is never seen twice with the same masks.
"""

import keras
import keras_hub

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.text.tokenizer import ElectraTokenizer


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraPretrainerPreprocessor(
    keras_hub.models.TextClassifierPreprocessor
):
    """Turns texts, or pairs of texts, into token ids of a fixed length.

    Packing of documents into full rows is the business of
    `keras_electra.build_examples`; here every text is a row of its own, cut
    or padded.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to `128`.
        truncate: string. How a pair that is too long is shortened, as in
            `keras_hub.layers.MultiSegmentPacker`. Defaults to
            `"round_robin"`.
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: a string, a list of strings, or a tuple of two lists of strings.

    Returns:
        A dict of int32 arrays of shape `(batch, sequence_length)`:
        `token_ids`, `segment_ids` and `padding_mask`.
    """

    backbone_cls = ElectraBackbone
    tokenizer_cls = ElectraTokenizer

    def __init__(
        self, tokenizer, sequence_length=128, truncate="round_robin", **kwargs
    ):
        super().__init__(
            tokenizer,
            sequence_length=sequence_length,
            truncate=truncate,
            **kwargs,
        )
