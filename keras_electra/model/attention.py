"""Multi-head self-attention over padded rows.

Query, key and value come from one matrix product: the same numbers as three
(each has its own columns and its own draw of initial values), in one large
product instead of three small ones. Scores are soft-maxed in float32.

Accelerators have kernels that never write the scores to memory. They are used
where no weights are dropped, which these kernels cannot do alike on every
backend; on a CPU plain products are faster.

Shapes: B batch, L length, D hidden, N heads, H = D / N.
"""

import keras
from keras import ops

from keras_electra.backend.numerics import MASKED_SCORE
from keras_electra.backend.numerics import on_accelerator
from keras_electra.model.dropout import HashDropout


@keras.saving.register_keras_serializable(package="keras_electra")
class SelfAttention(keras.layers.Layer):
    """Every token reads from every token of its row that is not padding.

    Args:
        num_heads: int. Number of heads; divides the width of the input.
        dropout: float. Share of the attention weights that is dropped.
            Defaults to `0.1`.
        initializer_range: float. Standard deviation of the truncated normal
            the kernels start from. Defaults to `0.02`.
        **kwargs: `name`, `dtype` and the like of `keras.layers.Layer`.

    Call arguments:
        x: float array of shape `(batch, length, hidden_dim)`.
        padding_mask: array of shape `(batch, length)`, 1 for a token, 0 for
            padding.
        seed: of the dropout, from `dropout_layer.draw_seed`. Defaults to
            `None`: nothing is dropped.

    Output shape:
        `(batch, length, hidden_dim)`.

    Raises:
        ValueError: when `num_heads` does not divide `hidden_dim`.
    """

    def __init__(
        self, num_heads, dropout=0.1, initializer_range=0.02, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = dropout
        self.initializer_range = initializer_range
        self.fused = on_accelerator()
        self.dropout_layer = HashDropout(
            dropout, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, x_shape, padding_mask_shape=None):
        width = x_shape[-1]
        if width % self.num_heads:
            raise ValueError(
                "`num_heads` must divide `hidden_dim`. Received: "
                f"num_heads={self.num_heads}, hidden_dim={width}."
            )

        def dense(units, name):
            return keras.layers.Dense(
                units,
                kernel_initializer=keras.initializers.TruncatedNormal(
                    stddev=self.initializer_range
                ),
                dtype=self.dtype_policy,
                name=name,
            )

        self.query_key_value = dense(3 * width, "query_key_value")
        self.query_key_value.build(x_shape)
        self.output_dense = dense(width, "output_dense")
        self.output_dense.build(x_shape)
        self.built = True

    def call(self, x, padding_mask, seed=None):
        length, width = ops.shape(x)[1], x.shape[-1]
        head = width // self.num_heads
        x = self.query_key_value(x)  # (B, L, 3D)
        x = ops.reshape(x, (-1, length, 3, self.num_heads, head))
        if self.fused and seed is None:
            x = self._fused(x, padding_mask)  # (B, L, N, H)
        else:
            x = self._plain(x, padding_mask, seed)
        return self.output_dense(ops.reshape(x, (-1, length, width)))

    def _fused(self, x, padding_mask):
        query, key, value = ops.unstack(x, 3, axis=2)  # (B, L, N, H)
        length = ops.shape(x)[1]
        mask = ops.cast(padding_mask, "bool")[:, None, None, :]
        mask = ops.broadcast_to(mask, (ops.shape(x)[0], 1, length, length))
        return ops.dot_product_attention(query, key, value, mask=mask)

    def _plain(self, x, padding_mask, seed):
        head = x.shape[-1]
        x = ops.transpose(x, (2, 0, 3, 1, 4))  # (3, B, N, L, H)
        # Not `x[0]`: its gradient is a whole array of zeros on some backends.
        query, key, value = ops.unstack(x, 3)
        query = query * head**-0.5
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))  # (B, N, L, L)
        # float32: a softmax over hundreds of keys in half precision loses
        # the small weights.
        scores = ops.cast(scores, "float32")
        padding = 1.0 - ops.cast(padding_mask, "float32")
        scores = scores + MASKED_SCORE * padding[:, None, None, :]
        weights = ops.cast(ops.softmax(scores), self.compute_dtype)
        weights = self.dropout_layer.drop(weights, seed)
        return ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))

    def compute_output_spec(self, x, padding_mask, seed=None):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "num_heads": self.num_heads,
                "dropout": self.dropout,
                "initializer_range": self.initializer_range,
            }
        )
        return config
