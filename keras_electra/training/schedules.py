"""The learning rate over time: a linear warm-up times a polynomial decay.

The warm-up factor multiplies a rate that is already decaying, as in the
original program, so the peak lies a little below `learning_rate`. The price
of that fidelity: with a warm-up the very first step has rate 0.
"""

import keras
from keras import ops

from keras_electra.arguments import check_number


@keras.saving.register_keras_serializable(package="keras_electra")
class WarmupPolynomialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """`learning_rate * min(1, step / warmup_steps) * (1 - step / num_steps)^p`.

    Everything is computed in float32. From `num_steps` on the rate is 0.

    Args:
        learning_rate: float >= 0. The rate that is warmed up and decayed.
        num_steps: number > 0, in steps. Where the decay reaches 0.
        warmup_steps: number >= 0, in steps; may be fractional (fine-tuning
            uses a tenth of its steps, unrounded). With 0 the factor is 1 from
            step 0 on; the original divides zero by zero there. Defaults to
            `0`.
        power: float > 0. Exponent of the decay. Defaults to `1.0`, linear.

    Call arguments:
        step: integer or float, scalar. Steps taken so far, 0 at the start.

    Reference:
        - google-research/electra, `model/optimization.py`, lines 27-45.
    """

    def __init__(self, learning_rate, num_steps, warmup_steps=0, power=1.0):
        super().__init__()
        check_number("learning_rate", learning_rate, at_least=0)
        check_number("num_steps", num_steps, above=0)
        check_number("warmup_steps", warmup_steps, at_least=0)
        check_number("power", power, above=0)
        self.learning_rate = learning_rate
        self.num_steps = num_steps
        self.warmup_steps = warmup_steps
        self.power = power

    def __call__(self, step):
        step = ops.cast(step, "float32")
        # Clamped before dividing, as the original: exactly 0 at the end.
        done = ops.minimum(step, float(self.num_steps)) / float(self.num_steps)
        rate = ops.power(1.0 - done, self.power) * float(self.learning_rate)
        if self.warmup_steps:
            rate = rate * ops.minimum(1.0, step / float(self.warmup_steps))
        return rate

    def get_config(self):
        names = ("learning_rate", "num_steps", "warmup_steps", "power")
        return {name: getattr(self, name) for name in names}
