"""The optimizer of the original program.

Keras' `AdamW` corrects the bias of moments, at first up to 3, and decays all.
"""

from typing import Any

import keras
from keras import ops

from keras_electra.arguments import check_number

# In the name of a variable, and anywhere in its path.
UNDECAYED_NAMES = ("bias", "gamma", "beta")
UNDECAYED_PATHS = ("layer_norm", "LayerNorm")

if keras.config.backend() == "torch":
    from keras_electra.backend import torch as fused


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraAdamW(keras.optimizers.Optimizer):
    """Adam with decoupled weight decay as ELECTRA was trained with.

    With clipped gradients `g`, for each `w` (`model/optimization.py:48-180`):

    ```
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g^2
    w = w - learning_rate * (m / (sqrt(v) + epsilon) + weight_decay * w)
    ```

    Not decayed are, by their names, biases and LayerNorms, and what is given
    to `exclude_from_weight_decay()`, which is not part of the config.

    Args:
        learning_rate: float, `LearningRateSchedule` or callable.
        weight_decay: float >= 0, times the learning rate a step, or `None`.
        beta_1, beta_2, epsilon: floats.
        bias_correction: bool, whether moments are over `1 - beta ** step`.
        global_clipnorm: float, the greatest length of all gradients together,
            or `None` to use `clipnorm` or `clipvalue`.
        layer_rates: dict or `None`. From the name of a layer to a factor of
            its learning rate, as `keras_electra.finetuning_optimizer` sets it.
        **kwargs: of `keras.optimizers.Optimizer`, e.g. `use_ema`,
            `gradient_accumulation_steps`, `loss_scale_factor`.
    """

    def __init__(
        self,
        learning_rate: object = 5e-4,  # ELECTRA-Small's
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        bias_correction: bool = False,
        global_clipnorm: float = 1.0,
        layer_rates: object = None,
        **kwargs: object,
    ) -> None:
        checked = dict(learning_rate=learning_rate, weight_decay=weight_decay)
        checked |= {"global_clipnorm": global_clipnorm, **(layer_rates or {})}
        for name, value in checked.items():
            if value is not None and not callable(value):
                check_number(name, value, at_least=0)
        check_number("beta_1", beta_1, at_least=0, below=1)
        check_number("beta_2", beta_2, at_least=0, below=1)
        check_number("epsilon", epsilon, at_least=0)
        kwargs["global_clipnorm"] = global_clipnorm
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.bias_correction = bias_correction
        self.layer_rates = layer_rates

    def build(self, variables: list[object]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )
        # By index: in `update_step` on TensorFlow variables have no path.
        self._decays = tuple(map(self._decay_of, variables))
        self._rates = tuple(map(self._rate_of, variables))
        self._built = True  # where Keras' `exclude_from_weight_decay()` looks

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        decay, dtype = self._decays[index], variable.dtype
        gradient = ops.cast(gradient, dtype)
        rate = ops.cast(learning_rate, dtype) * self._rates[index]
        m = momentum * self.beta_1 + gradient * (1 - self.beta_1)
        v = velocity * self.beta_2 + ops.square(gradient) * (1 - self.beta_2)
        self.assign(momentum, m)
        self.assign(velocity, v)
        if self.bias_correction:
            step = ops.cast(self.iterations + 1, "float32")
            betas = ops.convert_to_tensor([self.beta_1, self.beta_2], "float32")
            rest_1, rest_2 = ops.unstack(1.0 - ops.power(betas, step), 2)
            m, v = m / ops.cast(rest_1, dtype), v / ops.cast(rest_2, dtype)
        update = m / (ops.sqrt(v) + self.epsilon)
        if decay:
            update = update + variable * decay
        self.assign_sub(variable, update * rate)

    def get_config(self) -> dict[str, object]:
        names = "beta_1 beta_2 epsilon bias_correction layer_rates".split()
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own}

    def _decay_of(self, variable):
        is_undecayed = any(part in variable.name for part in UNDECAYED_NAMES)
        if is_undecayed or any(p in variable.path for p in UNDECAYED_PATHS):
            return 0.0
        # Keras' own rule for what `exclude_from_weight_decay()` was given.
        return (self.weight_decay or 0.0) * self._use_weight_decay(variable)

    def _rate_of(self, variable):
        layers = set(variable.path.split("/")[:-1])
        found = layers & set(self.layer_rates or ())
        return self.layer_rates[found.pop()] if found else 1.0

    def _apply_weight_decay(self, variables):
        pass  # part of the update above, so that one rate governs both

    def _clip_gradients(self, grads):
        if self.global_clipnorm:
            return clip_by_global_norm(grads, self.global_clipnorm)
        return super()._clip_gradients([densify(g) for g in grads])

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if keras.config.backend() != "torch":
            return super()._backend_update_step(
                grads, trainable_variables, learning_rate
            )
        rows, step = [], None
        for variable, gradient in zip(trainable_variables, grads):
            i = self._get_variable_index(variable)
            slots = self._momentums[i].value, self._velocities[i].value
            rates = self._decays[i], self._rates[i]
            rows.append((variable.value, gradient, *slots, *rates))
        if self.bias_correction:
            step = ops.cast(self.iterations + 1, "float32")
        rate = ops.convert_to_tensor(learning_rate)
        fused.adam_step(
            rows, rate, self.beta_1, self.beta_2, self.epsilon, step
        )


def densify(gradient: Any) -> Any:
    """Sums TensorFlow's slices of a lookup, which squared apart are wrong."""
    # By name: the package imports no backend outside one folder.
    if type(gradient).__name__ == "IndexedSlices":
        return ops.add(ops.zeros(gradient.shape, gradient.dtype), gradient)
    return gradient


def global_norm(gradients: Any) -> Any:
    """The Euclidean length of a list of arrays as one vector, in float32."""
    gradients = [densify(gradient) for gradient in gradients]
    if keras.config.backend() == "torch":
        return fused.global_norm(gradients)
    squares = [ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients]
    return ops.sqrt(ops.sum(ops.stack(squares)))


def clip_by_global_norm(gradients: Any, clip_norm: Any) -> Any:
    """Scales all gradients alike if their common length is over `clip_norm`.

    One not finite value makes every gradient NaN, as in the original.
    """
    gradients = list(map(densify, gradients))
    norm = global_norm(gradients)
    scale = clip_norm / ops.maximum(norm, clip_norm) + (norm - norm)
    if keras.config.backend() == "torch":
        return fused.scale(gradients, scale)
    return [g * ops.cast(scale, g.dtype) for g in gradients]
