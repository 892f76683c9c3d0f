"""JAX: one replica for however many devices, as their arrays are global."""

import jax
import numpy as np
from jax.experimental import multihost_utils


def count():
    return 1


def index():
    return 0


def total(value):
    return value


def summed(tensors):
    return tensors


def gathered(rows):
    return rows


def processes():
    return jax.process_index(), jax.process_count()


def everyone(number):
    numbers = multihost_utils.process_allgather(np.int32(number))
    return np.reshape(numbers, -1).tolist()


def begin(variables):
    """Nothing to do: a distribution gives every variable its layout."""
