"""The data of `fit` and `evaluate` as endless streams of batches.

Texts and arrays in memory are shuffled anew in every pass, as users of Keras
expect; KerasHub's `fit` would take lists in the order given. The order is a
function of the position, as for `keras_electra.load_examples`, so a run on a
list of texts is resumed exactly, too.
"""

import random

import grain
import numpy as np

from keras_electra.data.order import ExampleOrder
from keras_electra.training.in_memory import check_validation_split
from keras_electra.training.in_memory import is_in_memory
from keras_electra.training.in_memory import training_size


class Rows:
    """The examples of a list, of a tuple of lists, or of a dict of arrays.

    Args:
        data: list of strings, tuple of such lists, or dict of arrays.

    Raises:
        ValueError: when there is no example, or the parts differ in length.
    """

    def __init__(self, data):
        self._kind = type(data)
        if isinstance(data, tuple):
            data = dict(enumerate(data))
        elif not isinstance(data, dict):
            data = {None: data}
        self._parts = {k: _to_array(part) for k, part in data.items()}
        lengths = {len(part) for part in self._parts.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                "`x` must hold at least one example, and all its parts must "
                f"have the same length. Received lengths {sorted(lengths)}."
            )
        self._length = lengths.pop()

    def __len__(self):
        return self._length

    def take(self, indices):
        """The examples at the indices, in the form of the data."""
        parts = {k: part[indices] for k, part in self._parts.items()}
        if self._kind is tuple:
            return tuple(parts.values())
        return parts if self._kind is dict else parts[None]


def _to_array(part):
    if isinstance(part, list):
        # An array of strings proper has room for the longest in each place.
        return np.array(part, dtype=object)
    return np.asarray(part)


class MemoryBatches:
    """Batches of examples in memory, found by their position.

    Args:
        data: see `Rows`.
        batch_size: int. Examples a batch.
        shuffle: bool. Whether the order is a new one in every pass, without
            end. It is drawn from Python's generator, which
            `keras.utils.set_random_seed` sets.

    Attributes:
        endless: bool. Whether there is a batch at every position.
    """

    def __init__(self, data, batch_size, shuffle):
        self._rows = Rows(data)
        self.endless = shuffle
        seed = random.randrange(2**31) if shuffle else None
        self._order = ExampleOrder(len(self._rows), batch_size, seed)

    def __len__(self):
        return self._order.batches_in_pass

    def batch(self, position):
        """The batch at a position (int, batches)."""
        return self._rows.take(self._order.indices(position))


class BatchStream(grain.IterDataset):
    """An endless stream of the batches of a source.

    Keras warns when data ends that did not say how long it is, and stays at
    the end of data that did; an endless stream with a count of steps has
    neither trouble.

    Args:
        source: `MemoryBatches` or `keras_electra.load_examples(...)`. One
            with an end is begun again after it.
        length: int or `None`. Batches after which it is begun again.
            Defaults to all of them.

    Attributes:
        position: int. Batches before the one that the next `iter` starts at.
    """

    def __init__(self, source, length=None):
        super().__init__()
        self._source = source
        self._length = length or len(source)
        self.position = getattr(source, "position", 0)

    def __len__(self):
        return self._length

    def __iter__(self):
        return _Iterator(self, self.position)

    def batch(self, position):
        """The batch at a position (int, batches)."""
        if not self._source.endless:
            position %= self._length
        return self._source.batch(position)


class _Iterator(grain.DatasetIterator):
    def __init__(self, stream, position):
        super().__init__()
        self._stream = stream
        self._next_position = position

    def __next__(self):
        batch = self._stream.batch(self._next_position)
        self._next_position += 1
        return batch

    def get_state(self):
        return {"position": self._next_position}

    def set_state(self, state):
        self._next_position = int(state["position"])


def hold_out(x, share):
    """Parts examples in memory into those to train and to validate on.

    Args:
        x: as `Rows` takes it.
        share: float between 0 and 1, of the examples, from the end.

    Returns:
        Two of the kind of `x`, with arrays in place of lists.

    Raises:
        ValueError: when `x` is not in memory, or one part would be empty.
    """
    check_validation_split(x, share)
    rows = Rows(x)
    size = training_size(len(rows), share)
    return rows.take(slice(size)), rows.take(slice(size, None))


def to_stream(x, batch_size=None, shuffle=False, length=None):
    """Makes a stream of what `fit` was given, where it can be one.

    Args:
        x: examples in memory, `keras_electra.load_examples(...)`, or any
            other data set.
        batch_size: int or `None`. Examples a batch. Defaults to `32`.
        shuffle: bool. Whether to shuffle examples in memory.
        length: int or `None`. See `BatchStream`.

    Returns:
        A `BatchStream`, or `x` if it is another data set.
    """
    if is_in_memory(x):
        x = MemoryBatches(x, batch_size or 32, shuffle)
    elif not hasattr(x, "endless"):
        return x
    return BatchStream(x, length)
