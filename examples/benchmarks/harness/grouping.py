"""Batches of rows of similar length, cut to the longest of a few lengths.

Most texts are far shorter than the length a task allows. A batch of short
ones costs as much as its padding, so rows of one kind of length go together.
Every row is still used once an epoch, in `ceil(rows / batch_size)` batches of
the same size, in an order drawn anew in every epoch; only which rows meet in
a batch changes. Lengths come from a short list, so that few shapes are
compiled. The price: rows of a batch are a little more alike.
"""

import functools
import threading

import grain
import keras
import numpy as np

# In tokens, `[CLS]` and `[SEP]` included. Beyond them, multiples of 128.
LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


class GroupedBatches:
    """Rows in batches grouped by length.

    Args:
        x: dict of arrays of shape `(rows, length, ...)` with `padding_mask`
            among them; what has not `length` as its second axis is not cut.
        y: array, dict of arrays, or `None`; one entry a row.
        sample_weight: array or `None`; one entry a row.
        batch_size: int. Rows a batch. Defaults to `32`.
        seed: int. Of the order. Defaults to `0`.
        cut_labels: bool. Whether `y` and `sample_weight` of shape
            `(rows, length)` are cut like `x`: one label a token. Defaults to
            `False`.
        lengths: tuple of ints, in tokens, ascending, or `None` to leave all
            rows as they are, which is the usual padding. Defaults to
            `LENGTHS`.

    Raises:
        ValueError: `x` has no rows or no `padding_mask`, or `y` or
            `sample_weight` have another number of rows.

    Example:
    ```python
    batches = GroupedBatches(classifier.preprocessor(texts), labels)
    classifier.preprocessor = None  # it has done its work
    classifier.fit(batches.dataset(), epochs=3)
    ```
    """

    def __init__(
        self,
        x,
        y=None,
        sample_weight=None,
        batch_size=32,
        seed=0,
        cut_labels=False,
        lengths=LENGTHS,
    ):
        if not isinstance(x, dict) or "padding_mask" not in x:
            raise ValueError(
                "`x` must be a dict of arrays with a `padding_mask`, as "
                f"preprocessors return. Received: {type(x).__name__}"
                f"{' of ' + str(sorted(x)) if isinstance(x, dict) else ''}."
            )
        self.data = _map(keras.ops.convert_to_numpy, (x, y, sample_weight))
        mask = self.data[0]["padding_mask"]
        self.num_rows, self.row_length = mask.shape
        sizes = set()
        _map(lambda array: sizes.add(len(array)), self.data)
        if sizes != {self.num_rows} or not self.num_rows:
            raise ValueError(
                "`x`, `y` and `sample_weight` must have the same number of "
                f"rows, at least one. Received: {sorted(sizes)} rows."
            )
        self.batch_size = batch_size
        self.seed = seed
        self.cut_labels = cut_labels
        # Of each row the number of its first length that holds it.
        used = mask.shape[1] - np.argmax(mask[:, ::-1] != 0, axis=1)
        self.lengths = bucket_lengths(self.row_length, lengths)
        self.buckets = np.searchsorted(self.lengths, used)
        # `dataset` is read from several threads.
        self._lock = threading.Lock()
        self._plan = functools.lru_cache(maxsize=3)(self._make_plan)

    def __len__(self):
        return -(-self.num_rows // self.batch_size)

    def plan(self, epoch):
        """Which rows form the batches of an epoch.

        Args:
            epoch: int, from 0.

        Returns:
            A list of arrays of row numbers.
        """
        with self._lock:
            return self._plan(epoch)

    def _make_plan(self, epoch):
        generator = np.random.default_rng((self.seed, epoch))
        order = generator.permutation(self.num_rows)
        batches, rest = [], []
        for bucket in range(len(self.lengths)):
            rows = order[self.buckets[order] == bucket]
            full = len(rows) - len(rows) % self.batch_size
            batches += np.split(rows[:full], full // self.batch_size or 1)
            rest.append(rows[full:])
        # What is left over, from short to long.
        rest = np.concatenate(rest)
        starts = range(self.batch_size, len(rest), self.batch_size)
        batches += np.split(rest, starts)
        batches = [batch for batch in batches if len(batch)]
        generator.shuffle(batches)
        _vary_beginning(batches, [self._length(batch) for batch in batches])
        return batches

    def batch(self, index):
        """A batch by its number, counted on from epoch to epoch.

        Args:
            index: int, from 0; `len(self)` is the first of the second epoch.

        Returns:
            `(x, y, sample_weight)` without what is `None`, arrays of shape
            `(batch, length, ...)`.
        """
        epoch, number = divmod(index, len(self))
        rows = self.plan(epoch)[number]
        length = self._length(rows)
        x, y, sample_weight = self.data
        x = _map(lambda array: self._cut(array, rows, length), x)
        to = length if self.cut_labels else None
        y, sample_weight = _map(
            lambda array: self._cut(array, rows, to), (y, sample_weight)
        )
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def dataset(self):
        """The batches of one epoch as a `grain.MapDataset`.

        Repeated, as `fit` does, it goes on with new orders.
        """
        numbers = grain.MapDataset.range(len(self))
        return numbers.map_with_index(lambda index, _: self.batch(index))

    def _length(self, rows):
        return self.lengths[self.buckets[rows].max()]

    def _cut(self, array, rows, length):
        array = array[rows]
        if length and array.shape[1:2] == (self.row_length,):
            array = array[:, :length]
        return array


def bucket_lengths(row_length, lengths=LENGTHS):
    """The lengths that rows of `row_length` are cut to, itself included."""
    if lengths is None:
        return [row_length]
    shorter = [length for length in lengths if length < row_length]
    longer = range(
        shorter[-1] + 128 if shorter else row_length, row_length, 128
    )
    return [*shorter, *longer, row_length]


def _vary_beginning(batches, lengths):
    """Swaps a batch so that the first two differ in length.

    Keras on TensorFlow takes an axis to be fixed on which the first two
    batches agree.
    """
    others = [i for i, length in enumerate(lengths) if length != lengths[0]]
    if others:
        batches[1], batches[others[0]] = batches[others[0]], batches[1]


def _map(function, data):
    if data is None:
        return None
    if isinstance(data, tuple):
        return tuple(_map(function, part) for part in data)
    if isinstance(data, dict):
        return {name: _map(function, part) for name, part in data.items()}
    return function(data)
