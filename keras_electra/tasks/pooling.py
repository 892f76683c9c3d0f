"""Vectors of tokens -> one vector a text.

Shapes: B batch, L length, D hidden.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_electra")
class Pooling(keras.layers.Layer):
    """The mean of the vectors of a row, or its first; in float32.

    Args:
        pooling: string. `"mean"`, the default, over all tokens but padding,
            or `"cls"`, the vector of `[CLS]`.
        normalize: bool. Whether vectors get length 1. Defaults to `True`.
        **kwargs: `name`, `dtype` and the like of `keras.layers.Layer`.

    Call arguments:
        x: float array of shape `(batch, length, hidden_dim)`.
        padding_mask: array of shape `(batch, length)`, 1 for a token.

    Output shape:
        `(batch, hidden_dim)`.
    """

    def __init__(self, pooling="mean", normalize=True, **kwargs):
        super().__init__(**kwargs)
        self.pooling = pooling
        self.normalize = normalize

    def call(self, x, padding_mask):
        x = ops.cast(x, "float32")
        if self.pooling == "cls":
            x = x[:, 0]
        else:
            mask = ops.cast(padding_mask, "float32")[:, :, None]  # (B, L, 1)
            count = ops.maximum(ops.sum(mask, axis=1), 1.0)
            x = ops.sum(x * mask, axis=1) / count
        return ops.normalize(x, axis=-1) if self.normalize else x

    def compute_output_spec(self, x, padding_mask):
        return keras.KerasTensor((x.shape[0], x.shape[2]), "float32")

    def get_config(self):
        config = super().get_config()
        config.update({"pooling": self.pooling, "normalize": self.normalize})
        return config
