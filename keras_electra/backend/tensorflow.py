"""A training step on TensorFlow: tape, gradients, guard, apply."""

import functools

import keras
import tensorflow as tf

from keras_electra.backend.numerics import finish_step


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
        return finish_step(self, x, outputs, loss, norms, finite)
