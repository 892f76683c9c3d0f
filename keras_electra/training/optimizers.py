"""The optimizer of the original program, and the recipe that sets it up.

Adam without bias correction, epsilon outside the root, weight decay that
spares biases and LayerNorm, a rate for each layer if wanted, gradients
clipped by their global norm. Keras'
`AdamW` corrects the bias, which makes its first steps up to three times
smaller here, and decays everything. The price of an own class: it leaves
Keras' fused path on torch, so it brings one (`_backend_update_step`), and has
another on TensorFlow.
"""

import keras
from keras import ops

from keras_electra.training import clipping
from keras_electra.training import recipes
from keras_electra.training import schedules

# In a variable's own name: biases, and the two vectors of a LayerNorm.
UNDECAYED_NAMES = ("bias", "gamma", "beta")
# Anywhere in its path: layers whose variables bear other names.
UNDECAYED_PATHS = ("layer_norm", "LayerNorm")


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraAdamW(keras.optimizers.Optimizer):
    """Adam with decoupled weight decay as ELECTRA was trained with.

    With gradients `g` already clipped together, for every variable `w`:

    ```
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g^2
    w = w - learning_rate * (m / (sqrt(v) + epsilon) + weight_decay * w)
    ```

    Variables named `bias`, `gamma` or `beta`, and all of a layer with
    `layer_norm` or `LayerNorm` in its name, are not decayed.
    `exclude_from_weight_decay()` spares further ones; like in Keras it is not
    part of the config.

    Args:
        learning_rate: float, `LearningRateSchedule` or callable. Defaults to
            `5e-4`, ELECTRA-Small's.
        weight_decay: float >= 0 or `None`, times the learning rate per step.
            Defaults to `0.01`.
        beta_1: float, decay of the first moment. Defaults to `0.9`.
        beta_2: float, decay of the second moment. Defaults to `0.999`.
        epsilon: float, added to the root. Defaults to `1e-6`.
        bias_correction: bool, whether to divide the moments by
            `1 - beta ** step`, as Adam was published. Defaults to `False`.
        global_clipnorm: float or `None`, the greatest length of all gradients
            together. Set it to `None` to use `clipnorm` or `clipvalue`.
            Defaults to `1.0`.
        layer_rates: dict or `None`. From the name of a layer to a factor of
            the learning rate for all variables in it, as
            `keras_electra.finetuning_optimizer` sets them; others have a
            factor of 1. Defaults to `None`.
        **kwargs: further arguments of `keras.optimizers.Optimizer`, e.g.
            `gradient_accumulation_steps`, `use_ema`, `loss_scale_factor`.

    Raises:
        ValueError: `weight_decay` is negative, a beta is not in [0, 1), or
            `epsilon` is negative.

    Reference:
        - google-research/electra, `model/optimization.py`, lines 48-180.
    """

    def __init__(
        self,
        learning_rate=5e-4,
        weight_decay=0.01,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-6,
        bias_correction=False,
        global_clipnorm=1.0,
        layer_rates=None,
        **kwargs,
    ):
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            global_clipnorm=global_clipnorm,
            **kwargs,
        )
        if weight_decay is not None and not weight_decay >= 0:
            raise ValueError(
                "`weight_decay` must be >= 0, or `None` for no decay. "
                f"Received: weight_decay={weight_decay}."
            )
        for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0 <= beta < 1:
                raise ValueError(
                    f"`{name}` must be at least 0 and below 1. "
                    f"Received: {name}={beta}."
                )
        if not epsilon >= 0:
            raise ValueError(
                f"`epsilon` must be >= 0. Received: epsilon={epsilon}."
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.bias_correction = bias_correction
        self.layer_rates = layer_rates

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )
        # Decided here, by index: TensorFlow hands `update_step` a variable
        # that no longer knows its path.
        self._decays = tuple(self._decay_of(v) for v in variables)
        self._rates = tuple(self._rate_of(v) for v in variables)

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable; torch updates all at once instead."""
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        dtype = variable.dtype
        gradient = ops.cast(gradient, dtype)
        learning_rate = ops.cast(learning_rate, dtype)
        if keras.config.backend() == "tensorflow":
            from keras_electra.backend import tensorflow_update

            if tensorflow_update.can_run(dtype, self.beta_1, self.beta_2):
                return self._tensorflow_update_step(
                    gradient, variable, learning_rate, index
                )

        m = momentum * self.beta_1 + gradient * (1 - self.beta_1)
        v = velocity * self.beta_2 + ops.square(gradient) * (1 - self.beta_2)
        self.assign(momentum, m)
        self.assign(velocity, v)
        if self.bias_correction:
            m = m / ops.cast(1.0 - self._power(self.beta_1), dtype)
            v = v / ops.cast(1.0 - self._power(self.beta_2), dtype)
        update = m / (ops.sqrt(v) + self.epsilon)
        if self._decays[index]:
            update = update + variable * self._decays[index]
        if self._rates[index] != 1:
            update = update * self._rates[index]
        self.assign_sub(variable, update * learning_rate)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """Spares further variables from weight decay.

        Args:
            var_list: list of variables, or `None`.
            var_names: list of regular expressions, or `None`. A variable is
                spared if one of them is found in its name.

        Raises:
            ValueError: the optimizer is built already.
        """
        if self.built:
            raise ValueError(
                "`exclude_from_weight_decay()` must be called before the "
                f"optimizer is built, but {self.name!r} is built already. "
                "Call it right after creating the optimizer."
            )
        super().exclude_from_weight_decay(var_list, var_names)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "beta_1": self.beta_1,
                "beta_2": self.beta_2,
                "epsilon": self.epsilon,
                "bias_correction": self.bias_correction,
                "layer_rates": self.layer_rates,
            }
        )
        return config

    def _decay_of(self, variable):
        path = getattr(variable, "path", variable.name)
        name = path.rsplit("/", 1)[-1]
        if any(part in name for part in UNDECAYED_NAMES):
            return 0.0
        if any(part in path for part in UNDECAYED_PATHS):
            return 0.0
        # Keras' own rule for what `exclude_from_weight_decay()` was given.
        return (self.weight_decay or 0.0) * self._use_weight_decay(variable)

    def _rate_of(self, variable):
        layers = getattr(variable, "path", variable.name).split("/")[:-1]
        found = set(layers) & set(self.layer_rates or ())
        return self.layer_rates[found.pop()] if found else 1.0

    def _power(self, beta):
        step = ops.cast(self.iterations + 1, "float32")
        return ops.power(ops.cast(beta, "float32"), step)

    def _tensorflow_update_step(self, gradient, variable, rate, index):
        from keras_electra.backend import tensorflow_update

        powers = None
        if self.bias_correction:
            powers = [self._power(beta) for beta in (self.beta_1, self.beta_2)]
        if self._rates[index] != 1:
            rate = rate * self._rates[index]
        tensorflow_update.adam_step(
            variable,
            gradient,
            self._momentums[index].value,
            self._velocities[index].value,
            self._decays[index],
            rate,
            self.beta_1,
            self.beta_2,
            self.epsilon,
            powers,
        )

    # The methods below replace hooks of Keras' optimizers, by name.

    def _apply_weight_decay(self, variables):
        # Part of the update above, so that one rate governs both.
        pass

    def _clip_gradients(self, grads):
        if self.global_clipnorm:
            return clipping.clip_by_global_norm(grads, self.global_clipnorm)
        return super()._clip_gradients([clipping.densify(g) for g in grads])

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if keras.config.backend() != "torch":
            return super()._backend_update_step(
                grads, trainable_variables, learning_rate
            )
        from keras_electra.backend import torch_update

        indices = [self._get_variable_index(v) for v in trainable_variables]
        step = None
        if self.bias_correction:
            step = ops.cast(self.iterations + 1, "float32")
        torch_update.adam_step(
            [v.value for v in trainable_variables],
            grads,
            [self._momentums[i].value for i in indices],
            [self._velocities[i].value for i in indices],
            [self._decays[i] for i in indices],
            [self._rates[i] for i in indices],
            ops.convert_to_tensor(learning_rate),
            self.beta_1,
            self.beta_2,
            self.epsilon,
            step,
        )


def pretraining_optimizer(
    size="small",
    num_steps=None,
    learning_rate=None,
    warmup_steps=None,
    weight_decay=0.01,
    **kwargs,
):
    """The optimizer and learning rate that a size is pre-trained with.

    Args:
        size: str, one of `"tiny"`, `"mini"`, `"small"`, `"base"`, `"large"`.
            Defaults to `"small"`.
        num_steps: int > 0, weight updates of the whole run: the rate reaches
            0 there. Defaults to the recipe's.
        learning_rate: float, the rate before warm-up and decay. Defaults to
            the recipe's.
        warmup_steps: number >= 0, weight updates of warm-up. Defaults to the
            recipe's, but to no more than a tenth of a given `num_steps`.
        weight_decay: float >= 0. Defaults to `0.01`.
        **kwargs: further arguments of `ElectraAdamW`. With
            `gradient_accumulation_steps` the schedule is stretched alike,
            because Keras' schedules count batches.

    Returns:
        An `ElectraAdamW`.

    Raises:
        ValueError: there is no such size, or a number is out of its range.
    """
    recipe = recipes.pretraining_recipe(size)
    if warmup_steps is None:
        warmup_steps = recipes.scaled_warmup(recipe, num_steps)
    if num_steps is None:
        num_steps = recipe.num_steps
    if learning_rate is None:
        learning_rate = recipe.learning_rate
    batches = kwargs.get("gradient_accumulation_steps") or 1
    schedule = schedules.WarmupPolynomialDecay(
        learning_rate, num_steps * batches, warmup_steps * batches
    )
    return ElectraAdamW(schedule, weight_decay=weight_decay, **kwargs)
