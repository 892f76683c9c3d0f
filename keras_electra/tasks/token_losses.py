"""Binary cross-entropy with one label and one weight a token.

Keras' `BinaryCrossentropy` averages over the last axis before it weights, so
weights of shape `(batch, length)` would not weigh tokens.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_electra")
class TokenBinaryCrossentropy(keras.losses.Loss):
    """Mean over the tokens of the binary cross-entropy of logits.

    The original's discriminator loss: the sum over the weighted tokens by
    the sum of the weights (`run_pretraining.py:197-203`).

    Args:
        reduction: string. As in `keras.losses.Loss`. Defaults to
            `"mean_with_sample_weight"`.
        **kwargs: `name` and `dtype` of `keras.losses.Loss`.

    Call arguments:
        y_true: array of shape `(batch, length)`, 0 or 1.
        y_pred: logits of shape `(batch, length)`.
        sample_weight: array of shape `(batch, length)` or `None`.

    Returns:
        float32 scalar, in nats.
    """

    def __init__(self, reduction="mean_with_sample_weight", **kwargs):
        super().__init__(reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, y_pred.dtype)
        return ops.binary_crossentropy(y_true, y_pred, from_logits=True)
