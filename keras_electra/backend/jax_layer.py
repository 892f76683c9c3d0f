"""One encoder layer on a CPU, in the forms that XLA is fast in there.

The same numbers as `TransformerLayer`, to rounding, differentiated by JAX. XLA
has fast kernels for products, but only of operands that lie in memory row by
row and, in half precision, only with a float32 result; transposed operands,
as every gradient has them, run at half the speed, and so does a half-precision
result. Here every operand is laid out, and every result is rounded afterwards.
Batch and length are one axis: gradients of biases summed over two take fifty
times as long.

All layers of a network call one function, which JAX traces once.

Shapes: B batch, L length, D hidden, F feed-forward, N heads, H = D / N.
"""

import functools
import typing

import jax
from jax import numpy as jnp
from jax.experimental.layout import Layout
from jax.experimental.layout import with_layout_constraint

from keras_electra.backend.numerics import MASKED_SCORE
from keras_electra.backend.numerics import drop


def can_run(layer, x, training):
    """Whether a `TransformerLayer` can be run here, and gains by it.

    Dense layers that are quantized or have a LoRA adapter compute something
    else.
    """
    return (
        jax.default_backend() == "cpu"
        and x.dtype in (jnp.float32, jnp.bfloat16)
        and not layer.is_adapted()
    )


def half_precision(x):
    """`"bfloat16"`: the compiler takes float32 itself where that is slow."""
    return "bfloat16"


def run(layer, x, padding_mask, training, seeds):
    """What `layer.call` returns.

    Args:
        layer: `TransformerLayer`.
        x: array of shape `(B, L, D)`.
        padding_mask: array of shape `(B, L)`.
        training: bool.
        seeds: list of three, of `layer.draw_seeds(training)`.

    Returns:
        Array of shape `(B, L, D)`.
    """
    first, last = layer.attention_layer_norm, layer.output_layer_norm
    settings = _Settings(
        num_heads=layer.num_heads,
        activation=layer.intermediate_dense.activation,
        attention_dropout=layer.attention.dropout_layer.rate,
        dropout=layer.dropout_layer.rate,
        epsilon=last.epsilon,
    )
    denses = [(d.kernel.value, d.bias.value) for d in layer.dense_layers()]
    norms = [(norm.gamma.value, norm.beta.value) for norm in (first, last)]
    return _layer(settings, denses, norms, x, padding_mask, seeds)


class _Settings(typing.NamedTuple):
    """What the function of a layer is compiled for."""

    num_heads: int
    activation: typing.Callable
    attention_dropout: float
    dropout: float
    epsilon: float


@functools.partial(jax.jit, static_argnums=0)
def _layer(settings, denses, norms, x, padding_mask, seeds):
    qkv, out, inner, back = denses
    shape, width = x.shape, x.shape[-1]
    x = x.reshape(-1, width)
    y = _dense(out, _attend(settings, _dense(qkv, x), padding_mask, seeds[0]))
    y = _drop(y, settings.dropout, seeds[1])
    x = _normalize(norms[0], x + y, settings.epsilon)
    y = _dense(back, settings.activation(_dense(inner, x)))
    y = _drop(y, settings.dropout, seeds[2])
    return _normalize(norms[1], x + y, settings.epsilon).reshape(shape)


def _attend(settings, x, padding_mask, seed):
    (batch, length), heads = padding_mask.shape, settings.num_heads
    width = x.shape[-1] // 3
    head = width // heads
    x = x.reshape(batch, length, 3, heads, head).transpose(2, 0, 3, 1, 4)
    query, key, value = unstack(x.reshape(3, -1, length, head))  # (BN, L, H)
    query = query * head**-0.5
    scores = product(query, key.swapaxes(1, 2), jnp.float32)  # (BN, L, L)
    padding = 1.0 - padding_mask.astype(jnp.float32)
    scores = scores.reshape(batch, heads, length, length)
    scores = scores + MASKED_SCORE * padding[:, None, None, :]
    weights = jax.nn.softmax(scores).astype(x.dtype)
    weights = _drop(weights, settings.attention_dropout, seed)
    x = product(weights.reshape(-1, length, length), value, x.dtype)
    x = x.reshape(batch, heads, length, head).transpose(0, 2, 1, 3)
    return x.reshape(-1, width)


def _drop(x, rate, seed):
    return x if seed is None else drop(x, rate, seed)


def _dense(weights, x):
    kernel, bias = weights
    y = product(x, kernel, x.dtype)
    return y + spread(bias.astype(x.dtype), len(x))


def _normalize(weights, x, epsilon):
    """Layer normalization of each row, in float32."""
    dtype, x = x.dtype, x.astype(jnp.float32)
    x = x - x.mean(-1, keepdims=True)
    x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + epsilon)
    gamma, beta = (spread(weight, len(x)) for weight in weights)
    return (x * gamma + beta).astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(a, b, dtype):
    """`a @ b` of two matrices or two batches of them.

    Args:
        a: array of shape `(..., rows, inner)`, in the type to compute in.
        b: array of shape `(..., inner, columns)`. Its gradient is in its own
            type.
        dtype: of the result, which is summed in float32.

    Returns:
        Array of shape `(..., rows, columns)`.
    """
    a, b = _in_rows(a), _in_rows(b.astype(a.dtype))
    result = jnp.matmul(a, b, preferred_element_type=jnp.float32)
    return _in_rows(result).astype(dtype)


def _product_forward(a, b, dtype):
    return product(a, b, dtype), (a, b)


def _product_backward(dtype, operands, gradient):
    a, b = operands
    gradient = gradient.astype(a.dtype)
    d_a = product(gradient, b.swapaxes(-1, -2), a.dtype)
    if a.shape[-1] <= gradient.shape[-1]:  # the smaller one is turned round
        return d_a, product(a.swapaxes(-1, -2), gradient, b.dtype)
    d_b = product(gradient.swapaxes(-1, -2), a, b.dtype)
    return d_a, d_b.swapaxes(-1, -2)


product.defvjp(_product_forward, _product_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def spread(vector, rows):
    """The same vector in each row; its gradient is summed by a product."""
    return jnp.broadcast_to(vector, (rows, len(vector)))


def _spread_backward(rows, _, gradient):
    ones = jnp.ones((8, rows), gradient.dtype)  # kernels have 8 rows at least
    return (product(ones, gradient, gradient.dtype)[0],)


spread.defvjp(
    lambda vector, rows: (spread(vector, rows), None), _spread_backward
)


@jax.custom_vjp
def unstack(x):
    """Three arrays of one; the gradient is written once, not added up."""
    return x[0], x[1], x[2]


unstack.defvjp(
    lambda x: (unstack(x), None), lambda _, parts: (jnp.stack(parts),)
)


def _in_rows(x):
    """The same array, its last axis side by side in memory."""
    return with_layout_constraint(x, Layout(tuple(range(x.ndim))))
