"""The one door: what holds examples in memory becomes columns of them.

These are lists of Python objects, or arrays of numbers; all else is a stream.
Things are known by what they can do: nothing has to be imported.
"""

import typing
import warnings
from collections import abc
from typing import Any

import keras
import numpy as np

from keras_electra.arguments import check_count

NAMES = ("token_ids", "segment_ids", "padding_mask")  # of the parts of rows
# What preprocessors make; a table with the first of them is ready.
ROW_FIELDS = (*NAMES, "mask_positions", "start_positions")
WEIGHT_NAMES = ("sample_weight", "weight")


class Names(typing.NamedTuple):
    """Which columns of a table a task reads, of alternatives the first."""

    inputs: tuple  # of tuples of str
    labels: tuple = ("label", "labels")
    example: typing.Any = None  # function of `(x, y)`: whether it is no batch


class Examples(typing.NamedTuple):
    """Examples in memory: columns, tuples or dicts of columns, or `None`."""

    x: typing.Any
    y: typing.Any = None
    sample_weight: typing.Any = None

    def __len__(self) -> Any:
        lengths = set()
        map_columns(lambda column: lengths.add(len(column)), self)
        if len(lengths) != 1:
            raise ValueError(
                "`x`, `y` and `sample_weight` must have one entry an example. "
                f"Received different lengths: {sorted(lengths)}."
            )
        return lengths.pop()

    def part(self, places: Any) -> Any:
        """The examples at the places, a slice."""
        return Examples(*map_columns(lambda column: column[places], self))


def map_columns(function: Any, *data: Any) -> Any:
    """Applies a function below tuples and dicts; `None` stays."""
    first = data[0]
    if isinstance(first, tuple):
        return tuple(map_columns(function, *parts) for parts in zip(*data))
    if isinstance(first, dict):
        return {k: map_columns(function, *(d[k] for d in data)) for k in first}
    return None if first is None else function(*data)


def is_text(x: Any) -> bool:
    """Whether `x` is one string."""
    return isinstance(x, (str, bytes))


def is_table(x: Any) -> Any:
    """Whether `x` is in memory and has columns by name."""
    has_names = hasattr(x, "column_names") or hasattr(x, "columns")
    is_sized = hasattr(x, "__getitem__") and hasattr(x, "__len__")
    return isinstance(x, abc.Mapping) or has_names and is_sized


def is_in_memory(x: Any) -> Any:
    """Whether `x` holds columns, and not a stream of batches or examples."""
    if isinstance(x, tuple):
        return bool(x) and all(is_text(p) or is_in_memory(p) for p in x)
    if isinstance(x, list) or is_table(x):
        return True
    if is_text(x) or not hasattr(x, "__len__"):
        return False
    if any(hasattr(x, n) for n in ("to_pylist", "to_list", "__array__")):
        return True
    # `keras.utils.PyDataset`; `tf.data` and `grain`.
    is_stream = hasattr(x, "num_batches") or hasattr(x, "batch")
    if is_stream or not hasattr(x, "__getitem__"):
        return False
    first = x[0] if len(x) else ""  # of examples or batches, it has parts
    return not isinstance(first, (tuple, dict)) and not hasattr(first, "shape")


def to_column(x: Any) -> Any:
    """A list of Python objects, or an array of numbers, of any column."""
    if hasattr(x, "detach"):  # torch
        x = x.detach().cpu()
    convert = getattr(x, "to_pylist", None) or getattr(x, "to_list", None)
    if convert:
        x = convert()
    elif hasattr(x, "__array__"):
        x = np.asarray(x)
    if isinstance(x, np.ndarray) and x.dtype.kind not in "OUS":
        return x
    return to_python(list(x))


def to_python(value: Any) -> Any:
    """Strings for bytes and lists for arrays, nested as they are."""

    def convert(leaf):
        if isinstance(leaf, bytes):
            return leaf.decode("utf-8")
        for name in ("to_pylist", "tolist", "numpy"):
            if hasattr(leaf, name):
                return to_python(getattr(leaf, name)())
        return leaf

    return keras.tree.map_structure(convert, value)


def read_memory(x: Any, y: Any, sample_weight: Any, names: Any) -> Any:
    """`Examples` of columns or a table in memory, with the `Names` to read."""
    if isinstance(x, tuple) and any(map(is_text, x)):
        raise TypeError(
            "`x` must be a list of texts, or a tuple of lists for pairs. "
            f"Received a tuple of strings: {x!r:.80}. Put texts into a list."
        )
    if isinstance(x, list) and x and isinstance(x[0], abc.Mapping):
        x = {name: [record.get(name) for record in x] for name in x[0]}
    if is_table(x):
        x, found, weights = pick_columns(x, names)
        y = found if y is None else y
        sample_weight = weights if sample_weight is None else sample_weight
    return to_examples(x, y, sample_weight)


def to_examples(*data: Any) -> Any:
    """`Examples` of columns of any kind; an error if lengths differ."""
    examples = Examples(*map_columns(to_column, data))
    len(examples)
    return examples


def pick_columns(table: Any, names: Any) -> tuple[Any, ...]:
    """`(x, y, sample_weight)` of a table or dict, `None` for what is not."""
    found = getattr(table, "column_names", getattr(table, "columns", None))
    found = list(table if isinstance(table, abc.Mapping) else found)
    y, weight = (
        next((table[name] for name in some if name in found), None)
        for some in (names.labels, WEIGHT_NAMES)
    )
    if "token_ids" in found:
        fields = set(ROW_FIELDS)
        if isinstance(table, dict):
            fields = {*found} - {*names.labels, *WEIGHT_NAMES}
        return {n: table[n] for n in found if n in fields}, y, weight
    for alternative in names.inputs:
        if set(alternative) <= set(found):
            x = tuple(table[name] for name in alternative)
            return x if len(x) > 1 else x[0], y, weight
    known = " or ".join(" and ".join(map(repr, some)) for some in names.inputs)
    raise ValueError(
        f"`x` must have columns named {known}, and for labels one of "
        f"{names.labels}. Found: {found}. Rename them, or pass the columns: "
        "`x=data[NAME], y=data[NAME]`."
    )


def split_examples(examples: Any, share: Any) -> tuple[Any, ...]:
    """Parts `Examples` into those to train and those to validate on."""
    size = len(examples) if isinstance(examples, Examples) else 0
    start = int(size * (1 - share))
    if not 0 < start < size:
        raise ValueError(
            "`validation_split` needs examples in memory. Received: "
            f"validation_split={share} and {size} {type(examples).__name__}. "
            "Pass `validation_data` instead."
        )
    return examples.part(slice(start)), examples.part(slice(start, None))


def check_texts(x: Any, kinds: Any = ("texts",)) -> None:
    """Raises unless lists hold texts; `kinds` says which, for the message."""
    for place, column in enumerate(x if isinstance(x, tuple) else (x,)):
        for index, text in enumerate(column):
            if isinstance(text, str):
                continue
            kind = kinds[min(place, len(kinds) - 1)]
            missing = ", a missing value" if is_missing(text) else ""
            raise TypeError(
                f"`x` must hold {kind} as strings. Entry {index} is {text!r}"
                f"{missing}. Leave it out, or put a text in its place."
            )


def find_empty(x: Any) -> list[Any]:
    """Numbers of examples with a text, or a part, of white space or nothing."""

    def is_empty(text):
        if isinstance(text, str):
            return not text.strip()
        is_list = isinstance(text, (list, tuple))  # of words, or of choices
        return is_list and (not text or any(map(is_empty, text)))

    rows = zip(*x) if isinstance(x, tuple) else x
    return [index for index, parts in enumerate(rows) if is_empty(parts)]


def warn_of_empty(places: Any) -> None:
    """Warns of what `find_empty` found in all examples of a prediction."""
    if places:
        warnings.warn(
            f"{len(places)} examples have a text that is empty or white space. "
            "Their results are those of an empty text.",
            stacklevel=3,
        )


def is_missing(value: Any) -> Any:
    """Whether a value stands for none: `None`, NaN, or `NA` of pandas."""
    is_nan = isinstance(value, float) and value != value
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaT")


def checked_size(batch_size: int | None) -> int:
    """A batch size as it was given, 32 where it was not."""
    size = 32 if batch_size is None else batch_size
    check_count("batch_size", size)
    return int(size)
