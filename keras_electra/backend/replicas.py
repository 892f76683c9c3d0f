"""Replicas: each computes its rows of one global batch, and they agree.

N of them do what one does with the whole batch: draws are made for all rows and
the own taken, weights, losses and gradients are summed over all. Rows are
contiguous blocks, of equally many, padded to the length of the whole batch;
where rows do not suffice, some have a `padding_mask` of zeros, and no weight.

Every engine has `count()`, of replicas, `index()`, which of them this is,
`total(tensor)`, a sum over them without a gradient, `summed(tensors)`, that of
many at once, and `gathered(rows)`, all rows, with a gradient. A replica is a
process on torch, a device on TensorFlow; JAX has one, as arrays are global.
`processes()`, `(index, count)`, read data, each its own rows; `everyone(n)` is
the list of what every process calls `n`, an int below 2**31. `begin(variables)`
gives all those of the first. The rows of a global batch are a multiple of the
`devices()` of all processes; `spread(x)` puts own ones where they are computed.
"""

import keras
from keras import ops

if keras.config.backend() == "tensorflow":
    import keras_electra.backend.tensorflow_replicas as engine
elif keras.config.backend() == "torch":
    import keras_electra.backend.torch_replicas as engine
else:
    import keras_electra.backend.jax_replicas as engine

count, index, processes = engine.count, engine.index, engine.processes
total, summed, gathered = engine.total, engine.summed, engine.gathered
everyone, begin = engine.everyone, engine.begin
devices, spread = engine.devices, engine.spread


def own(rows):
    """The rows of this replica, of those of all."""
    if count() == 1:
        return rows
    return ops.reshape(rows, (count(), -1, *ops.shape(rows)[1:]))[index()]


def whole_shape(rows):
    """Of an array that has the rows of all replicas where this has its own."""
    size, *rest = ops.shape(rows)
    return (size * count(), *rest)


def check_same(name, number, advice):
    """Raises, in all processes, unless a number is the same in all."""
    numbers = everyone(number)
    if len(set(numbers)) > 1:
        raise ValueError(
            f"{name} must be the same in all {len(numbers)} processes. Their "
            f"checksums are {numbers}. {advice}"
        )
