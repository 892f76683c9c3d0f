"""The arithmetic of the networks once more, in NumPy and float64."""

import math

import keras
import numpy as np
from keras import ops

RNG = np.random.default_rng(0)
# Standard deviation of a normal that is cut at two standard deviations.
TRUNCATED = 0.8796


def to_numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def run(function, *arguments):
    """Calls it; on JAX as one program, not one for each operation."""
    if keras.config.backend() == "jax":
        import jax

        # Not `jit(function)`: what that compiled before would come back,
        # with the weights of then.
        return to_numpy(jax.jit(lambda *a: function(*a))(*arguments))
    return to_numpy(function(*arguments))


def randomize(layer, scale=0.5):
    """Gives every weight random values, biases included; returns them."""
    rng = np.random.default_rng(1)
    values = [rng.normal(0, scale, w.shape) for w in layer.weights]
    layer.set_weights(values)
    return {w.path.split("/", 1)[1]: v for w, v in zip(layer.weights, values)}


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def layer_norm(x, gamma=1.0, beta=0.0):
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return centred / deviation * gamma + beta


def check_truncated_normal(variable, stddev=0.02):
    values = to_numpy(variable.value)
    assert values.size >= 5000
    # Keras on torch lets 4 of a million values through.
    assert (np.abs(values) > 2 * stddev + 1e-7).mean() < 1e-3
    # Values beyond 1.9 standard deviations are a percent of all.
    assert np.abs(values).max() > 1.9 * stddev
    assert abs(values.mean()) < 5 * stddev / math.sqrt(values.size)
    assert abs(values.std() / (TRUNCATED * stddev) - 1) < 0.05


def check_glorot_uniform(variable):
    values = to_numpy(variable.value)
    assert values.size >= 250
    limit = math.sqrt(6 / sum(values.shape))
    assert 0.95 * limit < np.abs(values).max() <= limit * 1.0001
    assert abs(values.std() / (limit / math.sqrt(3)) - 1) < 0.1


def check_constant(variable, value):
    assert np.all(to_numpy(variable.value) == value)
