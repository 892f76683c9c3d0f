"""Examples in memory: what are such, and how many of them are trained on."""

import keras
import numpy as np


def is_in_memory(x):
    """Whether data is lists, arrays, or tuples or dicts of these."""
    if isinstance(x, (tuple, dict)):
        leaves = x.values() if isinstance(x, dict) else x
        return bool(leaves) and all(is_in_memory(leaf) for leaf in leaves)
    return isinstance(x, (list, np.ndarray)) or keras.ops.is_tensor(x)


def check_validation_split(x, share):
    """Raises a `ValueError` for a `validation_split` of a data set."""
    if share and not is_in_memory(x):
        raise ValueError(
            "`validation_split` is for data in memory. Received: "
            f"validation_split={share} and a data set, {type(x).__name__}. "
            "Pass `validation_data` instead."
        )


def training_size(count, share):
    """How many of `count` examples are left beside `validation_split`.

    Args:
        count: int.
        share: float between 0 and 1, of the examples, from the end.

    Returns:
        int.

    Raises:
        ValueError: when nothing is left to train or to validate on.
    """
    size = int(count * (1 - share))
    if not 0 < size < count:
        raise ValueError(
            "`validation_split` must leave examples to train and to validate "
            f"on. Received: validation_split={share} for {count} examples."
        )
    return size
