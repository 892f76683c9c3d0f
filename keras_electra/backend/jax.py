"""A training step on JAX: state in, gradients, guard, state out."""

import jax
import keras

from keras_electra.backend.numerics import finish_step


class TrainStep:
    """`train_step` of `ElectraPretrainer`."""

    def train_step(self, state, data):
        trainable, non_trainable, optimizer_variables, metrics = state
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        compute = jax.value_and_grad(
            self.compute_loss_and_updates, has_aux=True
        )
        (scaled_loss, aux), gradients = compute(
            *(trainable, non_trainable, metrics, x, None, None),
            training=True,
            optimizer_variables=optimizer_variables,
        )
        loss, outputs, non_trainable, metrics = aux
        norms = self.gradient_norms(gradients, scaled_loss, loss)
        finite = jax.numpy.isfinite(norms[0])

        def apply():
            return self.optimizer.stateless_apply(
                optimizer_variables, gradients, trainable
            )

        if self.scales_loss():
            # The optimizer skips by itself, and learns its scale from it.
            trainable, optimizer_variables = apply()
        else:
            trainable, optimizer_variables = jax.lax.cond(
                finite, apply, lambda: (trainable, optimizer_variables)
            )

        mapping = list(zip(self.metrics_variables, metrics))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            logs = finish_step(self, x, outputs, loss, norms, finite)
        metrics = [scope.get_current_value(v) for v in self.metrics_variables]
        return logs, (trainable, non_trainable, optimizer_variables, metrics)
