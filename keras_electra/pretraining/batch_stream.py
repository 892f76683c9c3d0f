"""The data of the pre-trainer's `fit` and `evaluate` as streams of batches.

The order of what is in memory is a function of the position, as for
`keras_electra.load_examples`, so a run on a list of texts is resumed exactly,
too. Rows keep their length: the number of masked tokens depends on it.
"""

import random

import numpy as np

from keras_electra.arguments import check_count
from keras_electra.data import inputs
from keras_electra.data.order import ExampleOrder
from keras_electra.data.streams import Stream
from keras_electra.data.streams import StreamBatches

NAMES = inputs.Names((("text",), ("sentence1", "sentence2"), ("sentence",)))


class MemoryBatches:
    """Batches of examples in memory, found by their position.

    Args:
        examples: `data.inputs.Examples`.
        batch_size: int. Examples a batch.
        shuffle: bool. Whether the order is a new one in every pass, without
            end. It is drawn from Python's generator, which
            `keras.utils.set_random_seed` sets.

    Attributes:
        endless: bool. Whether there is a batch at every position.
    """

    def __init__(self, examples, batch_size, shuffle):
        if not len(examples):
            raise ValueError("`x` must hold at least one example.")
        self._columns = inputs.map_columns(_to_array, examples.x)
        self.endless = shuffle
        seed = random.randrange(2**31) if shuffle else None
        self._order = ExampleOrder(len(examples), batch_size, seed)

    def __len__(self):
        return self._order.batches_in_pass

    def batch(self, position):
        """The batch at a position (int, batches)."""
        places = self._order.indices(position)
        return inputs.map_columns(lambda part: part[places], self._columns)


def _to_array(column):
    # Not a list, which Keras takes for `(x, y)`; an array of strings proper
    # has room for the longest in each place.
    if isinstance(column, list) and isinstance(column[0], str):
        return np.array(column, dtype=object)
    return np.asarray(column)


def read(x):
    """`Examples` of what is in memory; other data as it is.

    Raises:
        TypeError: when `x` is no data, or a text is missing.
        ValueError: when columns differ in length.
    """
    if hasattr(x, "endless") or not inputs.is_in_memory(x):
        return x
    examples = inputs.read_memory(x, None, None, NAMES)
    if not isinstance(examples.x, dict):
        inputs.check_texts(examples.x, may_be_empty=True)
    return examples


def to_stream(x, batch_size=None, shuffle=False, steps=None, remember=True):
    """Makes a stream of what `read` returned.

    Args:
        x: `Examples`, `keras_electra.load_examples(...)`, or what can be
            iterated.
        batch_size: int or `None`. Examples a batch. Defaults to `32`.
        shuffle: bool. Whether to shuffle examples in memory.
        steps: int or `None`. See `Stream`.
        remember: bool. See `StreamBatches`.

    Returns:
        A `Stream`.
    """
    if batch_size is not None:
        check_count("batch_size", batch_size)
    if isinstance(x, inputs.Examples):
        x = MemoryBatches(x, batch_size or 32, shuffle)
    elif not hasattr(x, "endless"):
        x = StreamBatches(
            x,
            NAMES,
            batch_size,
            lambda x, y, weight: inputs.map_columns(_to_array, x),
            remember,
        )
    return Stream(x, steps)
