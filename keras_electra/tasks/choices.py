"""Rows of several choices as rows of their own, and back.

Shapes: B batch, C choices, L length.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_electra")
class FlattenChoices(keras.layers.Layer):
    """`(B, C, L)` to `(B * C, L)`.

    Args:
        **kwargs: `name`, `dtype` and the like of `keras.layers.Layer`.
    """

    def call(self, x):
        return ops.reshape(x, (-1, ops.shape(x)[2]))

    def compute_output_spec(self, x):
        return keras.KerasTensor((None, x.shape[2]), x.dtype)


@keras.saving.register_keras_serializable(package="keras_electra")
class UnflattenChoices(keras.layers.Layer):
    """Scores `(B * C, 1)` to `(B, C)`, with the inputs for the number.

    Args:
        **kwargs: `name`, `dtype` and the like of `keras.layers.Layer`.
    """

    def call(self, scores, x):
        return ops.reshape(scores, (-1, ops.shape(x)[1]))

    def compute_output_spec(self, scores, x):
        return keras.KerasTensor(x.shape[:2], scores.dtype)
