"""Texts to the inputs of the discriminator on its own."""

import keras

from keras_electra.text.preprocessor import TextPreprocessor


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraReplacedTokenDetectorPreprocessor(TextPreprocessor):
    """Turns texts, or pairs of texts, into token ids of a fixed length.

    Labels are one a token of the packed row, `[CLS]` and `[SEP]` included.
    Where no weights come with them, padding gets weight 0.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
        truncate: string. How a pair that is too long is shortened, as in
            `keras_hub.layers.MultiSegmentPacker`. Defaults to
            `"round_robin"`.
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: a string, a list of strings, a tuple of two of either (pairs), or
            a dict of arrays that is packed already and stays as it is. A
            tuple alone KerasHub takes for `(x, y)`: call it with `y=None`.
        y: array of shape `(batch, sequence_length)`, 1 where a token is
            replaced, or `None`.
        sample_weight: array of the shape of `y`, or `None`.

    Returns:
        A dict of arrays of shape `(batch, sequence_length)`: `token_ids`,
        `segment_ids` and `padding_mask`; with `y` a tuple of it, `y` and
        `sample_weight`.
    """

    def call(self, x, y=None, sample_weight=None):
        if not isinstance(x, dict):
            x = self.pack(x)
        if y is not None and sample_weight is None:
            sample_weight = x["padding_mask"]
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
