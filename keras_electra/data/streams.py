"""Streams: what is iterated, and what Keras gets to iterate over.

Loaders, data sets, generators and iterators are read in Python, batch by
batch; examples that come one by one are put together to batches. What can be
read once is remembered only if it is needed again.
"""

import itertools
import sys
from collections import abc

import grain
import keras
import numpy as np

from keras_electra.backend import graph_text
from keras_electra.data.inputs import is_text
from keras_electra.data.inputs import pick_columns
from keras_electra.data.inputs import to_column
from keras_electra.data.inputs import to_python

# Batches that Keras looks at before it begins.
PEEKED = 8


class Stream(grain.IterDataset):
    """The batches of a source as Keras takes them.

    Keras warns when data ends that did not say how long it is, and stays at
    the end of data that did; an endless stream with a count of steps has
    neither trouble.

    Args:
        source: `Batches` or another object with `batch(position)`, `len` and
            `endless`, such as `keras_electra.load_examples(...)`; or
            `StreamBatches`.
        steps: int or `None`. Batches of an epoch. Defaults to a pass.

    Attributes:
        endless: bool. `False`: the position of a pass counts, not of all.
        error: exception that ended it, or `None`.
        position: int, or `None` if a pass was not counted. Batches before the
            one that the next `iter` starts at.
        steps: int, or `None` for a pass that nobody counted.
    """

    def __init__(self, source, steps=None):
        super().__init__()
        self._source = source
        found = hasattr(source, "batch")
        self._length = len(source) if found else source.count()
        self.steps = steps or self._length
        self.endless = getattr(source, "endless", False)
        counted = self._length is not None
        self.position = getattr(source, "position", 0) if counted else None
        self._is_ragged = getattr(source, "is_ragged", False)
        self.error = None

    def __len__(self):
        return self._length

    def __iter__(self):
        return _Iterator(self, self.position or 0)

    def batch(self, position):
        """The batch at a position (int, batches)."""
        if not self.endless:
            position %= self._length
        return self._source.batch(position)

    def batches(self, position):
        """A generator of batches from a position (int, batches) on."""
        if hasattr(self._source, "batch"):
            yield from map(self.batch, itertools.count(position))
        while True:
            found = False
            for batch in itertools.islice(self._source, position, self._length):
                found = True
                yield batch
            if self.steps is None:
                return
            if not found:
                raise ValueError(
                    "`x` holds no batch, or fewer than were asked for and "
                    "cannot be begun again. Ask for fewer steps."
                )
            position = 0

    def for_keras(self, token_labels=False):
        """What Keras' `fit` and `evaluate` get.

        On TensorFlow a `tf.data` set that is told which axes vary: Keras
        takes for fixed what is alike in the first two batches.

        Args:
            token_labels: bool. Whether labels have an axis of tokens.
        """
        if keras.config.backend() != "tensorflow" or not self._is_ragged:
            return self
        first = next(iter(self))
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(first)

        def free(array):
            return keras.KerasTensor((None,) * array.ndim, array.dtype.name)

        def fixed(array):
            return keras.KerasTensor((None, *array.shape[1:]), array.dtype.name)

        spec = [keras.tree.map_structure(free, x)]
        for part in (y, sample_weight):
            if part is not None:
                like = free if token_labels else fixed
                spec.append(keras.tree.map_structure(like, part))
        spec = spec[0] if not isinstance(first, tuple) else tuple(spec)
        return graph_text.to_dataset(lambda: iter(self), spec)


class _Iterator(grain.DatasetIterator):
    def __init__(self, stream, position):
        super().__init__()
        self._stream = stream
        self.set_state({"position": position})

    def __next__(self):
        try:
            batch = next(self._batches)
        except StopIteration:
            raise
        except Exception as error:
            self._stream.error = error
            raise
        self._next_position += 1
        return batch

    def get_state(self):
        return {"position": self._next_position}

    def set_state(self, state):
        self._next_position = int(state["position"])
        self._batches = self._stream.batches(self._next_position)


class StreamBatches:
    """The batches of a loader, a data set, a generator or an iterator.

    Args:
        source: iterable of batches or of examples.
        names: `Names`.
        batch_size: int or `None`. Examples a batch where they come one by
            one. Defaults to `32`.
        prepare: function of `(x, y, sample_weight)`; what a batch becomes.
        remember: bool. Whether an iterator can be read again.

    Raises:
        TypeError: when the source cannot be iterated.
    """

    is_ragged = True

    def __init__(self, source, names, batch_size, prepare, remember=True):
        if not hasattr(source, "__iter__") and not hasattr(source, "__len__"):
            raise TypeError(
                "`x` must be examples in memory (a list, an array, a Series, "
                "a tuple or table of columns) or something to iterate over. "
                f"Received: {type(source).__name__}."
            )
        if hasattr(source, "__next__"):
            # An element may be an example.
            source = _Once(source, remember, PEEKED * (batch_size or 32))
        self._source = source
        self._names = names
        self._batch_size = batch_size or 32
        self._prepare = prepare

    def __iter__(self):
        pending = []
        if hasattr(self._source, "on_epoch_begin"):
            self._source.on_epoch_begin()
        for element in self._elements():
            batch, is_example = read_element(element, self._names)
            if not is_example:
                yield self._prepare(*batch)
                continue
            pending.append(batch)
            if len(pending) == self._batch_size:
                yield self._prepare(*_stack(pending))
                pending = []
        if pending:
            yield self._prepare(*_stack(pending))
        if hasattr(self._source, "on_epoch_end"):
            self._source.on_epoch_end()

    def count(self):
        """Number of batches of a pass, `None` if that is not known."""
        try:
            length = len(self._source)
        except TypeError:
            return None
        if length >= sys.maxsize:
            return None
        for element in itertools.islice(self._elements(), 1):
            if read_element(element, self._names)[1]:
                length = -(-length // self._batch_size)
        return length

    def _elements(self):
        if hasattr(self._source, "__iter__"):
            return iter(self._source)
        return (self._source[i] for i in range(len(self._source)))


class _Once:
    """An iterator that can be read again, if it was told to remember."""

    def __init__(self, iterator, remember, peeked):
        self._iterator = iterator
        self._remember = remember
        self._peeked = peeked
        self._first = []
        self._drawn = 0

    def __iter__(self):
        if self._drawn > len(self._first):
            raise ValueError(
                "`x` is an iterator, which can be read once, and its "
                f"{self._drawn} elements are used up. Pass something that can "
                "be iterated again, such as a list or a loader, or ask for "
                "fewer steps."
            )
        yield from list(self._first)
        for element in self._iterator:
            self._drawn += 1
            if self._remember or self._drawn <= self._peeked:
                self._first.append(element)
            yield element


def read_element(element, names):
    """What a stream holds: `((x, y, sample_weight), is_example)`.

    `element` is `x`, a tuple of these, or a dict of columns.
    """
    collated = isinstance(element, list) and not _all_texts(element)
    if isinstance(element, abc.Mapping):
        data = pick_columns(element, names)
    elif isinstance(element, tuple) or collated:
        data = keras.utils.unpack_x_y_sample_weight(tuple(element))
    else:
        data = (element, None, None)
    x, y, weight = map(_to_leaves, data)
    is_pair = isinstance(data[0], tuple) and _all_texts(data[0])
    if is_pair and not collated and not isinstance(y, list) and np.ndim(y) == 0:
        x = data[0]
    first = x[0] if isinstance(x, tuple) else x
    if isinstance(x, dict):
        rank = np.ndim(x.get("padding_mask", x.get("token_ids")))
        is_example = rank < 2
    else:
        is_example = is_text(first)
    if not is_example and names.example is not None:
        is_example = names.example(x, y)
    return (x, y, weight), is_example


def _all_texts(part):
    return bool(part) and all(is_text(item) for item in part)


def _to_leaves(part):
    """Columns, below tuples and dicts, of a batch as libraries collate it."""
    if part is None or is_text(part):
        return to_python(part)
    if isinstance(part, abc.Mapping):
        return {name: _to_leaves(item) for name, item in part.items()}
    # torch makes tuples of the strings of a batch, in lists for examples
    # of several parts.
    is_several = isinstance(part, (list, tuple)) and not _all_texts(part)
    if is_several and (
        isinstance(part, tuple)
        or any(isinstance(i, tuple) and _all_texts(i) for i in part)
    ):
        return tuple(_to_leaves(item) for item in part)
    if np.isscalar(part) or hasattr(part, "__array__") and np.ndim(part) == 0:
        return to_python(np.asarray(part).item())
    return to_column(part)


def _stack(examples):
    """One batch of examples, each `(x, y, sample_weight)`."""

    def stack(*leaves):
        if leaves[0] is None:
            return None
        if isinstance(leaves[0], tuple):
            return tuple(map(stack, *leaves))
        if isinstance(leaves[0], dict):
            return {
                name: stack(*(leaf[name] for leaf in leaves))
                for name in leaves[0]
            }
        if isinstance(leaves[0], np.ndarray):
            return np.stack(leaves)
        return list(leaves)

    return stack(*(tuple(example) for example in examples))


def read_all(source, names):
    """The inputs of a whole stream, as columns."""
    batches = [
        x for x, _, _ in StreamBatches(source, names, None, lambda *data: data)
    ]
    return _join(batches) if batches else []


def _join(parts):
    """One column, or tuple of columns, of many."""
    if isinstance(parts[0], tuple):
        return tuple(map(_join, zip(*parts)))
    return [value for part in parts for value in part]
