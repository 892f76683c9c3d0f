"""JAX: the training step, and one encoder layer as XLA is fast in on a CPU.

Its fast products need operands that lie in memory row by row, and a float32
result. Batch and length are one axis: sums over two take 50 times as long.
Shapes: B batch, L length, D hidden, F feed-forward, N heads, H = D / N.
"""

import functools
from typing import Any

import jax
import keras
import numpy as np
from jax import numpy as jnp
from jax.experimental import layout

import keras_electra.backend.numerics as numerics
import keras_electra.backend.replicas as replicas


def _unfilled(data):
    """`(x, y, sample_weight)` without the rows that fill up the batch."""
    x, *labels = data = keras.utils.unpack_x_y_sample_weight(data)
    if replicas.FILLER not in x:
        return data
    size, fillers = x[replicas.FILLER].shape
    data = replicas.without_filler(x), *labels
    if not fillers:
        return data
    # Split unevenly, some sums would take in what fills up.
    return _on_all_devices(
        keras.tree.map_structure(
            lambda a: None if a is None else a[: size - fillers], data
        )
    )


def _on_all_devices(arrays):
    """Arrays of a step, whole on each device."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return arrays
    mesh = distribution.device_mesh.backend_mesh
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.lax.with_sharding_constraint(arrays, whole)


class TrainStep:
    def test_step(self, state: Any, data: Any) -> Any:
        return super().test_step(state, _unfilled(data))

    def predict_step(self, state: Any, data: Any) -> tuple[Any, ...]:
        outputs, variables = super().predict_step(state, _unfilled(data))
        return _on_all_devices(outputs), variables

    def train_step(self, state: Any, data: Any) -> tuple[Any, ...]:
        trainable, non_trainable, optimizer_variables, metrics = state
        data = _unfilled(data)
        step = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        inputs = trainable, non_trainable, metrics, *data
        kwargs = {"training": True, "optimizer_variables": optimizer_variables}
        (scaled_loss, aux), gradients = step(*inputs, **kwargs)
        loss, outputs, non_trainable, metrics = aux
        norms = self.gradient_norms(gradients, scaled_loss, loss)
        finite = jnp.isfinite(norms[0])
        trainable, optimizer_variables = jax.lax.cond(
            # Where it scales, the optimizer skips, and learns its scale so.
            finite | self.scales_loss(),
            lambda: self.optimizer.stateless_apply(
                optimizer_variables, gradients, trainable
            ),
            lambda: (trainable, optimizer_variables),
        )
        mapping = list(zip(self.metrics_variables, metrics))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            logs = self.finish_step(data, outputs, loss, norms, finite)
        metrics = [scope.get_current_value(v) for v in self.metrics_variables]
        return logs, (trainable, non_trainable, optimizer_variables, metrics)


def gradients(function: Any, x: Any) -> Any:
    """Of a function of tensors to a vector, summed; takes and gives arrays."""
    return np.asarray(jax.grad(lambda x: function(x).sum())(jnp.asarray(x)))


def can_run(layer: Any, x: Any, training: bool | None) -> Any:
    if keras.distribution.distribution() is not None:
        return False  # XLA gives each device the whole of what has a layout
    return jax.default_backend() == "cpu" and numerics.is_plain(layer, x)


def run(layer, x, padding_mask, training, seeds):
    numbers = layer.attention_dropout, layer.dropout, layer.layer_norm_epsilon
    settings = layer.num_heads, layer.intermediate_dense.activation, *numbers
    weights = [weight.value for weight in layer.weights]
    weights = list(zip(weights[::2], weights[1::2]))  # kernels and biases
    return _layer(settings, weights, x, padding_mask, seeds)


@functools.partial(jax.jit, static_argnums=0)
def _layer(settings, weights, x, padding_mask, seeds):
    """One function, traced once, that all layers of a network call."""
    heads, activation, attention_rate, rate, epsilon = settings
    qkv, out, norm, inner, back, norm_2 = weights
    shape, width = x.shape, x.shape[-1]
    x = x.reshape(-1, width)
    y = _attend(_dense(qkv, x), padding_mask, heads, attention_rate, seeds[0])
    x = x + numerics.drop(_dense(out, y), rate, seeds[1])
    x = _normalize(norm, x, epsilon)
    y = _dense(back, activation(_dense(inner, x)))
    x = _normalize(norm_2, x + numerics.drop(y, rate, seeds[2]), epsilon)
    return x.reshape(shape)


def _attend(x, padding_mask, heads, rate, seed):
    (batch, length), width = padding_mask.shape, x.shape[-1] // 3
    head = width // heads
    x = x.reshape(batch, length, 3, heads, head).transpose(2, 0, 3, 1, 4)
    # The gradient of a split is written once, not added up.
    query, key, value = jnp.split(x.reshape(-1, length, head), 3)  # (BN, L, H)
    query = query * head**-0.5
    scores = product(query, key.swapaxes(1, 2), jnp.float32)  # (BN, L, L)
    scores = scores.reshape(batch, heads, length, length)
    settings = padding_mask, x.dtype, rate, seed
    weights = numerics.attention_weights(scores, *settings)
    x = product(weights.reshape(-1, length, length), value, x.dtype)
    x = x.reshape(batch, heads, length, head).transpose(0, 2, 1, 3)
    return x.reshape(-1, width)


def _dense(weights, x):
    kernel, bias = weights
    y = product(x, kernel, x.dtype)
    return y + spread(bias.astype(x.dtype), len(x))


def _normalize(weights, x, epsilon):
    return numerics.normalize(x, *(spread(w, len(x)) for w in weights), epsilon)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(a: Any, b: Any, dtype: Any) -> Any:
    """`a @ b` of matrices or batches of them in the type of `a`, to `dtype`."""
    a, b = _in_rows(a), _in_rows(b.astype(a.dtype))
    result = jnp.matmul(a, b, preferred_element_type=jnp.float32)
    return _in_rows(result).astype(dtype)


def _product_backward(dtype, operands, gradient):
    (a, b), gradient = operands, gradient.astype(operands[0].dtype)
    d_a = product(gradient, b.swapaxes(-1, -2), a.dtype)
    if a.shape[-1] <= gradient.shape[-1]:  # the smaller one is turned round
        return d_a, product(a.swapaxes(-1, -2), gradient, b.dtype)
    d_b = product(gradient.swapaxes(-1, -2), a, b.dtype)
    return d_a, d_b.swapaxes(-1, -2)


product.defvjp(lambda *args: (product(*args), args[:2]), _product_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def spread(vector: Any, rows: Any) -> Any:
    """The same vector in each row; its gradient is summed by a product."""
    return jnp.broadcast_to(vector, (rows, len(vector)))


def _spread_backward(rows, _, gradient):
    ones = jnp.ones((8, rows), gradient.dtype)  # kernels have 8 rows at least
    return (product(ones, gradient, gradient.dtype)[0],)


spread.defvjp(lambda *args: (spread(*args), None), _spread_backward)


def _in_rows(x):
    """The same array, its last axis side by side in memory."""
    rows = layout.Layout(tuple(range(x.ndim)))
    return layout.with_layout_constraint(x, rows)


def peak_memory() -> Any:
    """Most bytes on the accelerator so far; `None` without one."""
    return (jax.local_devices()[0].memory_stats() or {}).get(
        "peak_bytes_in_use"
    )
