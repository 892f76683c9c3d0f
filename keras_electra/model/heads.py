"""The two outputs of pre-training: which token, and is it the original one?

B batch, L length, P predicted positions, D hidden, E embedding, V vocabulary.
"""

from typing import Any

import keras
from keras import ops

from keras_electra.model import layers
from keras_electra.model.adapted import Dense


def gather_positions(x: Any, positions: Any) -> Any:
    """Picks the vectors of `x`, `(B, L, D)`, at `positions`, `(B, P)`."""
    length, width = ops.shape(x)[1], x.shape[-1]
    rows, count = ops.shape(positions)
    flat = ops.arange(rows, dtype="int32")[:, None] * length + positions
    x = ops.reshape(x, (-1, width))
    picked = ops.take(x, ops.reshape(flat, (-1,)), axis=0)
    return ops.reshape(picked, (-1, count, width))


@keras.saving.register_keras_serializable(package="keras_electra")
class TokenPredictionHead(layers.ConfiguredLayer):
    """Predicts the token at selected positions (the generator's head).

    Dense layer to the width of the embeddings, activation, normalization,
    product with the token table, bias (original `run_pretraining.py:205-230`).

    Args:
        embeddings: `ElectraEmbeddings`. Its token table is the output matrix.
        activation, initializer_range: as in `ElectraBackbone`.
        tie_embeddings: bool. `False` is for checkpoints with an output matrix
            of their own. Defaults to `True`, as in the original.

    Called with `x`, `(B, L, D)`, and `mask_positions`, `(B, P)`: `(B, P, V)`.
    """

    def __init__(
        self,
        embeddings: Any,
        activation: Any = "gelu",
        initializer_range: float = 0.02,
        tie_embeddings: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.keep_arguments(locals())
        self.layer_norm_epsilon = embeddings.layer_norm_epsilon

    def build(self, x_shape: Any, mask_positions_shape: Any = None) -> None:
        sizes = self.embeddings.vocabulary_size, self.embeddings.embedding_dim
        self.add_dense("dense", sizes[1], x_shape, self.activation)
        self.add_norm("layer_norm", (*x_shape[:-1], sizes[1]))
        self.bias = self.add_weight(sizes[:1], "zeros", name="bias")
        self.output_embeddings = None
        if not self.tie_embeddings:
            self.output_embeddings = self.add_weight(
                sizes, layers.truncated_normal(self), name="output_embeddings"
            )

    def call(self, x: Any, mask_positions: Any) -> Any:
        x = gather_positions(x, mask_positions)  # (B, P, D)
        x = self.layer_norm(self.dense(x))  # (B, P, E)
        if self.tie_embeddings:
            return self.embeddings.reverse(x) + self.bias  # (B, P, V)
        table = ops.cast(self.output_embeddings, self.compute_dtype)
        return ops.matmul(x, ops.transpose(table)) + self.bias  # (B, P, V)

    def compute_output_spec(self, x: Any, mask_positions: Any) -> Any:
        shape = (*mask_positions.shape, self.embeddings.vocabulary_size)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="keras_electra")
class ReplacedTokenHead(layers.ConfiguredLayer):
    """Scores every token as replaced or not (the discriminator's head).

    Dense layer of the network's width, activation, one output, which starts
    from Glorot uniform (original `run_pretraining.py:180-203`). Called with
    `x`, `(B, L, D)`. Returns logits `(B, L)`; positive means replaced.
    """

    def __init__(self, activation="gelu", initializer_range=0.02, **kwargs):
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def build(self, x_shape: Any) -> None:
        self.add_dense("dense", x_shape[-1], x_shape, self.activation)
        output = Dense(1, dtype=self.dtype_policy, name="output_dense")
        self.add_built(output, x_shape)

    def call(self, x: Any) -> Any:
        return ops.squeeze(self.output_dense(self.dense(x)), axis=-1)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape[:-1], dtype=self.compute_dtype)
