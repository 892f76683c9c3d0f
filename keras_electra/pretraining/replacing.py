"""From the drawn tokens to the text that the discriminator reads."""

import keras
from keras import ops

from keras_electra.pretraining.masking import replace_ids


@keras.saving.register_keras_serializable(package="keras_electra")
class UniformLogits(keras.layers.Layer):
    """Stands for a generator that knows nothing: every token is as likely.

    Args:
        vocabulary_size: int. Number of token ids.
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        mask_positions: int array of shape `(batch, positions)`.

    Output shape:
        Zeros of shape `(batch, positions, vocabulary_size)`.
    """

    def __init__(self, vocabulary_size, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size

    def call(self, mask_positions):
        shape = (*ops.shape(mask_positions), self.vocabulary_size)
        return ops.zeros(shape, dtype="float32")

    def compute_output_spec(self, mask_positions):
        return keras.KerasTensor(
            (*mask_positions.shape, self.vocabulary_size), dtype="float32"
        )

    def get_config(self):
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}


@keras.saving.register_keras_serializable(package="keras_electra")
class ReplaceTokens(keras.layers.Layer):
    """Puts the drawn tokens into the text, and says which are new.

    A draw that hits the right token leaves the token original (paper,
    section 2).

    Call arguments:
        token_ids: int array of shape `(batch, length)`, without masks.
        mask_positions, sampled_ids, mask_weights: arrays of shape
            `(batch, positions)`.

    Returns:
        A dict of arrays of shape `(batch, length)`: `token_ids` and
        `replaced` (int32, 1 where the token is another one).
    """

    def call(self, token_ids, mask_positions, sampled_ids, mask_weights):
        new_ids = replace_ids(
            token_ids, mask_positions, sampled_ids, mask_weights
        )
        return {
            "token_ids": new_ids,
            "replaced": ops.cast(new_ids != token_ids, "int32"),
        }

    def compute_output_spec(
        self, token_ids, mask_positions, sampled_ids, mask_weights
    ):
        return {
            "token_ids": keras.KerasTensor(token_ids.shape, dtype="int32"),
            "replaced": keras.KerasTensor(token_ids.shape, dtype="int32"),
        }
