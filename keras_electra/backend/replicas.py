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
gives all those of the first, and the state of its global generators. The rows
of a batch are a multiple of the `devices()` of all processes; `spread(x)` puts
own ones where they are computed.
"""

import os
import zlib
from typing import Any

import filelock
import keras
from keras import ops

if keras.config.backend() == "tensorflow":
    import keras_electra.backend.tensorflow_replicas as engine
elif keras.config.backend() == "torch":
    import keras_electra.backend.torch_replicas as engine
else:
    import keras_electra.backend.jax_replicas as engine

# In the inputs, with a column for each row that only fills up the batch; see
# `own_rows` in `data/batches.py`.
FILLER = "filler"
count, index, processes = engine.count, engine.index, engine.processes
total, summed, gathered = engine.total, engine.summed, engine.gathered
everyone, begin = engine.everyone, engine.begin
devices, spread = engine.devices, engine.spread


def without_filler(x: Any) -> Any:
    """Inputs as a network takes them."""
    if isinstance(x, dict) and FILLER in x:
        x = {name: x[name] for name in x if name != FILLER}
    return x


def own(rows: Any) -> Any:
    """The rows of this replica, of those of all."""
    if count() == 1:
        return rows
    return ops.reshape(rows, (count(), -1, *ops.shape(rows)[1:]))[index()]


def own_draws(draw: Any, like: Any) -> Any:
    """Random numbers of the shape of `like`, by `draw` of that of all rows."""
    shape = ops.shape(like)
    if count() == 1:
        return draw(shape)
    size, *rest = shape
    fillers = engine.fillers(size)
    draws = draw((size * count() - fillers, *rest))
    return own(ops.pad(draws, [(0, fillers), *((0, 0) for _ in rest)]))


def lock_folder(folder: Any) -> Any:
    """Keeps other runs out of a folder that all processes share.

    Until `release()` of what is returned, or the end of the first process.
    """
    is_first = processes()[0] == 0
    folder.mkdir(parents=True, exist_ok=True)
    place = folder.parent if os.access(folder.parent, os.W_OK) else folder
    path = place / f".{folder.name}.lock"
    # In the same process an interrupted run may be gone on with.
    lock = filelock.FileLock(path, timeout=0, is_singleton=True)
    try:
        if is_first:
            lock.acquire()
            os.utime(path)
    except filelock.Timeout:
        message = f"Another run trains in {folder}, holding {path}. Stop it"
        raise FileExistsError(f"{message}, or give another one.") from None
    if processes()[1] > 1:
        everyone(0)  # the others wait until it is locked
        # Another folder has another lock, or other files.
        names = sorted(path.name for path in folder.iterdir())
        time = path.stat().st_mtime_ns if path.exists() else 0
        number = zlib.crc32(repr((time, names)).encode()) >> 1
        check_same(f"The folder {folder}", number, "Let all share its disk.")
    return lock


def check_same(name: str, number: Any, advice: Any) -> None:
    """Raises, in all processes, unless a number is the same in all."""
    numbers = everyone(number)
    if len(set(numbers)) > 1:
        raise ValueError(
            f"{name} must be the same in all {len(numbers)} processes. Their "
            f"checksums are {numbers}. {advice}"
        )
