"""How each size is pre-trained and fine-tuned: numbers, schedule, optimizers.

`small`, `base` and `large` are the paper's (Clark et al., ICLR 2020, tables 6
and 7), `tiny` and `mini` our own, for runs of hours on one machine.
"""

import typing
from typing import Any

import keras
from keras import ops

from keras_electra.arguments import check_number
from keras_electra.arguments import check_option
from keras_electra.arguments import constructor_keywords
from keras_electra.arguments import known_keywords
from keras_electra.model.sizes import closest_size
from keras_electra.training.optimizers import ElectraAdamW


class Recipe(typing.NamedTuple):
    """The numbers of one size."""

    learning_rate: float  # of pre-training, before warm-up and decay
    num_steps: int  # weight updates, where the linear decay reaches 0
    warmup_steps: int
    batch_size: int  # rows a weight update
    sequence_length: int  # tokens a row
    mask_fraction: float  # of the tokens of a row
    finetuning_rates: dict  # by protocol; `most` for runs of few steps
    layer_decay: float  # in fine-tuning, a layer's rate over that of the next


_SMALL = {"paper": 3e-4, "google": 1e-4, "most": 1e-3}, 0.8
_BASE = dict.fromkeys(("paper", "google", "most"), 1e-4), 0.8
_LARGE = dict.fromkeys(("paper", "google", "most"), 5e-5), 0.9
ENDLESS = 1e9  # steps of a run of unknown length
MANY_STEPS = 2000  # of fine-tuning, from which on the paper's rates are right
RECIPES = {
    # Ours: small networks bear larger rates and need fewer steps.
    "tiny": Recipe(1e-3, 50_000, 2_000, 64, 128, 0.15, *_SMALL),
    "mini": Recipe(7e-4, 200_000, 5_000, 128, 128, 0.15, *_SMALL),
    # The Electric paper names 5e-4 for base instead.
    "small": Recipe(5e-4, 1_000_000, 10_000, 128, 128, 0.15, *_SMALL),
    "base": Recipe(2e-4, 766_000, 10_000, 256, 512, 0.15, *_BASE),
    "large": Recipe(2e-4, 400_000, 10_000, 2048, 512, 0.25, *_LARGE),
}
PROTOCOLS = {
    "paper": dict(weight_decay=0.0, skipped_steps=0),
    # The original program (`configure_finetuning.py:54-56, 149-151`,
    # `model/optimization.py:181-193`). Its decay by layers skips a step below
    # the heads; its losses are sums (`run_finetuning.py:71-73`).
    "google": dict(weight_decay=0.01, skipped_steps=1),
}
_OPTIMIZER = constructor_keywords(ElectraAdamW)
SET_RATES = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
)


@keras.saving.register_keras_serializable(package="keras_electra")
class WarmupPolynomialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """`learning_rate * min(1, step / warmup_steps) * (1 - step / num_steps)^p`.

    In float32, 0 from `num_steps` on. The warm-up multiplies a rate that is
    decaying already, as in the original (`model/optimization.py:27-45`).
    `learning_rate` and `warmup_steps` are >= 0, `num_steps` and `power` > 0.
    """

    def __init__(self, learning_rate, num_steps, warmup_steps=0, power=1.0):
        super().__init__()
        check_number("learning_rate", learning_rate, at_least=0)
        check_number("num_steps", num_steps, above=0)
        check_number("warmup_steps", warmup_steps, at_least=0)
        check_number("power", power, above=0)
        self.learning_rate, self.num_steps = learning_rate, num_steps
        self.warmup_steps, self.power = warmup_steps, power

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        # Clamped before dividing, as the original: exactly 0 at the end.
        done = ops.minimum(step, float(self.num_steps)) / float(self.num_steps)
        rate = ops.power(1.0 - done, self.power) * float(self.learning_rate)
        if self.warmup_steps:  # where the original divides zero by zero
            rate = rate * ops.minimum(1.0, step / float(self.warmup_steps))
        return rate

    def get_config(self) -> dict[str, Any]:
        names = ("learning_rate", "num_steps", "warmup_steps", "power")
        return {name: getattr(self, name) for name in names}


def chosen(value: Any, otherwise: Any) -> Any:
    """What was given, or else what is usual."""
    return otherwise if value is None else value


def finetuning_rate(hidden_dim, protocol="paper", num_steps=MANY_STEPS):
    """The learning rate of the size that is closest in width, a float.

    Of fewer `num_steps` than 2,000 it is that times the root of 2,000 over
    their number, but at most 1e-3, and of base and large networks as it is:
    with a small one a short run ends before a small network has moved.
    """
    rates = RECIPES[closest_size(hidden_dim)].finetuning_rates
    steps = min(num_steps or MANY_STEPS, MANY_STEPS)  # 0: not known
    larger = rates[protocol] * (MANY_STEPS / steps) ** 0.5
    return min(larger, max(rates["most"], rates[protocol]))


@keras.saving.register_keras_serializable(package="keras_electra")
class FinetuningAdamW(ElectraAdamW):
    """`ElectraAdamW` whose run is planned when its length is known.

    The rate is constant before `plan`, and from when `learning_rate` is set.
    The number of steps, negative for a rate that was set, is a variable:
    saved, and changed without compiling anything again.
    """

    def __init__(self, learning_rate: Any, **kwargs: Any):
        super().__init__(learning_rate, **kwargs)
        self.num_steps = self.add_variable((), name="num_steps")

    def plan(self, learning_rate, num_steps=0):
        """Warms up for a tenth of the steps and decays to 0; of none neither.

        Of `ENDLESS` steps it warms up for 100. A rate that was set stays.
        """
        if self.num_steps >= 0:
            self.learning_rate = learning_rate
            self.num_steps.assign(num_steps)

    def restart(self, step: Any = 0) -> None:
        """Begins at a step (int), at the first with moments of zero."""
        self.iterations.assign(step)
        if not step and self.built:
            for variable in (*self._momentums, *self._velocities):
                variable.assign(ops.zeros(variable.shape, variable.dtype))

    @property
    def learning_rate(self):
        """The rate of the next step, a tensor or variable."""
        given = super().learning_rate, self.num_steps, self.iterations
        rate, end, step = (ops.cast(value, "float32") for value in given)
        warmup = ops.where(end < ENDLESS, 0.1 * end, 100.0)
        begin = ops.minimum(1.0, step / ops.maximum(warmup, 1.0))
        # Of few steps none is to be lost, as the first of a warm-up is.
        begin = ops.where(end < 10.0, 1.0, begin)
        rest = 1.0 - ops.minimum(step, end) / ops.maximum(end, 1.0)
        return ops.where(end > 0, rate * begin * rest, rate)

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        ElectraAdamW.learning_rate.fset(self, learning_rate)
        self.num_steps.assign(-1)


class PlannedRun(keras.callbacks.Callback):
    """Plans a run as it begins; after others, which may resume a longer one."""

    def __init__(self, optimizer, learning_rate, num_steps, others=()):
        super().__init__()
        self.optimizer = optimizer
        sets_rate = any(isinstance(other, SET_RATES) for other in others)
        self.given = learning_rate, 0 if sets_rate else num_steps

    def on_train_begin(self, logs: Any = None) -> None:
        self.optimizer.plan(*self.given)

    def on_train_end(self, logs: Any = None) -> None:
        self.optimizer.plan(self.given[0])


@known_keywords(*_OPTIMIZER)
def pretraining_optimizer(
    size: str = "small",
    num_steps: int | None = None,
    learning_rate: object = None,
    warmup_steps: int | None = None,
    weight_decay: float = 0.01,
    **kwargs: object,
) -> ElectraAdamW:
    """An `ElectraAdamW` with the learning rate that a size is pre-trained with.

    Args:
        size: str, `"tiny"`, `"mini"`, `"small"`, `"base"` or `"large"`.
        num_steps: int > 0, weight updates in all, by default the recipe's.
        learning_rate: float, before warm-up and decay.
        warmup_steps: number >= 0; by default at most a tenth of `num_steps`.
        weight_decay, **kwargs: of `ElectraAdamW`. Schedules of Keras count
            batches: `gradient_accumulation_steps` stretches this one.
    """
    check_option("size", size, RECIPES)
    recipe = RECIPES[size]
    num_steps = chosen(num_steps, recipe.num_steps)
    most = min(recipe.warmup_steps, int(num_steps) // 10)
    warmup_steps = chosen(warmup_steps, most)
    learning_rate = chosen(learning_rate, recipe.learning_rate)
    batches = kwargs.get("gradient_accumulation_steps") or 1
    steps = num_steps * batches, warmup_steps * batches
    schedule = WarmupPolynomialDecay(learning_rate, *steps)
    return ElectraAdamW(schedule, weight_decay=weight_decay, **kwargs)


@known_keywords(*_OPTIMIZER)
def finetuning_optimizer(
    backbone: keras.Model,
    num_steps: int,
    protocol: str = "paper",
    learning_rate: object = None,
    layer_decay: float | None = None,
    weight_decay: float | None = None,
    warmup_fraction: float = 0.1,
    **kwargs: object,
) -> ElectraAdamW:
    """An `ElectraAdamW` with the rates that a network is fine-tuned with.

    A linear warm-up, a linear decay to 0, and a rate for every layer.

    Args:
        backbone: the `ElectraBackbone` of the task.
        num_steps: int > 0, weight updates in all: `3 * len(texts) // 32`.
        protocol: `"paper"`, or `"google"` as the original, whose losses are of
            `reduction="sum"`.
        learning_rate, layer_decay, weight_decay: floats, the rate of the heads
            before warm-up and decay, the rate of a layer over that of the
            layer above, and decay. Default to the protocol's for the size.
        warmup_fraction: float in [0, 1]. Defaults to `0.1` (paper, table 7).
        **kwargs: as of `keras_electra.pretraining_optimizer`.
    """
    check_option("protocol", protocol, PROTOCOLS)
    usual = PROTOCOLS[protocol]
    rate = finetuning_rate(backbone.hidden_dim, protocol)
    learning_rate = chosen(learning_rate, rate)
    check_number("warmup_fraction", warmup_fraction, at_least=0, at_most=1)
    steps = num_steps * (kwargs.get("gradient_accumulation_steps") or 1)
    return ElectraAdamW(
        WarmupPolynomialDecay(learning_rate, steps, steps * warmup_fraction),
        weight_decay=chosen(weight_decay, usual["weight_decay"]),
        layer_rates=layer_rates(backbone, layer_decay, usual["skipped_steps"]),
        **kwargs,
    )


def layer_rates(backbone, layer_decay=None, skipped_steps=0):
    """`layer_decay ** (depth + skipped_steps)` by layer; depth 1 is the top."""
    usual = RECIPES[closest_size(backbone.hidden_dim)].layer_decay
    layer_decay = chosen(layer_decay, usual)
    check_number("layer_decay", layer_decay, above=0, at_most=1)
    layers = [backbone.embeddings, *backbone.transformer_layers]
    depths = {layer.name: len(layers) - i for i, layer in enumerate(layers)}
    if backbone.embeddings_projection is not None:
        depths[backbone.embeddings_projection.name] = len(layers)
    return {n: layer_decay ** (d + skipped_steps) for n, d in depths.items()}
