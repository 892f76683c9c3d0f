"""One layer of the encoder: self-attention and a feed-forward block.

Query, key and value come from one matrix product, faster than three. On
accelerators a kernel is used that never writes the scores to memory; on a CPU
plain products are faster. With dropout of weights only torch has such a kernel
(see `backend/torch_attention.py`): JAX's own has none, and that of cuDNN counts
the calls since the start of the process, so that no run could be resumed.

Shapes: B batch, L length, D hidden, N heads, H = D / N.
"""

import functools
from typing import Any

import keras
from keras import ops

from keras_electra.arguments import check_option
from keras_electra.backend import encoder_layer
from keras_electra.backend import numerics
from keras_electra.model import layers


class SelfAttention(layers.ConfiguredLayer):
    """Every token reads from every token of its row that is not padding.

    Arguments are those of `ElectraBackbone`; `dropout` is of the weights.
    Called with `x`, `(B, L, D)`, as the result is, `padding_mask`, `(B, L)`, 1
    for a token, and the `seed` of `dropout_layer.draw_seed`, or `None`.
    """

    direction = 0  # 1: reads from itself and what is before, -1: after it

    def __init__(
        self, num_heads, dropout=0.1, initializer_range=0.02, **kwargs
    ):
        super().__init__(**kwargs)
        self.keep_arguments(locals())
        self.fused = numerics.on_accelerator()
        self.dropout_layer = layers.HashDropout(dropout, name="dropout")

    def build(self, x_shape: Any, padding_mask_shape: Any = None) -> None:
        width = x_shape[-1]
        if width % self.num_heads:
            raise ValueError(
                "`num_heads` must divide `hidden_dim`. Received: "
                f"num_heads={self.num_heads}, hidden_dim={width}."
            )
        self.add_dense("query_key_value", 3 * width, x_shape)
        self.add_dense("output_dense", width, x_shape)

    def call(self, x: Any, padding_mask: Any, seed: Any = None) -> Any:
        length, width = ops.shape(x)[1], x.shape[-1]
        shape = (-1, length, 3, self.num_heads, width // self.num_heads)
        x = ops.reshape(self.query_key_value(x), shape)
        plain = self.direction or numerics.kernels_are_off()
        fused = self.fused and not plain
        own = getattr(encoder_layer, "fused_attention", None)
        if fused and own:  # (B, L, N, H)
            x = own(x, padding_mask, 0.0 if seed is None else self.dropout)
        elif fused and seed is None:
            x = self._fused(x, padding_mask)
        else:
            x = self._plain(x, padding_mask, seed)
        return self.output_dense(ops.reshape(x, (-1, length, width)))

    def _fused(self, x, padding_mask):
        query, key, value = ops.unstack(x, 3, axis=2)  # (B, L, N, H)
        rows, length = ops.shape(padding_mask)
        mask = ops.cast(padding_mask, "bool")[:, None, None, :]
        mask = ops.broadcast_to(mask, (rows, 1, length, length))
        return ops.dot_product_attention(query, key, value, mask=mask)

    def _plain(self, x, padding_mask, seed):
        head = x.shape[-1]
        x = ops.transpose(x, (2, 0, 3, 1, 4))  # (3, B, N, L, H)
        # Not `x[0]`: its gradient is a whole array of zeros on some backends.
        query, key, value = ops.unstack(x, 3)
        query = query * head**-0.5
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))  # (B, N, L, L)
        if self.direction:
            places = self.direction * ops.arange(ops.shape(scores)[-1])
            is_hidden = places[None, :] > places[:, None]
            is_hidden = is_hidden & (padding_mask > 0)[:, None, None, :]
            penalty = numerics.MASKED_SCORE * ops.cast(is_hidden, scores.dtype)
            scores = scores + penalty
        settings = padding_mask, self.compute_dtype, self.dropout, seed
        weigh = numerics.recomputed(
            lambda scores: numerics.attention_weights(scores, *settings),
            self.fused,
        )
        return ops.transpose(ops.matmul(weigh(scores), value), (0, 2, 1, 3))


@keras.saving.register_keras_serializable(package="keras_electra")
class TransformerLayer(layers.ConfiguredLayer):
    """Self-attention, then a feed-forward block, each added to its input.

    Each sum is normalized. Dropout is where the original has it
    (`model/modeling.py:830-880`): on what is added. Arguments are those of
    `ElectraBackbone`. Called with `x` and `padding_mask` as `SelfAttention`;
    `seeds` are of `draw_seeds(training)`, which draws them by default.
    """

    def __init__(
        self,
        num_heads: int,
        intermediate_dim: int,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        activation: Any = "gelu",
        initializer_range: float = 0.02,
        layer_norm_epsilon: float = 1e-12,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.keep_arguments(locals())
        self.attention = SelfAttention(
            num_heads,
            dropout=attention_dropout,
            initializer_range=initializer_range,
            dtype=self.dtype_policy,
            name="attention",
        )
        self.dropout_layer = layers.HashDropout(dropout, name="dropout")

    def build(self, x_shape: Any, padding_mask_shape: Any = None) -> None:
        inner = self.intermediate_dim
        self.attention.build(x_shape)
        self.add_norm("attention_layer_norm", x_shape)
        self.add_dense("intermediate_dense", inner, x_shape, self.activation)
        self.add_dense("output_dense", x_shape[-1], (*x_shape[:-1], inner))
        self.add_norm("output_layer_norm", x_shape)

    def draw_seeds(self, training: bool | None) -> list[Any]:
        """Seeds of the attention weights and the two outputs, or `None`s."""
        output = self.dropout_layer
        dropouts = self.attention.dropout_layer, output, output
        return [dropout.draw_seed(training) for dropout in dropouts]

    def call(self, x, padding_mask, training=None, seeds=None):
        seeds = seeds or self.draw_seeds(training)
        if encoder_layer.can_run(self, x, training):
            return encoder_layer.run(self, x, padding_mask, training, seeds)
        y = self.attention(x, padding_mask, seeds[0])
        y = numerics.drop(y, self.dropout, seeds[1])
        x = self.attention_layer_norm(x + y)
        y = self.output_dense(self.intermediate_dense(x))
        y = numerics.drop(y, self.dropout, seeds[2])
        return self.output_layer_norm(x + y)

    def rematerialized_call(self, layer_call, *args, **kwargs):
        """What `keras.RematScope` computes twice has its dropout drawn once."""
        seeds = self.draw_seeds(kwargs.get("training"))
        # Keywords are bound here: TensorFlow rematerializes without them.
        call = functools.partial(layer_call, seeds=seeds, **kwargs)
        call = super().rematerialized_call(call, *args, **kwargs)
        return lambda *args, **_: call(*args)

    def compute_output_spec(self, x, padding_mask, training=None, seeds=None):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)


def layout_map(device_mesh: object, model_dim_name: str = "model") -> object:
    """Layouts of the weights of every model here, for `ModelParallel` on JAX.

    The products of encoder layers are split, with the slots of optimizers; all
    else, a fifth of a `base` network, is on each device. Set it before a model
    is made:

    ```python
    mesh = keras.distribution.DeviceMesh((4, 2), ("batch", "model"))
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layout_map(mesh))
    )
    ```

    Args:
        device_mesh: `keras.distribution.DeviceMesh`; its first axis is of rows
            of a batch, one is named `model_dim_name`. The size of that must
            divide `hidden_dim` and `intermediate_dim` of all networks.
        model_dim_name: str, the axis over which weights are split.

    Returns a `keras.distribution.LayoutMap`, to which rules can be added.
    """
    check_option("model_dim_name", model_dim_name, device_mesh.axis_names)
    layouts = keras.distribution.LayoutMap(device_mesh)
    # The first product of a block is split by columns, the second by rows, so
    # that devices meet once a block. Tables stay whole: few sizes of them can
    # be divided, and logits, the largest arrays, would have to be summed.
    layer = r"(.*/)?transformer_layer_\d+/"
    columns = f"{layer}(attention/query_key_value|intermediate_dense)"
    layouts[f"{columns}/kernel"] = (None, model_dim_name)
    layouts[f"{columns}/bias"] = (model_dim_name,)
    layouts[f"{layer}(attention/)?output_dense/kernel"] = (model_dim_name, None)
    return layouts
