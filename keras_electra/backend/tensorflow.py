"""TensorFlow: the training step, and one encoder layer in it on a CPU.

Between the products of the layer, half of the time of a step, are three
functions that XLA compiles once for all layers, with a backward function that
computes again what it needs, so that nothing in between is written. A gradient
of a bias is summed by a product: XLA's sum over thousands of rows is slow.

Shapes: B batch, L length, D hidden, F feed-forward, N heads, H = D / N.
"""

import functools

import keras
import tensorflow as tf

import keras_electra.backend.numerics as numerics


class TrainStep:
    """`train_step` of `ElectraPretrainer`."""

    def make_train_function(self, force=False):
        # Variables that the first trace would make cost a second trace.
        if not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def train_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.compute_loss(x=x, y_pred=outputs)
            scaled_loss = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled_loss, [v.value for v in variables])
        gradients = [
            tf.zeros_like(v.value) if g is None else tf.convert_to_tensor(g)
            for g, v in zip(gradients, variables)
        ]
        norms = self.gradient_norms(gradients, scaled_loss, loss)
        finite = tf.math.is_finite(norms[0])
        apply = functools.partial(self.optimizer.apply, gradients, variables)
        if self.scales_loss():
            # The optimizer skips by itself, and learns its scale from it.
            apply()
        else:
            tf.cond(finite, apply, lambda: None)
        return numerics.finish_step(self, x, outputs, loss, norms, finite)


def can_run(layer, x, training):
    """Whether a `TransformerLayer` can be run here, and gains by it."""
    # Graphs for prediction keep plain operations, which every program reads.
    on_cpu = not numerics.on_accelerator()
    return bool(training) and on_cpu and numerics.is_plain(layer, x)


def run(layer, x, padding_mask, training, seeds):
    """What `layer.call` returns; see there."""
    weights = [map(tf.convert_to_tensor, p) for p in numerics.weights_of(layer)]
    (w_qkv, b_qkv), (w_out, b_out), norm, *weights = weights
    (w_inner, b_inner), (w_back, b_back), norm_2 = weights
    rates = layer.attention_dropout, *2 * (layer.dropout,)
    nothing = tf.zeros((2,), tf.int32)  # a seed of what drops nothing
    (rate, seed), *drops = (
        (0.0, nothing) if seed is None else (rate, tf.cast(seed, tf.int32))
        for rate, seed in zip(rates, seeds)
    )
    batch, length = tf.unstack(tf.shape(padding_mask))
    heads, width, shape = layer.num_heads, x.shape[-1], tf.shape(x)
    head = width // heads
    x = tf.reshape(x, (-1, width))

    y = _product(x, w_qkv) + tf.cast(b_qkv, x.dtype)
    y = tf.reshape(y, (batch, length, 3, heads, head))
    query, key, value = tf.unstack(tf.transpose(y, (2, 0, 3, 1, 4)))
    scores = tf.matmul(query, key, transpose_b=True)  # (B, N, L, L)
    padding = 1.0 - tf.cast(padding_mask, tf.float32)
    shares = fused(_shares, rate, head**-0.5)(scores, padding, seed)
    y = tf.transpose(tf.matmul(shares, value), (0, 2, 1, 3))
    y = _product(tf.reshape(y, (-1, width)), w_out)

    def add(x, y, bias, norm, rate, seed):
        return fused(_sum_normalized, rate)(x, y, bias, *norm, seed)

    x = add(x, y, b_out, norm, *drops[0])
    activated = fused(_activated, layer.intermediate_dense.activation)
    y = _product(activated(_product(x, w_inner), b_inner, nothing), w_back)
    return tf.reshape(add(x, y, b_back, norm_2, *drops[1]), shape)


def _product(x, kernel):
    return tf.matmul(x, tf.cast(kernel, x.dtype))


@functools.cache
def fused(function, *settings):
    """`function(*settings, *inputs)`, compiled; the last has no gradient."""
    function = functools.partial(function, *settings)
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


def _shares(rate, scale, scores, padding, seed):
    """From products of queries and keys to weights, some of them dropped."""
    wide = scale * tf.cast(scores, tf.float32)
    wide += numerics.MASKED_SCORE * padding[:, None, None, :]
    return numerics.drop(tf.cast(tf.nn.softmax(wide), scores.dtype), rate, seed)


def _sum_normalized(rate, x, y, bias, gamma, beta, seed):
    """The layer normalization of `x + dropout(y + bias)`."""
    y += spread(tf.cast(bias, y.dtype), y)
    x = tf.cast(x + numerics.drop(y, rate, seed), tf.float32)
    x -= tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(tf.square(x), -1, keepdims=True)
    x *= tf.math.rsqrt(variance + numerics.EPSILON)
    return tf.cast(x * spread(gamma, x) + spread(beta, x), y.dtype)


def _activated(activation, y, bias, unused):
    return activation(y + spread(tf.cast(bias, y.dtype), y))


@tf.custom_gradient
def spread(vector, like):
    """A vector in each row of a matrix; its gradient is summed by a product."""

    def gradients(gradient):
        ones = tf.ones((8, tf.shape(gradient)[0]), gradient.dtype)
        return tf.matmul(ones, gradient)[0], None

    return tf.broadcast_to(vector, tf.shape(like)), gradients
