"""Other people's batches, such as a torch `DataLoader`, as a data set.

KerasHub preprocesses texts only in `tf.data`, in `grain` and in memory. Here
whatever can be iterated again and knows its length becomes an endless `grain`
data set, for which Keras is told the number of steps.
"""

import grain
import keras
import numpy as np


class LoaderBatches(grain.IterDataset):
    """The batches of a loader, begun again after the last one.

    Args:
        loader: iterable of batches, with a length.

    Attributes:
        num_batches: int. Batches of one pass.
    """

    def __init__(self, loader):
        super().__init__()
        self._loader = loader
        self.num_batches = len(loader)

    def __iter__(self):
        return _Iterator(self._loader)


class _Iterator(grain.DatasetIterator):
    def __init__(self, loader):
        super().__init__()
        self._loader = loader
        self._batches = iter(loader)

    def __next__(self):
        batch = next(self._batches, None)
        if batch is None:
            self._batches = iter(self._loader)
            batch = next(self._batches)
        return to_batch(batch)

    def get_state(self):
        return {}  # a loader cannot be set to a position

    def set_state(self, state):
        del state


def is_loader(x):
    """Whether `x` is an iterable of batches with a length, and no data set."""
    if isinstance(x, (grain.MapDataset, grain.IterDataset, str, bytes)):
        return False
    if isinstance(x, (list, tuple, dict, np.ndarray)) or hasattr(x, "shape"):
        return False
    is_tf_dataset = hasattr(x, "element_spec")
    return (
        hasattr(x, "__iter__") and hasattr(x, "__len__") and (not is_tf_dataset)
    )


def to_batch(batch):
    """A collated batch in KerasHub's form.

    Args:
        batch: as torch collates: lists and tuples of strings are columns,
            other lists and tuples hold columns.

    Returns:
        Nested tuples and dicts; columns are NumPy arrays, those of strings of
        objects.
    """
    if isinstance(batch, dict):
        return {name: to_batch(part) for name, part in batch.items()}
    if isinstance(batch, (list, tuple)):
        if all(isinstance(item, (str, bytes)) for item in batch):
            # Not a list, which Keras takes for `(x, y)`.
            return np.array(batch, dtype=object)
        return tuple(to_batch(part) for part in batch)
    return keras.ops.convert_to_numpy(batch)
