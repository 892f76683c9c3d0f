"""Raw text to the inputs of the pre-trainer.

Nothing is masked here: the pre-trainer masks anew at every step, on the
device, so a text is hardly ever seen twice with the same masks.
"""

import keras

from keras_electra.data.rows import TextPreprocessor


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraPretrainerPreprocessor(TextPreprocessor):
    """Turns texts, or pairs of texts, into token ids of a fixed length.

    Every text is a row of its own, cut or padded. Documents are packed into
    full rows by `keras_electra.build_examples`, which wastes nothing.

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
        A dict of int arrays of shape `(batch, sequence_length)`: `token_ids`,
        `segment_ids` and `padding_mask`.
    """

    def __init__(
        self, tokenizer, sequence_length=128, truncate="round_robin", **kwargs
    ):
        super().__init__(
            tokenizer,
            sequence_length=sequence_length,
            truncate=truncate,
            **kwargs,
        )
