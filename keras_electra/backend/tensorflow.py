"""TensorFlow: the training step, and one encoder layer in it on a CPU.

What is between the products of the layer, half of the step's time, XLA compiles
once for all layers; the backward pass computes it again, instead of writing it.
Shapes: B batch, L length, D hidden, F feed-forward, N heads, H = D / N.
"""

import functools
from typing import Any

import keras
import tensorflow as tf

import keras_electra.backend.numerics as numerics
import keras_electra.backend.tensorflow_replicas as replicas


class TrainStep:
    # Keras makes steps for one device; here they are split over replicas.
    distribute_strategy = replicas.OneDevice

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_distribute_strategy" and value is not None:
            replicas.check(value)
        super().__setattr__(name, value)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Keras' for batches that were split before."""

    def make_train_function(self, force: bool = False) -> None:
        strategy = self._distribute_strategy
        if strategy:
            replicas.adopt(self.optimizer, strategy)
        strategy = strategy or tf.distribute.get_strategy()
        count = strategy.num_replicas_in_sync
        if count > 1 and (self.jit_compile or self.steps_per_execution > 1):
            raise ValueError(
                "XLA, and TensorFlow's loops of steps, are for one device. For "
                f"{count} replicas compile with jit_compile=False and steps_per"
                f"_execution=1. Received: jit_compile={self.jit_compile}, "
                f"steps_per_execution={self.steps_per_execution}."
            )
        # Variables that the first trace would make cost a second trace.
        if not self.optimizer.built:
            with strategy.scope():
                self.optimizer.build(self.trainable_variables)
        super().make_train_function(force)
        self.train_function: Any = replicas.together(self.train_function)

    def train_step(self, data: Any) -> Any:
        data = x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)

        def judge(outputs):
            loss = self.compute_loss(x, y, outputs, sample_weight, True)
            return loss, self.optimizer.scale_loss(loss)

        variables = self.trainable_variables
        if self._distribute_strategy:
            given = self._distribute_strategy, self, x, judge
            judged, outputs, gradients = replicas.gradients(*given)
            loss, scaled_loss = judged
        else:
            with tf.GradientTape() as tape:
                outputs = self(x, training=True)
                loss, scaled_loss = judge(outputs)
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
        return self.finish_step(data, outputs, loss, norms, finite)

    def test_step(self, data: Any) -> Any:
        if not self._distribute_strategy:
            return super().test_step(data)
        data = x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        outputs = replicas.outputs(self._distribute_strategy, self, x)
        loss = self.compute_loss(x, y, outputs, sample_weight, False)
        return self.update_metrics(data, outputs, loss)

    def predict_step(self, data: Any) -> Any:
        if not self._distribute_strategy or replicas.processes()[1] > 1:
            return super().predict_step(data)  # each worker for itself
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return replicas.outputs(self._distribute_strategy, self, x)


def gradients(function: Any, x: Any) -> Any:
    """Of a function of tensors to a vector, summed; takes and gives arrays."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = function(x)
    return tape.gradient(total, x).numpy()


def can_run(layer: Any, x: Any, training: bool | None) -> Any:
    # Graphs for prediction keep plain operations, which every program reads.
    on_cpu = not numerics.on_accelerator()
    return bool(training) and on_cpu and numerics.is_plain(layer, x)


def run(layer, x, padding_mask, training, seeds):
    weights = [tf.convert_to_tensor(weight.value) for weight in layer.weights]
    w_qkv, w_out, gamma, w_inner, w_back, gamma_2 = weights[::2]
    b_qkv, b_out, beta, b_inner, b_back, beta_2 = weights[1::2]
    nothing = tf.zeros((2,), tf.int32)  # a seed where no rate drops anything
    seeds = [nothing if s is None else tf.cast(s, tf.int32) for s in seeds]
    batch, length = tf.unstack(tf.shape(padding_mask))
    heads, width, shape = layer.num_heads, x.shape[-1], tf.shape(x)
    head = width // heads
    x = tf.reshape(x, (-1, width))

    y = _product(x, w_qkv) + tf.cast(b_qkv, x.dtype)
    y = tf.reshape(y, (batch, length, 3, heads, head))
    query, key, value = tf.unstack(tf.transpose(y, (2, 0, 3, 1, 4)))
    scores = tf.matmul(query, key, transpose_b=True)  # (B, N, L, L)
    padding_mask = tf.cast(padding_mask, tf.float32)
    attend = fused(_shares, layer.attention_dropout, head**-0.5)
    y = tf.matmul(attend(scores, padding_mask, seeds[0]), value)
    y = tf.reshape(tf.transpose(y, (0, 2, 1, 3)), (-1, width))
    add = fused(_sum_normalized, layer.dropout, layer.layer_norm_epsilon)
    x = add(x, _product(y, w_out), b_out, gamma, beta, seeds[1])
    activated = fused(_activated, layer.intermediate_dense.activation)
    y = activated(_product(x, w_inner), b_inner, nothing)
    x = add(x, _product(y, w_back), b_back, gamma_2, beta_2, seeds[2])
    return tf.reshape(x, shape)


def _product(x, kernel):
    return tf.matmul(x, tf.cast(kernel, x.dtype))


@functools.cache
def fused(function: Any, *settings: Any) -> Any:
    """`function(*settings, *inputs)`, compiled; the last has no gradient."""
    function = functools.partial(function, *settings)
    forward = tf.function(function, jit_compile=True)

    @tf.function(jit_compile=True)
    def backward(gradient, *inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs[:-1])
            output = function(*inputs)
        return tape.gradient(output, inputs[:-1], gradient)

    @tf.custom_gradient
    def call(*inputs):
        def gradients(gradient):
            return (*backward(gradient, *inputs), None)

        return forward(*inputs), gradients

    return call


def _shares(rate, scale, scores, padding_mask, seed):
    wide = scale * tf.cast(scores, tf.float32)
    settings = padding_mask, scores.dtype, rate, seed
    return numerics.attention_weights(wide, *settings)


def _sum_normalized(rate, epsilon, x, y, bias, gamma, beta, seed):
    """The layer normalization of `x + dropout(y + bias)`."""
    y += spread(tf.cast(bias, y.dtype), y)
    x += numerics.drop(y, rate, seed)
    return numerics.normalize(x, spread(gamma, x), spread(beta, x), epsilon)


def _activated(activation, y, bias, unused):
    return activation(y + spread(tf.cast(bias, y.dtype), y))


@tf.custom_gradient
def spread(vector: Any, like: Any) -> tuple[Any, ...]:
    """A vector in each row; its gradient is a product, faster than a sum."""

    def gradients(gradient):
        ones = tf.ones((8, tf.shape(gradient)[0]), gradient.dtype)
        return tf.matmul(ones, gradient)[0], None

    return tf.broadcast_to(vector, tf.shape(like)), gradients


def peak_memory() -> Any:
    """Most bytes on the accelerator since the last call; `None` without one."""
    if not tf.config.list_logical_devices("GPU"):
        return None
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    tf.config.experimental.reset_memory_stats("GPU:0")
    return peak
