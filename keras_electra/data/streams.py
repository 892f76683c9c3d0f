"""Streams: loaders, data sets, generators and iterators, read batch by batch.

Examples are put together; what can be read once is remembered if need be.
"""

import contextlib
import itertools
import sys
import warnings
import zlib
from collections import abc
from typing import Any

import keras
import numpy as np

from keras_electra.backend import graph_text
from keras_electra.backend import replicas
from keras_electra.data import inputs
from keras_electra.data.batches import PositionedDataset
from keras_electra.data.batches import own_part

PEEKED = 8  # batches that Keras looks at before it begins


class Stream(PositionedDataset):
    """The batches of a source as Keras takes them: again and again.

    Keras warns when data ends that did not say how long it is, and stays at
    the end of data that did. The source is `Batches`, an `ExampleDataset` or
    `StreamBatches`; `steps` are the batches of an epoch, by default of a pass.
    They and `position` (of a pass unless `endless`) may be unknown, `None`.
    """

    error = None  # the exception that ended it
    latest = None  # the batch that was read last

    def __init__(self, source: Any, steps: Any = None):
        super().__init__()
        self._source, self.endless = source, source.endless
        self.batch_size: Any = source.batch_size  # global; or `None`
        is_read = isinstance(source, StreamBatches)
        self._length = source.count() if is_read else len(source)
        self.steps: Any = steps or self._length
        counted = self._length is not None
        self.position: Any = getattr(source, "position", 0) if counted else None

    def __len__(self) -> Any:
        return self._length

    def batches(self, position: Any) -> Any:
        """A generator of the batches from a position on."""
        try:
            if not isinstance(self._source, StreamBatches):
                batches = itertools.count(position)
                yield from self._note(map(self._source.own_batch, batches))
            for _ in itertools.count() if self.steps else range(1):
                batches = itertools.islice(self._source, position, self._length)
                position = 0
                first = next(batches, None)
                if first is None:
                    raise ValueError("`x` has too few batches: fewer steps?")
                batches = itertools.chain([first], batches)
                yield from self._note(map(own_part, batches))
        except Exception as error:
            self.error: Any = error
            raise

    def _note(self, batches):
        for self.latest in batches:
            yield self.latest

    def check_processes(self, variables: Any) -> None:
        """Raises before training if processes or devices do not fit together.

        Compares the data, their order, and `variables`, weights and seeds.
        """
        size, total = self.batch_size, replicas.devices()
        if size and size % total:
            raise ValueError(
                f"`batch_size`, of all {total} devices together, must be a "
                f"multiple of {total}. Received: batch_size={size}."
            )
        if replicas.processes()[1] == 1:
            return
        number = self._source.checksum(self.position) >> 1
        replicas.check_same("Examples and their order", number, "Seeds, too.")
        number = 0
        for variable in variables:
            values = keras.ops.convert_to_numpy(variable)
            number = zlib.crc32(np.ascontiguousarray(values), number)
        what = "Weights and seeds of the model", number >> 1
        advice = "Call `keras.utils.set_random_seed` before it is made."
        replicas.check_same(*what, advice)

    def for_keras(self, token_labels: bool = False) -> Any:
        """On TensorFlow a `tf.data` set that is told which axes vary.

        Keras takes for fixed what is alike in the first two batches.
        """
        if keras.config.backend() != "tensorflow" or not self._source.is_ragged:
            return self

        def spec(array, varies=True):
            axes = [None if varies else size for size in array.shape[1:]]
            return keras.KerasTensor((None, *axes), array.dtype.name)

        x, *labels = keras.utils.unpack_x_y_sample_weight(next(iter(self)))
        labels = inputs.map_columns(lambda a: spec(a, token_labels), (*labels,))
        x = inputs.map_columns(spec, x)
        specs = keras.utils.pack_x_y_sample_weight(x, *labels)
        return graph_text.to_dataset(self.__iter__, specs)


@contextlib.contextmanager
def errors_of(stream: Any) -> Any:
    """Raises what went wrong in the data as it was, not as graphs report it."""
    with warnings.catch_warnings():
        if stream.steps is None:
            # A pass whose length nobody knew is not too short.
            warnings.filterwarnings("ignore", message="Your input ran out")
        distribution = keras.distribution.distribution()
        shards = getattr(distribution, "auto_shard_dataset", False)
        try:
            if shards:  # each process has its share already
                distribution.auto_shard_dataset = False
            yield
        except Exception as error:
            if stream.error in (None, error):
                raise
            raise stream.error from None
        finally:
            if shards:
                distribution.auto_shard_dataset = True


class StreamBatches:
    """What `prepare` makes of the batches `(x, y, sample_weight)` of a source.

    Examples are put together. A remembered iterator can be read again.
    """

    is_ragged, endless, batch_size = True, False, None

    def __init__(self, source, names, batch_size, prepare, remember=True):
        self._source, self._names, self._prepare = source, names, prepare
        self._batch_size = inputs.checked_size(batch_size)
        # Elements of an iterator, which may be examples, to be read again.
        self._most = sys.maxsize if remember else PEEKED * self._batch_size
        self._first, self._drawn = [], 0

    def __iter__(self) -> Any:
        getattr(self._source, "on_epoch_begin", lambda: None)()
        groups = itertools.groupby(self._elements(), lambda element: element[1])
        number = 0
        for are_examples, elements in groups:
            data = (data for data, _ in elements)
            size = self._batch_size if are_examples else 1
            while some := [*itertools.islice(data, size)]:
                if are_examples:
                    some = [inputs.map_columns(lambda *part: [*part], *some)]
                try:
                    batch = self._prepare(*some[0])
                except (TypeError, ValueError) as error:
                    error.args = (f"In batch {number}, from 0: {error}",)
                    raise
                number += 1
                yield batch
        getattr(self._source, "on_epoch_end", lambda: None)()

    def checksum(self, position: Any) -> Any:
        """A number that tells another first element."""
        return zlib.crc32(repr(next(self._elements(), None)).encode())

    def count(self) -> Any:
        """Number of batches of a pass, `None` if that is not known."""
        try:
            length = len(self._source)
        except TypeError:
            return None
        _, is_example = next(self._elements(), (None, False))
        length = -(-length // (self._batch_size if is_example else 1))
        return length if length < sys.maxsize // 2**20 else None

    def _elements(self):
        elements = self._source
        if hasattr(elements, "__next__"):
            elements = self._read_once()
        elif not hasattr(elements, "__iter__"):
            elements = map(elements.__getitem__, range(len(elements)))
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


def read_element(element: Any, names: Any) -> tuple[Any, ...]:
    """`((x, y, sample_weight), is_example)` of what a stream holds."""
    if isinstance(element, abc.Mapping):
        data = inputs.pick_columns(element, names)
    else:
        is_texts = isinstance(element, list) and _all_texts(element)
        element = (element,) if is_texts else element
        data = keras.utils.unpack_x_y_sample_weight(element)
    x, y, weight = map(_to_columns, data)
    is_pair = isinstance(data[0], tuple) and _all_texts(data[0])
    is_collated = isinstance(element, list) or isinstance(y, list)
    if is_pair and not is_collated and np.ndim(y) == 0:
        x = data[0]
    if isinstance(x, dict):
        is_example = np.ndim(x.get("padding_mask", x.get("token_ids"))) < 2
    else:
        first = x[0] if isinstance(x, tuple) else x
        is_example = inputs.is_text(first) or inputs.is_missing(first)
    if not is_example and names.example is not None:
        is_example = names.example(x, y)
    return (x, y, weight), is_example


def _all_texts(part):
    return bool(part) and all(map(inputs.is_text, part))


def _to_columns(part):
    """Columns, below tuples and dicts, of a batch as libraries collate it."""
    if isinstance(part, abc.Mapping):
        return {name: _to_columns(item) for name, item in part.items()}
    # torch makes tuples of the strings of a batch, in lists for pairs.
    if isinstance(part, (list, tuple)) and not _all_texts(part):
        texts = (isinstance(i, tuple) and _all_texts(i) for i in part)
        if isinstance(part, tuple) or any(texts):
            return tuple(map(_to_columns, part))
    # Examples that come one by one have values in place of columns.
    if part is None or np.isscalar(part) or getattr(part, "ndim", 1) == 0:
        return inputs.to_python(part)
    return inputs.to_column(part)


def read_all(source: Any, names: Any) -> Any:
    """The inputs of a whole stream, as columns."""
    batches = [*StreamBatches(source, names, None, lambda x, y, weight: x)]
    join = inputs.map_columns
    return join(lambda *x: [*itertools.chain(*x)], *batches) if batches else []
