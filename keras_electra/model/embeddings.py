"""Token, position and segment embeddings as one layer.

Generator and discriminator share it by default, with its normalization, as in
the original (`model/modeling.py:187-218`). The projection to the width of a
network is not part of it, because each network has its own.
"""

from typing import Any

import keras
import keras_hub

from keras_electra.model import layers
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
