"""Rows of token ids -> batches without padding for nothing.

Most texts are far shorter than the length a task allows, and a batch of short
ones costs as much as its padding. So rows are kept without padding, every
batch is cut to its longest row, and where the order is free rows of one kind
of length go together. Every row is used once a pass, in batches of the same
size; only which rows meet in a batch changes. The batch at any position is
found without making those before it, so training goes on exactly where it
was. Where shapes are compiled, lengths come from a short list. The price:
rows of a batch are a little more alike.
"""

import functools
import random
import threading

import keras
import numpy as np

# In tokens, `[CLS]` and `[SEP]` included. Beyond them, multiples of 128.
LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
ORDERS = ("given", "by_length", "grouped", "shuffled")


def round_length(length, limit=None):
    """The length to compute with: few of them where each is compiled.

    Args:
        length: int, tokens of the longest row.
        limit: int or `None`. The most to return.

    Returns:
        int. On torch, which compiles nothing, `length` itself.
    """
    if keras.config.backend() != "torch":
        longer = (step for step in LENGTHS if step >= length)
        length = next(longer, -(-length // 128) * 128)
    return length if limit is None else min(length, limit)


def used_lengths(x):
    """Tokens of every row up to the last that is not padding.

    Args:
        x: dict of arrays with `padding_mask` (or `token_ids` alone), of shape
            `(rows, length)` or `(rows, choices, length)`.

    Returns:
        int array of shape `(rows,)`, at least 1.
    """
    ids = x["token_ids"]
    mask = np.asarray(x.get("padding_mask", np.ones_like(ids))) != 0
    used = mask.shape[-1] - np.argmax(mask[..., ::-1], axis=-1)
    used = np.where(mask.any(axis=-1), used, 1)
    return used.reshape(len(ids), -1).max(axis=1, initial=1)


class Rows:
    """Rows in memory, without their padding.

    Args:
        chunks: iterable of `(x, y, sample_weight)`, of the same structure;
            `x` is a dict of arrays of shape `(rows, ..., length)`, and what
            has not the shape of `token_ids` is not cut. The length may differ
            from chunk to chunk.
        pad_token_id: int. Defaults to `0`.
        token_labels: bool. Whether `y` and `sample_weight` have one entry a
            token. Defaults to `False`.

    Attributes:
        lengths: int array, tokens of every row.
        width: int. Length of the rows as they were given.
    """

    def __init__(self, chunks, pad_token_id=0, token_labels=False):
        self._pads = {"token_ids": pad_token_id}
        self._token_labels = token_labels
        leaves, lengths, self.width = [], [], 0
        for x, y, sample_weight in chunks:
            data = (x, y, sample_weight)
            data = keras.tree.map_structure(_to_numpy, data)
            self._structure = data
            used = used_lengths(data[0])
            self.width = max(self.width, data[0]["token_ids"].shape[-1])
            lengths.append(used)
            leaves.append(
                [
                    _strip(array, used) if ragged else array
                    for array, ragged in self._flatten(data)
                ]
            )
        self.lengths = np.concatenate(lengths) if lengths else np.zeros(0, int)
        self._ends = np.cumsum(self.lengths)
        self._leaves = [
            None if parts[0] is None else np.concatenate(parts)
            for parts in zip(*leaves)
        ]

    def __len__(self):
        return len(self.lengths)

    def _flatten(self, data):
        """Pairs of an array and whether it has an axis of tokens."""
        shape = data[0]["token_ids"].shape
        for place, part in enumerate(data):
            may_be_cut = place == 0 or self._token_labels
            for array in keras.tree.flatten(part):
                same = array is not None and array.shape == shape
                yield array, may_be_cut and same

    def take(self, places, length):
        """Some rows, padded to a common length.

        Args:
            places: int array.
            length: int, tokens.

        Returns:
            `(x, y, sample_weight)`; arrays of shape `(rows, ..., length)`.
        """
        taken, names = [], self._leaf_names()
        for (like, ragged), leaf, name in zip(
            self._flatten(self._structure), self._leaves, names
        ):
            if leaf is None or not ragged:
                taken.append(None if leaf is None else leaf[places])
                continue
            steps = np.arange(length)
            starts = (self._ends - self.lengths)[places]
            is_used = steps < self.lengths[places][:, None]
            index = np.where(is_used, starts[:, None] + steps, 0)
            rows = leaf[index]  # (rows, length, ...)
            rows[~is_used] = self._pads.get(name, 0)
            taken.append(np.moveaxis(rows, 1, -1).astype(like.dtype))
        return keras.tree.pack_sequence_as(self._structure, taken)

    def _leaf_names(self):
        x, *others = self._structure
        names = keras.tree.flatten({name: name for name in x})
        return names + [None] * len(keras.tree.flatten(others))


def _to_numpy(leaf):
    if leaf is None:
        return None
    array = (
        leaf
        if isinstance(leaf, np.ndarray)
        else np.asarray(keras.ops.convert_to_numpy(leaf))
    )
    # Python's numbers in Keras' width, not in NumPy's.
    narrow = {"float64": "float32", "int64": "int32", "bool": "int32"}
    return array.astype(narrow.get(array.dtype.name, array.dtype))


def _strip(array, lengths):
    """`(rows, ..., length)` to `(tokens, ...)`, in as few bytes as it takes."""
    is_used = np.arange(array.shape[-1]) < lengths[:, None]
    array = np.moveaxis(array, -1, 1)[is_used]
    if array.dtype.kind == "i" and array.size and array.min() >= 0:
        return array.astype(np.min_scalar_type(int(array.max())))
    return array


class Batches:
    """Batches of rows in memory, found by their position.

    Args:
        rows: `Rows`, at least one.
        batch_size: int. Units a batch. Defaults to `32`.
        order: string. `"given"`, the default; `"by_length"`, the longest
            first: what does not fit into memory fails at once; `"grouped"`, a
            new order of rows of alike length in every pass, without end;
            `"shuffled"`, the same regardless of length.
        unit: int. Neighbouring rows that stay together. Defaults to `1`.
        seed: int or `None`. Of the order. Defaults to `None`: it is drawn
            from Python's generator, which `keras.utils.set_random_seed` sets.
        finish: function of a batch `(x, y, sample_weight)`, or `None`. What
            is to be done anew in every pass.

    Attributes:
        endless: bool. Whether there is a batch at every position.
        is_ragged: bool. Whether batches differ in length.
    """

    def __init__(
        self,
        rows,
        batch_size=32,
        order="given",
        unit=1,
        seed=None,
        finish=None,
    ):
        self._rows = rows
        self._batch_size = batch_size
        self._order = order
        self._unit = unit
        self._finish = finish
        self._lengths = rows.lengths.reshape(-1, unit).max(axis=1, initial=1)
        self.endless = order in ("grouped", "shuffled")
        self.is_ragged = len(set(map(self._round, rows.lengths.tolist()))) > 1
        if self.endless and seed is None:
            seed = random.randrange(2**31)
        self._seed = seed
        # Read from several threads.
        self._lock = threading.Lock()
        self._plan = functools.lru_cache(maxsize=3)(self._make_plan)

    def __len__(self):
        return -(-len(self._lengths) // self._batch_size)

    def indices(self, position):
        """The rows of the batch at a position (int, batches), an array."""
        pass_number, number = divmod(position, len(self))
        if pass_number and not self.endless:
            raise IndexError(f"There are {len(self)} batches, not {position}.")
        with self._lock:
            units = self._plan(pass_number)[number]
        return (units[:, None] * self._unit + np.arange(self._unit)).ravel()

    def batch(self, position):
        """The batch at a position (int, batches), packed as Keras takes it."""
        places = self.indices(position)
        length = self._round(int(self._rows.lengths[places].max()))
        data = self._rows.take(places, length)
        if self._finish is not None:
            data = self._finish(*data)
        return keras.utils.pack_x_y_sample_weight(*data)

    def _round(self, length):
        return round_length(length, self._rows.width)

    def _make_plan(self, pass_number):
        count, size = len(self._lengths), self._batch_size
        if self._order == "given":
            return _split(np.arange(count), size)
        if self._order == "by_length":
            return _split(np.argsort(-self._lengths, kind="stable"), size)
        generator = np.random.default_rng((self._seed, pass_number))
        order = generator.permutation(count)
        if self._order == "shuffled":
            return _split(order, size)
        buckets = np.searchsorted(LENGTHS, self._lengths)
        batches, rest = [], []
        for bucket in range(len(LENGTHS) + 1):
            units = order[buckets[order] == bucket]
            full = len(units) - len(units) % size
            batches += _split(units[:full], size)
            rest.append(units[full:])
        # What is left over, from short to long.
        batches += _split(np.concatenate(rest), size)
        generator.shuffle(batches)
        return batches


def _split(order, size):
    return [order[i : i + size] for i in range(0, len(order), size)]
