"""Rows of token ids -> batches without padding for nothing.

Every batch is cut to its longest row, and where the order is free rows of alike
length go together. Any batch is found by its position, to go on exactly there.
"""

import functools
import random
import zlib
from typing import Any

import grain
import keras
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.backend import replicas

# In tokens, `[CLS]` and `[SEP]` included. Beyond them, multiples of 128.
LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


def round_length(length: int, limit: Any = None) -> Any:
    """The length to compute with, at most `limit`; on torch `length` itself."""
    if keras.config.backend() != "torch":
        longer = (step for step in LENGTHS if step >= length)
        length = next(longer, -(-length // 128) * 128)
    return length if limit is None else min(length, limit)


def own_rows(rows: Any, read: Any, unit: Any = 1) -> Any:
    """What this process feeds of a global batch of `rows`, by `read(slice)`.

    All get equal, contiguous blocks of whole units. What does not go round is
    filled up with rows of zeros, which have no tokens. `x["filler"]`, zeros
    `(block, fillers)`, says by its shape how many the whole batch has.
    """
    step = replicas.devices() * unit
    if step == unit:
        return read(slice(rows))
    index, count = replicas.processes()
    size = -(-rows // step) * step // count

    def fill(array):
        if array is not None:
            more = ((0, 0),) * (array.ndim - 1)
            array = np.pad(array, ((0, size - len(array)), *more))
        return array

    data = read(slice(index * size, (index + 1) * size))
    data = keras.utils.unpack_x_y_sample_weight(data)
    x, *labels = keras.tree.map_structure(fill, data)
    x["filler"] = np.zeros((size, size * count - rows), "int32")
    return keras.utils.pack_x_y_sample_weight(x, *labels)


def own_part(batch: Any, unit: Any = 1) -> Any:
    """What this process feeds of a batch as Keras takes it."""

    def read(part):
        return keras.tree.map_structure(
            lambda array: array if array is None else array[part], batch
        )

    return own_rows(len(keras.tree.flatten(batch)[0]), read, unit)


class Rows:
    """Rows in memory, without their padding.

    `chunks` are `(x, y, sample_weight)`, `x` a dict of arrays `(rows, ...,
    length)`. Only what has the shape of `token_ids` is cut, labels and weights
    with `token_labels`. `lengths` are tokens a row, `width` is the longest.
    """

    def __init__(self, chunks, pad_token_id=0, token_labels=False):
        leaves, lengths, self.width = [], [np.zeros(0, int)], 0
        for data in chunks:
            self._like = data = keras.tree.map_structure(_to_numpy, data)
            ids, arrays = data[0]["token_ids"], keras.tree.flatten(data)
            end = len(arrays) if token_labels else len(data[0])
            # What fills up each array, `None` where it is not cut.
            self._pads = [None] * len(arrays)
            for i, array in enumerate(arrays[:end]):
                if np.shape(array) == ids.shape:
                    self._pads[i] = pad_token_id if array is ids else 0
            # Tokens of every row up to the last that is not padding.
            mask = data[0].get("padding_mask", np.ones_like(ids)) != 0
            used = np.where(mask, np.arange(1, mask.shape[-1] + 1), 1)
            lengths.append(used.reshape(len(ids), -1).max(axis=1, initial=1))
            pairs = zip(arrays, self._pads)
            leaves.append([_strip(*pair, lengths[-1]) for pair in pairs])
            self.width: int = max(self.width, ids.shape[-1])
        self.lengths: Any = np.concatenate(lengths)
        self._starts = np.cumsum(self.lengths) - self.lengths
        self.leaves: list[Any] = [
            p[0] if p[0] is None else np.concatenate(p) for p in zip(*leaves)
        ]

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, places: Any, length: int) -> Any:
        """`(x, y, sample_weight)` of rows (int array), padded to a length."""
        steps = np.arange(length)
        is_used = steps < self.lengths[places][:, None]
        index = np.where(is_used, self._starts[places][:, None] + steps, 0)
        taken, arrays = [], keras.tree.flatten(self._like)
        for like, pad, leaf in zip(arrays, self._pads, self.leaves):
            if pad is not None:
                leaf = leaf[index]  # (rows, length, ...)
                leaf[~is_used] = pad
                leaf = np.moveaxis(leaf, 1, -1).astype(like.dtype)
            elif leaf is not None:
                leaf = leaf[places]
            taken.append(leaf)
        return keras.tree.pack_sequence_as(self._like, taken)


def _to_numpy(leaf):
    if leaf is None:
        return None
    leaf = np.asarray(keras.ops.convert_to_numpy(leaf))
    # Python's numbers in Keras' width, not in NumPy's.
    narrow = {"float64": "float32", "int64": "int32", "bool": "int32"}
    return leaf.astype(narrow.get(leaf.dtype.name, leaf.dtype))


def _strip(array, pad, lengths):
    """`(rows, ..., length)` to `(tokens, ...)`, in as few bytes as it takes."""
    if pad is None:
        return array
    is_used = np.arange(array.shape[-1]) < lengths[:, None]
    array = np.moveaxis(array, -1, 1)[is_used]
    fits = array.dtype.kind == "i" and array.size and array.min() >= 0
    return array.astype(np.min_scalar_type(array.max())) if fits else array


class Batches:
    """Batches of `Rows`, at least one, found by their position.

    `batch_size` counts units of `unit` neighbouring rows; `finish` is done to a
    batch anew in every pass. The order is `"given"`; `"by_length"`, the longest
    first: what does not fit into memory fails at once; or new in every pass,
    `"grouped"` by length or `"shuffled"`.
    """

    def __init__(self, rows, batch_size=32, order="given", unit=1, finish=None):
        self._rows, self.batch_size, self._order = rows, batch_size, order
        self._unit, self._finish = unit, finish
        self._round = functools.partial(round_length, limit=rows.width)
        self._lengths = rows.lengths.reshape(-1, unit).max(axis=1, initial=1)
        self.endless = order in ("grouped", "shuffled")  # new in every pass
        self.is_ragged = len(set(map(self._round, rows.lengths.tolist()))) > 1
        if self.endless:  # one seed for all processes
            self._seed = replicas.everyone(random.randrange(2**31))[0]
        self._plan = functools.lru_cache(maxsize=3)(self._make_plan)

    def __len__(self) -> Any:
        return -(-len(self._lengths) // self.batch_size)

    def indices(self, position: Any) -> Any:
        """The rows of the batch at a position (int, batches), an array."""
        pass_number, number = divmod(position, len(self))
        units = self._plan(pass_number if self.endless else 0)[number]
        return (units[:, None] * self._unit + np.arange(self._unit)).ravel()

    def batch(self, position: Any) -> Any:
        """The batch at a position, packed as Keras takes it."""
        places = self.indices(position)
        length = self._round(int(self._rows.lengths[places].max()))
        data = self._rows.take(places, length)
        data = self._finish(*data) if self._finish else data
        return keras.utils.pack_x_y_sample_weight(*data)

    def own_batch(self, position: Any) -> Any:
        """Of the batch at a position what this process feeds."""
        return own_part(self.batch(position), self._unit)

    def checksum(self, position: Any) -> Any:
        """A number that tells other rows and another order."""
        number = zlib.crc32(self.indices(position).tobytes())
        for leaf in (self._lengths, *self._rows.leaves):
            if leaf is not None and leaf.dtype == object:  # texts
                leaf = np.frombuffer(repr(leaf.tolist()).encode(), "uint8")
            if leaf is not None:
                number = zlib.crc32(np.ascontiguousarray(leaf), number)
        return number

    def _make_plan(self, pass_number):
        order, size = np.arange(len(self._lengths)), self.batch_size

        def split(order):
            return [order[i : i + size] for i in range(0, len(order), size)]

        if self._order == "by_length":
            order = np.argsort(-self._lengths, kind="stable")
        if self.endless:
            generator = np.random.default_rng((self._seed, pass_number))
            order = generator.permutation(order)
        if self._order != "grouped":
            return split(order)
        buckets = np.searchsorted(LENGTHS, self._lengths[order])
        batches, rest = [], []
        for bucket in range(len(LENGTHS) + 1):
            units = order[buckets == bucket]
            full = len(units) - len(units) % size
            batches += split(units[:full])
            rest.append(units[full:])
        # What is left over, from short to long.
        batches += split(np.concatenate(rest))
        generator.shuffle(batches)
        return batches


class PositionedDataset(grain.IterDataset):
    """Iterates over `self.batches(position)` from `self.position` on."""

    position = 0

    def __iter__(self) -> Any:
        return _Iterator(self, self.position or 0)


class _Iterator(grain.DatasetIterator):
    def __init__(self, dataset, position):
        super().__init__()
        self._dataset = dataset
        self.set_state({"position": position})

    def __next__(self):
        batch = next(self._batches)
        self._next_position += 1
        return batch

    def get_state(self):
        return {"position": self._next_position}

    def set_state(self, state):
        check_count("position", state["position"], at_least=0)
        self._next_position = state["position"]
        self._batches = self._dataset.batches(self._next_position)
