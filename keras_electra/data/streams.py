"""Streams: what is iterated, and what Keras gets to iterate over.

Loaders, data sets, generators and iterators are read batch by batch; examples
that come one by one are put together. What can be read once is remembered only
if it is needed again.
"""

import contextlib
import functools
import itertools
import sys
import warnings
from collections import abc

import keras
import numpy as np

from keras_electra.backend import graph_text
from keras_electra.data import inputs
from keras_electra.data.batches import PositionedDataset

# Batches that Keras looks at before it begins.
PEEKED = 8


class Stream(PositionedDataset):
    """The batches of a source as Keras takes them: again and again.

    Keras warns when data ends that did not say how long it is, and stays at
    the end of data that did.

    Args:
        source: `Batches`, `ExampleDataset` or `StreamBatches`.
        steps: int or `None`. Batches of an epoch. Defaults to a pass.

    Attributes:
        endless: bool. `False`: the position of a pass counts, not of all.
        error: exception that ended it, or `None`.
        position, steps: int, or `None` for a pass that nobody counted.
    """

    def __init__(self, source, steps=None):
        super().__init__()
        self._source = source
        is_read = isinstance(source, StreamBatches)
        self._length = source.count() if is_read else len(source)
        self.steps = steps or self._length
        self.endless = source.endless
        counted = self._length is not None
        self.position = getattr(source, "position", 0) if counted else None
        self.error = None

    def __len__(self):
        return self._length

    def batches(self, position):
        """A generator of the batches from a position on."""
        try:
            if not isinstance(self._source, StreamBatches):
                yield from map(self._source.batch, itertools.count(position))
            for _ in itertools.count() if self.steps else range(1):
                batches = itertools.islice(self._source, position, self._length)
                position = 0
                first = next(batches, None)
                if first is None:
                    raise ValueError("`x` has too few batches: fewer steps?")
                yield first
                yield from batches
        except Exception as error:
            self.error = error
            raise

    def for_keras(self, token_labels=False):
        """On TensorFlow a `tf.data` set that is told which axes vary.

        Keras takes for fixed what is alike in the first two batches. The
        labels' axes vary with `token_labels`.
        """
        if keras.config.backend() != "tensorflow" or not self._source.is_ragged:
            return self

        def spec(array, varies=True):
            axes = [None if varies else size for size in array.shape[1:]]
            return keras.KerasTensor((None, *axes), array.dtype.name)

        x, *labels = keras.utils.unpack_x_y_sample_weight(next(iter(self)))
        like = functools.partial(spec, varies=token_labels)
        specs = keras.utils.pack_x_y_sample_weight(
            inputs.map_columns(spec, x), *inputs.map_columns(like, (*labels,))
        )
        return graph_text.to_dataset(self.__iter__, specs)


@contextlib.contextmanager
def errors_of(stream):
    """Raises what went wrong in the data as it was, not as graphs report it."""
    with warnings.catch_warnings():
        if stream.steps is None:
            # A pass whose length nobody knew is not too short.
            warnings.filterwarnings("ignore", message="Your input ran out")
        try:
            yield
        except Exception as error:
            if stream.error is None or stream.error is error:
                raise
            raise stream.error from None


class StreamBatches:
    """The batches of a loader, a data set, a generator or an iterator.

    Args:
        source: iterable of batches, or of examples, `batch_size` to a batch.
        names: `Names`.
        prepare: function of `(x, y, sample_weight)`; what a batch becomes.
        remember: bool. Whether an iterator can be read again.
    """

    is_ragged, endless = True, False

    def __init__(self, source, names, batch_size, prepare, remember=True):
        self._source = source
        self._names = names
        self._batch_size = inputs.checked_size(batch_size)
        self._prepare = prepare
        # Elements of an iterator, which may be examples, to be read again.
        self._most = sys.maxsize if remember else PEEKED * self._batch_size
        self._first, self._drawn = [], 0

    def __iter__(self):
        getattr(self._source, "on_epoch_begin", lambda: None)()
        pending = []
        for batch, is_example in self._elements():
            if is_example:
                pending.append(batch)
                if len(pending) < self._batch_size:
                    continue
                batch, pending = inputs.map_columns(_stack, *pending), []
            yield self._prepare(*batch)
        if pending:
            yield self._prepare(*inputs.map_columns(_stack, *pending))
        getattr(self._source, "on_epoch_end", lambda: None)()

    def count(self):
        """Number of batches of a pass, `None` if that is not known."""
        try:
            length = len(self._source)
        except TypeError:
            return None
        _, is_example = next(self._elements(), (None, False))
        if is_example:
            length = -(-length // self._batch_size)
        return length if length < sys.maxsize // 2**20 else None

    def _elements(self):
        elements = self._source
        if hasattr(elements, "__next__"):
            elements = self._read_once()
        elif not hasattr(elements, "__iter__"):
            elements = (self._source[i] for i in range(len(self._source)))
        return (read_element(element, self._names) for element in elements)

    def _read_once(self):
        if self._drawn > len(self._first):
            raise ValueError(
                f"`x` can be read once, and its {self._drawn} elements are "
                "used up. Pass a list or a loader, or ask for fewer steps."
            )
        yield from list(self._first)
        for element in self._source:
            self._drawn += 1
            if self._drawn <= self._most:
                self._first.append(element)
            yield element


def _stack(*values):
    """A column of one value from each example."""
    return np.stack(values) if isinstance(values[0], np.ndarray) else [*values]


def read_element(element, names):
    """`((x, y, sample_weight), is_example)` of what a stream holds."""
    collated = isinstance(element, list) and not _all_texts(element)
    if isinstance(element, abc.Mapping):
        data = inputs.pick_columns(element, names)
    else:
        data = element if isinstance(element, tuple) or collated else (element,)
        data = keras.utils.unpack_x_y_sample_weight(tuple(data))
    x, y, weight = map(_to_leaves, data)
    is_pair = isinstance(data[0], tuple) and _all_texts(data[0])
    if is_pair and not collated and not isinstance(y, list) and np.ndim(y) == 0:
        x = data[0]
    if isinstance(x, dict):
        is_example = np.ndim(x.get("padding_mask", x.get("token_ids"))) < 2
    else:
        is_example = inputs.is_text(x[0] if isinstance(x, tuple) else x)
    if not is_example and names.example is not None:
        is_example = names.example(x, y)
    return (x, y, weight), is_example


def _all_texts(part):
    return bool(part) and all(map(inputs.is_text, part))


def _to_leaves(part):
    """Columns, below tuples and dicts, of a batch as libraries collate it."""
    if part is None or inputs.is_text(part):
        return inputs.to_python(part)
    if isinstance(part, abc.Mapping):
        return {name: _to_leaves(item) for name, item in part.items()}
    # torch makes tuples of the strings of a batch, in lists for examples
    # of several parts.
    if isinstance(part, (list, tuple)) and not _all_texts(part):
        texts = (isinstance(i, tuple) and _all_texts(i) for i in part)
        if isinstance(part, tuple) or any(texts):
            return tuple(map(_to_leaves, part))
    if np.isscalar(part) or hasattr(part, "__array__") and np.ndim(part) == 0:
        return inputs.to_python(np.asarray(part).item())
    return inputs.to_column(part)


def read_all(source, names):
    """The inputs of a whole stream, as columns."""
    batches = [*StreamBatches(source, names, None, lambda x, y, weight: x)]
    if not batches:
        return []
    return inputs.map_columns(lambda *x: list(itertools.chain(*x)), *batches)
