"""Weights on disk in float16: half the size, the same network to rounding.

Keras reads numbers of any precision into the variables it has, so a preset
that was rewritten opens as before; variables stay float32.
"""

import os

import h5py
import numpy as np


def check_weights_dtype(weights_dtype):
    """Raises a `ValueError` unless it is `"float32"` or `"float16"`."""
    if weights_dtype not in ("float32", "float16"):
        raise ValueError(
            '`weights_dtype` must be "float32" or "float16". Received: '
            f"weights_dtype={weights_dtype!r}."
        )


def store_in_half(folder):
    """Rewrites all files of weights in a folder in float16.

    Args:
        folder: `Path` of a preset.

    Raises:
        ValueError: when a weight is too large for float16.
    """
    for path in folder.glob("*.weights.h5"):
        part = path.with_suffix(".part")
        with h5py.File(path) as source, h5py.File(part, "w") as target:
            _copy(source, target)
        os.replace(part, path)


def _copy(source, target):
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name))
            continue
        copy = target.create_dataset(name, data=_halve(item[()], item.name))
        copy.attrs.update(item.attrs)


def _halve(value, name):
    if getattr(value, "dtype", None) != np.float32:
        return value
    with np.errstate(over="ignore"):
        half = value.astype("float16")
    if np.isfinite(value).all() and not np.isfinite(half).all():
        raise ValueError(
            '`weights_dtype="float16"` holds numbers up to 65504, and '
            f"{name} has one of {np.abs(value).max():.3g}. Save it in float32."
        )
    return half
