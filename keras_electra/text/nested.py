"""Strings and ids as users pass them -> plain Python, and back.

A tokenizer meets strings alone, in lists, in lists of lists, in NumPy arrays
and in tensors of whichever framework is installed. Here they become flat lists
of `str` or `int`, without importing any framework.
"""

import keras
import numpy as np


def map_strings(function, inputs):
    """Call a function on all strings of a nesting at once.

    Args:
        function: from list of str to a list with one result for each.
        inputs: str, or list, tuple, array or tensor of strings, nested or
            not. Bytes are read as UTF-8, skipping what is none, as the
            original does.

    Returns:
        `(results, is_scalar)`: results nested as `inputs`, in lists, and
        whether `inputs` was a single string.

    Raises:
        TypeError: if there is anything but strings in `inputs`.
    """
    nested = _to_strings(inputs)
    if isinstance(nested, str):
        return function([nested])[0], True
    flat = []
    _collect(nested, flat)
    return _restore(nested, iter(function(flat))), False


def map_sequences(function, inputs):
    """Call a function on each sequence of ids.

    Args:
        function: from list of int to a result.
        inputs: int, sequence of int, or batch of such sequences: lists,
            arrays or tensors.

    Returns:
        One result, or a list of them for a batch.

    Raises:
        TypeError: if there is anything but integers in `inputs`.
    """
    nested = _to_lists(inputs)
    if isinstance(nested, list) and any(isinstance(i, list) for i in nested):
        return [map_sequences(function, row) for row in nested]
    ids = nested if isinstance(nested, list) else [nested]
    for id in ids:
        if not isinstance(id, int):
            raise TypeError(
                "`inputs` must be integer token ids. "
                f"Received an item of type {type(id).__name__}: {id!r}."
            )
    return function(ids)


def check_texts(texts):
    """Raise a `TypeError` unless `texts` is a collection of `str`."""
    if isinstance(texts, (str, bytes)):
        raise TypeError(
            "`texts` must be a list of strings. Received one "
            f"{type(texts).__name__}: put it in a list."
        )
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(
                "`texts` must be a list of strings. Received an item of type "
                f"{type(text).__name__}: {text!r}."
            )


def _to_lists(inputs):
    """Arrays and tensors, also within lists, -> lists of Python scalars."""
    if isinstance(inputs, (str, bytes)):
        return inputs
    if isinstance(inputs, (list, tuple)):
        return [_to_lists(item) for item in inputs]
    if hasattr(inputs, "to_list"):  # a ragged tensor
        return inputs.to_list()
    if keras.ops.is_tensor(inputs):
        inputs = keras.ops.convert_to_numpy(inputs)
    if hasattr(inputs, "__array__"):
        return np.asarray(inputs).tolist()
    return inputs


def _to_strings(inputs):
    return _decode(_to_lists(inputs))


def _decode(nested):
    if isinstance(nested, list):
        return [_decode(item) for item in nested]
    if isinstance(nested, bytes):
        return nested.decode("utf-8", errors="ignore")
    if isinstance(nested, str):
        return nested
    raise TypeError(
        "`inputs` must be a string or a list, array or tensor of strings. "
        f"Received an item of type {type(nested).__name__}: {nested!r}."
    )


def _collect(nested, flat):
    for item in nested:
        if isinstance(item, str):
            flat.append(item)
        else:
            _collect(item, flat)


def _restore(nested, results):
    return [
        next(results) if isinstance(item, str) else _restore(item, results)
        for item in nested
    ]
