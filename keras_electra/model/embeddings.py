"""Token ids to vectors, and vectors to the two outputs of pre-training.

Generator and discriminator share token, position and segment embeddings by
default, with their normalization, as in the original
(`model/modeling.py:187-218`). The projection to the width of a network is not
part of them, because each network has its own.

B batch, L length, P predicted positions, D hidden, E embedding, V vocabulary.
"""

from typing import Any

import keras
import keras_hub
from keras import ops

from keras_electra.model import layers
from keras_electra.model.adapted import Dense
from keras_electra.model.adapted import ReversibleEmbedding


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraEmbeddings(layers.ConfiguredLayer):
    """Sums three embeddings, then layer normalization and dropout.

    Arguments are those of `ElectraBackbone`; `dropout` is that of the output.
    Called with int arrays `(batch, length)` of token ids and segment ids.
    Returns `(batch, length, embedding_dim)`. In training a function `look_up`,
    if there is one, gives the vectors of the tokens.
    """

    look_up = None

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        max_sequence_length: int = 512,
        num_segments: int = 2,
        dropout: float = 0.1,
        initializer_range: float = 0.02,
        layer_norm_epsilon: float = 1e-12,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.keep_arguments(locals())
        self.token_embedding = ReversibleEmbedding(
            vocabulary_size,
            embedding_dim,
            embeddings_initializer=layers.truncated_normal(self),
            # Else the product with the table, the largest of the generator,
            # is in float32 inside a layer of mixed precision.
            reverse_dtype=self.compute_dtype,
            dtype=self.dtype_policy,
            name="token_embedding",
        )
        self.position_embedding = keras_hub.layers.PositionEmbedding(
            max_sequence_length,
            initializer=layers.truncated_normal(self),
            dtype=self.dtype_policy,
            name="position_embedding",
        )
        self.segment_embedding = keras.layers.Embedding(
            num_segments,
            embedding_dim,
            embeddings_initializer=layers.truncated_normal(self),
            dtype=self.dtype_policy,
            name="segment_embedding",
        )
        self.dropout_layer = layers.HashDropout(
            dropout, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, token_ids_shape, segment_ids_shape=None):
        shape = (*token_ids_shape, self.embedding_dim)
        self.token_embedding.build(token_ids_shape)
        self.position_embedding.build(shape)
        self.segment_embedding.build(token_ids_shape)
        self.add_norm("layer_norm", shape)

    def call(self, token_ids, segment_ids, training=None):
        length = token_ids.shape[1]
        if length is not None and length > self.max_sequence_length:
            raise ValueError(
                "`token_ids` is longer than the network has positions: "
                f"max_sequence_length={self.max_sequence_length}, received "
                f"length {length}. Lower `sequence_length` of the preprocessor "
                "or of `build_examples`, or build the backbone with more."
            )
        look_up = training and self.look_up or self.token_embedding
        tokens = look_up(token_ids)  # (B, L, E)
        x = tokens + self.position_embedding(tokens)
        x = x + self.segment_embedding(segment_ids)
        return self.dropout_layer(self.layer_norm(x), training=training)

    def compute_output_spec(self, token_ids, segment_ids, training=None):
        shape = (*token_ids.shape, self.embedding_dim)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def reverse(self, x: Any) -> Any:
        """Scores `(..., vocabulary_size)` of `x`, `(..., embedding_dim)`."""
        return self.token_embedding(x, reverse=True)


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
