"""JAX: one replica for however many devices, as their arrays are global."""

from typing import Any

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils


def count() -> int:
    return 1


def index() -> int:
    return 0


def total(value: Any) -> Any:
    return value


def summed(tensors: Any) -> Any:
    return tensors


def gathered(rows: Any) -> Any:
    return rows


def processes() -> tuple[Any, ...]:
    distribution = keras.distribution.distribution()
    size = jax.process_count()
    if distribution is None and size > 1:
        raise RuntimeError(
            f"{size} processes would train apart. Before the model is made: "
            "`keras.distribution.set_distribution(...DataParallel())`."
        )
    if size > devices() > 0:
        raise ValueError(
            f"Each of the {size} processes must hold the whole model, to save "
            "it: give the mesh at least as many rows as there are processes. "
            f"Received: {distribution.device_mesh.shape}."
        )
    return jax.process_index(), size


def devices() -> Any:
    distribution = keras.distribution.distribution()
    return getattr(distribution, "num_model_replicas", 1)


def everyone(number: Any) -> Any:
    numbers = multihost_utils.process_allgather(np.int32(number))
    return np.reshape(numbers, -1).tolist()


def begin(variables: Any) -> None:
    """Nothing to do: a distribution gives every variable its layout."""


def spread(x: Any) -> Any:
    distribution = keras.distribution.distribution()
    if distribution is None:
        return keras.tree.map_structure(keras.ops.convert_to_tensor, x)

    return {
        name: jax.make_array_from_process_local_data(
            distribution.get_data_layout(array.shape).backend_layout, array
        )
        for name, array in x.items()
        if name != "filler"
    }
