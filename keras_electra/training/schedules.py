"""The learning rate over time: a linear warm-up times a polynomial decay.

The warm-up factor multiplies a rate that is already decaying, as in the
original program, so the peak lies a little below `learning_rate`. The price
of that fidelity: with a warm-up the very first step has rate 0.
"""

import keras
from keras import ops


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

    Returns:
        The learning rate of this step, a float32 scalar.

    Raises:
        ValueError: an argument is out of its range.

    Reference:
        - google-research/electra, `model/optimization.py`, lines 27-45.
    """

    def __init__(self, learning_rate, num_steps, warmup_steps=0, power=1.0):
        super().__init__()
        if not learning_rate >= 0:
            raise ValueError(
                "`learning_rate` must be a number >= 0. "
                f"Received: learning_rate={learning_rate}."
            )
        if not num_steps > 0:
            raise ValueError(
                "`num_steps` must be the number of training steps, > 0. "
                f"Received: num_steps={num_steps}."
            )
        if not warmup_steps >= 0:
            raise ValueError(
                "`warmup_steps` must be a number of steps >= 0 (0 for no "
                f"warm-up). Received: warmup_steps={warmup_steps}."
            )
        if not power > 0:
            raise ValueError(
                "`power` must be > 0 (1.0 for a linear decay). "
                f"Received: power={power}."
            )
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
        return {
            "learning_rate": self.learning_rate,
            "num_steps": self.num_steps,
            "warmup_steps": self.warmup_steps,
            "power": self.power,
        }
