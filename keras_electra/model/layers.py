"""The parts of all networks: dropout, activations, and how layers start.

Price of `HashDropout`: a rate is rounded to a multiple of 1/65536 (the scale
of what is kept follows it), and its numbers are good enough for dropout only.
"""

from typing import Any

import keras
from keras import ops

from keras_electra.arguments import KeepsArguments
from keras_electra.arguments import check_number
from keras_electra.backend import numerics
from keras_electra.backend import replicas
from keras_electra.model.adapted import Dense


class ConfiguredLayer(KeepsArguments, keras.layers.Layer):
    """Keeps all arguments but Keras' as attributes, which are its config."""

    def add_dense(
        self, name: str, units: int, x_shape: Any, activation: Any = None
    ) -> None:
        """Sets `self.name`, built, of its precision and initial values."""
        self.add_built(dense(self, units, name, activation), x_shape)

    def add_norm(self, name: str, x_shape: Any) -> None:
        """Sets `self.name`, built, of its precision and epsilon."""
        kwargs = {"epsilon": self.layer_norm_epsilon, "name": name}
        kwargs["dtype"] = self.dtype_policy
        self.add_built(keras.layers.LayerNormalization(**kwargs), x_shape)

    def add_built(self, layer: Any, x_shape: Any) -> None:
        layer.build(x_shape)
        setattr(self, layer.name, layer)


@keras.saving.register_keras_serializable(package="keras_electra")
class HashDropout(ConfiguredLayer):
    """Sets a share `rate`, in `[0, 1)`, of its input to zero in training.

    The rest is scaled. `seed` is of the draws: int or `None`.
    """

    def __init__(self, rate: float, seed: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        check_number("rate", rate, at_least=0, below=1)
        self.keep_arguments(locals())
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, x: Any, training: bool | None = False) -> Any:
        return numerics.drop(x, self.rate, self.draw_seed(training))

    def draw_seed(self, training: bool | None) -> Any:
        """What `drop` takes to drop something, `None` if nothing is to be."""
        if not training or not numerics.dropped_levels(self.rate):
            return None
        return self.seed_generator.next()


class Dropout(keras.layers.Dropout):
    """Keras', which on several replicas draws for the rows of all."""

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        if not training or replicas.count() == 1:
            return super().call(inputs, training)
        call, dtype = super().call, inputs.dtype
        return inputs * replicas.own_draws(
            lambda shape: call(ops.ones(shape, dtype), training), inputs
        )


def activation_function(name: str) -> Any:
    """The function of an `activation`; names but those of GELU are Keras'."""
    own = {"gelu": exact_gelu, "gelu_approximate": approximate_gelu}
    return own[name] if name in own else keras.activations.get(name)


@keras.saving.register_keras_serializable(package="keras_electra")
def exact_gelu(x: Any) -> Any:
    """`x * Phi(x)` with the Gaussian distribution function itself."""
    if keras.config.backend() == "torch":
        return keras.ops.gelu(x, approximate=False)
    # Elsewhere Keras' has the complement of erf, which takes twice as long.
    wide = keras.ops.cast(x, "float32")
    # In this order LiteRT knows it again.
    wide = 0.5 * wide * (1.0 + keras.ops.erf(wide * 2**-0.5))
    return keras.ops.cast(wide, x.dtype)


@keras.saving.register_keras_serializable(package="keras_electra")
def approximate_gelu(x: Any) -> Any:
    """`x * Phi(x)` by the tanh formula; differs by up to 5e-4."""
    return keras.ops.gelu(x, approximate=True)


def truncated_normal(layer: Any) -> Any:
    """What kernels and tables start from, with `layer.initializer_range`."""
    return keras.initializers.TruncatedNormal(stddev=layer.initializer_range)


def dense(layer: Any, units: int, name: str, activation: Any = None) -> Any:
    """A dense layer of the precision and initial values of `layer`."""
    return Dense(
        units,
        activation=activation_function(activation),
        kernel_initializer=truncated_normal(layer),
        dtype=layer.dtype_policy,
        name=name,
    )
