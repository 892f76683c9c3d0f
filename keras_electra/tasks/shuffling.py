"""Shuffles what a task is fitted on, anew in every epoch.

`fit` of KerasHub takes texts in the order given; with a list sorted by label
it would not learn. Here lists and arrays become a shuffled `grain` data set
of batches, which KerasHub preprocesses as any other. Only indices are
shuffled, so nothing is copied but the current batch.
"""

import random

import grain
import keras
import numpy as np

from keras_electra.training.in_memory import check_validation_split
from keras_electra.training.in_memory import is_in_memory
from keras_electra.training.in_memory import training_size


def shuffled_fit(
    fit,
    x,
    y=None,
    batch_size=None,
    sample_weight=None,
    shuffle=True,
    validation_split=0.0,
    validation_data=None,
    **kwargs,
):
    """Calls `fit` of a KerasHub task on shuffled data.

    Args:
        fit: bound method of a KerasHub task.
        x: list of strings, array, or a tuple or dict of these. Anything else,
            such as a data set, is passed on as it is.
        y: list or array, or `None`.
        batch_size: int or `None`. Examples a step. Defaults to `32`.
        sample_weight: list or array, or `None`.
        shuffle: bool. Whether to shuffle. Defaults to `True`.
        validation_split: float. Share of the examples, from the end, that is
            held out for validation. Defaults to `0.0`.
        validation_data: as in `keras.Model.fit`. Not shuffled.
        **kwargs: passed to `fit`.

    Returns:
        A `keras.callbacks.History`.

    Raises:
        ValueError: when lists and arrays differ in length, or
            `validation_split` leaves nothing to train or validate on, or is
            given with a data set.
    """
    check_validation_split(x, validation_split)
    if not is_in_memory(x):
        return fit(
            x,
            y,
            batch_size=batch_size,
            sample_weight=sample_weight,
            validation_data=validation_data,
            shuffle=False,
            **kwargs,
        )
    data = _map_leaves(_to_array, (x, y, sample_weight))
    indices = range(_count(data))
    if validation_split and validation_data is None:
        size = training_size(len(indices), validation_split)
        indices, held_out = indices[:size], np.arange(size, len(indices))
        validation_data = _take(data, held_out)
    batches = grain.MapDataset.source(indices)
    if shuffle:
        # From Python's generator, which `keras.utils.set_random_seed` sets.
        batches = batches.seed(random.randrange(2**31)).shuffle()
    batches = batches.batch(batch_size or 32)
    batches = batches.map(
        lambda batch: keras.utils.pack_x_y_sample_weight(*_take(data, batch))
    )
    return fit(
        batches, shuffle=False, validation_data=validation_data, **kwargs
    )


def _map_leaves(function, data):
    """Applies a function below tuples and dicts; `None` stays."""
    if data is None:
        return None
    if isinstance(data, tuple):
        return tuple(_map_leaves(function, part) for part in data)
    if isinstance(data, dict):
        return {k: _map_leaves(function, part) for k, part in data.items()}
    return function(data)


def _to_array(leaf):
    if not isinstance(leaf, list):
        return keras.ops.convert_to_numpy(leaf)
    if leaf and isinstance(leaf[0], str):
        # An array of strings proper has room for the longest in each place.
        return np.array(leaf, dtype=object)
    array = np.array(leaf)
    if array.dtype.kind in "US":
        return array.astype(object)
    # Python's numbers in Keras' width, not in NumPy's.
    narrow = {"float64": "float32", "int64": "int32"}.get(array.dtype.name)
    return array.astype(narrow) if narrow else array


def _take(data, indices):
    return _map_leaves(lambda array: array[indices], data)


def _count(data):
    lengths = set()
    _map_leaves(lambda array: lengths.add(len(array)), data)
    if len(lengths) != 1:
        raise ValueError(
            "`x`, `y` and `sample_weight` must have one entry an example. "
            f"Received different lengths: {sorted(lengths)}."
        )
    return lengths.pop()
