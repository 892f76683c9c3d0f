"""One encoder layer in training on a CPU, with few passes over memory.

The same numbers as `TransformerLayer`, to rounding. Matrix products are
TensorFlow's own. What lies between them are a hundred small operations a
layer, forward and backward, each a pass over memory, and half of the time of a
step; here they are three functions that XLA compiles, each with a backward
function that computes what it needs from the inputs again, so that nothing in
between is written. They are traced once for all layers of a network, which
also shortens the first step.

Shapes: B batch, L length, D hidden, F feed-forward, N heads, H = D / N.
"""

import functools

import tensorflow as tf

from keras_electra.backend.numerics import MASKED_SCORE
from keras_electra.backend.numerics import drop
from keras_electra.backend.numerics import on_accelerator


def can_run(layer, x, training):
    """Whether a `TransformerLayer` can be run here, and gains by it.

    Graphs for prediction are left in plain operations, which every program
    reads; half precision without range (float16) and dense layers that are
    quantized or have a LoRA adapter are the plain layer's.
    """
    return (
        bool(training)
        and not on_accelerator()
        and x.dtype in (tf.float32, tf.bfloat16)
        and not layer.is_adapted()
    )


def half_precision(x):
    """`"bfloat16"`: the compiler takes float32 itself where that is slow."""
    return "bfloat16"


def run(layer, x, padding_mask, training, seeds):
    """What `layer.call` returns.

    Args:
        layer: `TransformerLayer`.
        x: tensor of shape `(B, L, D)`.
        padding_mask: tensor of shape `(B, L)`.
        training: bool.
        seeds: list of three, of `layer.draw_seeds(training)`.

    Returns:
        Tensor of shape `(B, L, D)`.
    """
    qkv, out, inner, back = layer.dense_layers()
    attention, width = layer.attention, x.shape[-1]
    batch, length = tf.unstack(tf.shape(padding_mask))
    heads, head = attention.num_heads, width // attention.num_heads
    shape = tf.shape(x)
    x = tf.reshape(x, (-1, width))

    y = _product(qkv, x) + tf.cast(qkv.bias.value, x.dtype)
    y = tf.reshape(y, (batch, length, 3, heads, head))
    query, key, value = tf.unstack(tf.transpose(y, (2, 0, 3, 1, 4)))
    scores = tf.matmul(query, key, transpose_b=True)  # (B, N, L, L)
    padding = 1.0 - tf.cast(padding_mask, tf.float32)
    rate, seed = _told(attention.dropout_layer, seeds[0])
    weights = shares(rate, head**-0.5)(scores, padding, seed)
    y = tf.transpose(tf.matmul(weights, value), (0, 2, 1, 3))
    y = _product(out, tf.reshape(y, (-1, width)))

    def add(x, y, dense, norm, seed):
        rate, seed = _told(layer.dropout_layer, seed)
        weights = dense.bias.value, norm.gamma.value, norm.beta.value
        weights = [tf.convert_to_tensor(weight) for weight in weights]
        return sum_normalized(rate, norm.epsilon)(x, y, *weights, seed)

    x = add(x, y, out, layer.attention_layer_norm, seeds[1])
    bias = tf.convert_to_tensor(inner.bias.value)
    y = activated(inner.activation)(_product(inner, x), bias)
    x = add(x, _product(back, y), back, layer.output_layer_norm, seeds[2])
    return tf.reshape(x, shape)


def _product(dense, x):
    return tf.matmul(x, tf.cast(dense.kernel.value, x.dtype))


def _told(dropout, seed):
    """The rate, as XLA is told it, and a seed that tells nothing at 0."""
    if seed is None:
        return 0.0, tf.zeros((2,), tf.int32)
    return dropout.rate, tf.cast(seed, tf.int32)


def fused(function):
    """A function of tensors, compiled, that keeps its inputs only.

    Args:
        function: function of tensors that returns one. The last input has no
            gradient.

    Returns:
        A function that computes the same.
    """
    forward = tf.function(function, jit_compile=True)

    @tf.function(jit_compile=True)
    def backward(gradient, *inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = function(*inputs)
        return tape.gradient(output, inputs[:-1], gradient)

    @tf.custom_gradient
    def call(*inputs):
        def gradients(gradient):
            return (*backward(gradient, *inputs), None)

        return forward(*inputs), gradients

    return call


@functools.cache
def shares(rate, scale):
    """From products of queries and keys to weights, some of them dropped."""

    def function(scores, padding, seed):
        wide = scale * tf.cast(scores, tf.float32)
        wide += MASKED_SCORE * padding[:, None, None, :]
        return _drop(tf.cast(tf.nn.softmax(wide), scores.dtype), rate, seed)

    return fused(function)


@functools.cache
def sum_normalized(rate, epsilon):
    """The layer normalization of `x + dropout(y + bias)`."""

    def function(x, y, bias, gamma, beta, seed):
        y += spread(tf.cast(bias, y.dtype), y)
        x = tf.cast(x + _drop(y, rate, seed), tf.float32)
        x -= tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.square(x), -1, keepdims=True)
        x *= tf.math.rsqrt(variance + epsilon)
        return tf.cast(x * spread(gamma, x) + spread(beta, x), y.dtype)

    return fused(function)


@functools.cache
def activated(activation):
    """The activation of `y + bias`."""

    def function(y, bias, unused):
        return activation(y + spread(tf.cast(bias, y.dtype), y))

    compiled = fused(function)
    return lambda y, bias: compiled(y, bias, tf.zeros(()))


@tf.custom_gradient
def spread(vector, like):
    """A vector in each row of a matrix; its gradient is summed by a product.

    A sum over thousands of rows is slow in XLA.
    """

    def gradients(gradient):
        ones = tf.ones((8, tf.shape(gradient)[0]), gradient.dtype)
        return tf.matmul(ones, gradient)[0], None

    return tf.broadcast_to(vector, tf.shape(like)), gradients


def _drop(x, rate, seed):
    return drop(x, rate, seed) if rate else x
