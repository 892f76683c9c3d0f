"""Dropout whose random bits come from hashing a counter.

Price: a rate is rounded to a multiple of 1/65536 (the scale of what is kept
follows it exactly), and the numbers are good enough for dropout only.
"""

import keras

from keras_electra.backend.numerics import drop
from keras_electra.backend.numerics import dropped_levels


@keras.saving.register_keras_serializable(package="keras_electra")
class HashDropout(keras.layers.Layer):
    """Sets a share of its input to zero in training, and scales the rest.

    Args:
        rate: float. Share of the elements that is dropped, in `[0, 1)`.
        seed: int or `None`. Seed of the draws.
        **kwargs: `name`, `dtype` and the like of `keras.layers.Layer`.

    Call arguments:
        x: float array of any shape with at least one axis.
        training: bool. Whether to drop anything. Defaults to what Keras
            knows from `fit`.

    Returns:
        Array of the shape of `x`.

    Raises:
        ValueError: when `rate` is not in `[0, 1)`.
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(
                "`rate` must be at least 0 and less than 1, the share of the "
                f"elements to drop. Received: rate={rate}."
            )
        self.rate = rate
        self.seed = seed
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        self.built = True

    def call(self, x, training=False):
        return self.drop(x, self.draw_seed(training))

    def draw_seed(self, training):
        """What `drop` takes to drop something, `None` if nothing is to be."""
        if not training or not dropped_levels(self.rate):
            return None
        return self.seed_generator.next()

    def drop(self, x, seed):
        return x if seed is None else drop(x, self.rate, seed)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.update({"rate": self.rate, "seed": self.seed})
        return config
