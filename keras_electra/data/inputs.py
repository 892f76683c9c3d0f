"""The one door: whatever holds examples becomes columns, or a stream of them.

Containers are recognised by what they can do, not by their type, so nothing
has to be imported to know them. What is in memory (lists, arrays, Series,
columns and tables of any library, tensors) becomes columns: lists of Python
objects, or arrays of numbers. All else (loaders, data sets, generators) is a
stream; see `streams.py`.
"""

import contextlib
import typing
import warnings
from collections import abc

import numpy as np

from keras_electra.arguments import check_count

# What preprocessors make; a dict with the first of them is ready.
ROW_FIELDS = (
    "token_ids",
    "segment_ids",
    "padding_mask",
    "mask_positions",
    "start_positions",
)
WEIGHT_NAMES = ("sample_weight", "weight")


class Names(typing.NamedTuple):
    """Which columns of a table a task reads.

    Attributes:
        inputs: tuple of tuples of str. Alternatives, the first that is there
            is taken.
        labels: tuple of str. Alternatives.
        example: function of `(x, y)`, or `None`. Whether they are one example
            and no batch; by default where a text is a string by itself.
    """

    inputs: tuple
    labels: tuple = ("label", "labels")
    example: typing.Any = None


class Examples(typing.NamedTuple):
    """Examples in memory: columns, tuples or dicts of columns, or `None`."""

    x: typing.Any
    y: typing.Any = None
    sample_weight: typing.Any = None

    def __len__(self):
        lengths = []
        map_columns(lambda column: lengths.append(len(column)), self)
        if len(set(lengths)) != 1:
            raise ValueError(
                "`x`, `y` and `sample_weight` must have one entry an example. "
                f"Received different lengths: {sorted(set(lengths))}."
            )
        return lengths[0]

    def part(self, places):
        """The examples at the places, a slice."""
        return Examples(*map_columns(lambda column: column[places], self))


def map_columns(function, data):
    """Applies a function below tuples and dicts; `None` stays."""
    if data is None:
        return None
    if isinstance(data, tuple):
        return tuple(map_columns(function, part) for part in data)
    if isinstance(data, dict):
        return {k: map_columns(function, part) for k, part in data.items()}
    return function(data)


def is_text(x):
    """Whether `x` is one string."""
    return isinstance(x, (str, bytes))


def is_table(x):
    """Whether `x` is in memory and has columns by name."""
    return isinstance(x, abc.Mapping) or (
        (hasattr(x, "column_names") or hasattr(x, "columns"))
        and hasattr(x, "__getitem__")
        and hasattr(x, "__len__")
    )


def is_column(x):
    """Whether `x` is in memory and has one entry an example."""
    knows_itself = ("to_pylist", "to_list", "__array__")
    if isinstance(x, list):
        return True
    if hasattr(x, "__len__") and any(hasattr(x, n) for n in knows_itself):
        return True
    if hasattr(x, "num_batches") or hasattr(x, "batch") and hasattr(x, "map"):
        return False
    if is_text(x) or not hasattr(x, "__getitem__") or not hasattr(x, "__len__"):
        return False
    first = x[0] if len(x) else ""
    return not isinstance(first, (tuple, dict)) and not hasattr(first, "shape")


def is_in_memory(x):
    """Whether `x` holds columns, and not a stream of batches or examples."""
    if isinstance(x, tuple):
        return bool(x) and all(
            is_in_memory(part) or is_text(part) for part in x
        )
    return is_table(x) or is_column(x)


def to_column(x):
    """A list of Python objects, or an array of numbers.

    Args:
        x: list, tuple, array, tensor, Series, or a column of a table.

    Returns:
        A list (of strings, lists, ...) or an array.
    """
    if not isinstance(x, (list, tuple, np.ndarray)):
        if hasattr(x, "detach"):  # torch
            x = x.detach().cpu()
        convert = getattr(x, "to_pylist", None) or getattr(x, "to_list", None)
        if convert:
            x = convert()
        else:
            x = np.asarray(x) if hasattr(x, "__array__") else list(x)
    if isinstance(x, np.ndarray) and x.dtype.kind not in "OUS":
        return x
    return [to_python(value) for value in x]


def to_python(value):
    """Strings for bytes and lists for arrays, nested as they are."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, list):
        return [to_python(item) for item in value]
    if isinstance(value, tuple):
        return tuple(to_python(item) for item in value)
    if isinstance(value, dict):
        return {name: to_python(item) for name, item in value.items()}
    if isinstance(value, (str, int, float)) or value is None:
        return value
    if hasattr(value, "to_pylist"):
        return to_python(value.to_pylist())
    if hasattr(value, "tolist") and hasattr(value, "shape"):
        return to_python(value.tolist())
    return value


def read_memory(x, y, sample_weight, names):
    """Columns of what is in memory.

    Args:
        x: a column, a tuple of columns, or a table.
        y: a column, or a tuple or a dict of these, or `None`.
        sample_weight: a column or `None`.
        names: `Names`.

    Returns:
        `Examples`.

    Raises:
        TypeError: when `x` is a tuple of strings.
        ValueError: when a table has not the columns that a task reads, or
            columns differ in length.
    """
    if isinstance(x, tuple) and any(is_text(part) for part in x):
        raise TypeError(
            "`x` must be a list of texts, or a tuple of columns (for pairs "
            f"`(firsts, seconds)`). Received a tuple of strings: {x!r:.80}. "
            "Put texts into a list."
        )
    if isinstance(x, list) and x and isinstance(x[0], abc.Mapping):
        x = {name: [record[name] for record in x] for name in x[0]}
    if is_table(x):
        x, found, weights = pick_columns(x, names)
        y = found if y is None else y
        sample_weight = weights if sample_weight is None else sample_weight
    examples = Examples(*map_columns(to_column, (x, y, sample_weight)))
    len(examples)
    return examples


def pick_columns(table, names):
    """Inputs, labels and weights among the columns of a table or dict.

    Args:
        table: has columns by name.
        names: `Names`.

    Returns:
        Tuple of `x`, `y` and `sample_weight`, `None` where there is none.
    """
    if isinstance(table, abc.Mapping):
        found = list(table)
    else:
        found = getattr(table, "column_names", None)
        found = list(table.columns if found is None else found)
    y, weight = (
        next((table[name] for name in some if name in found), None)
        for some in (names.labels, WEIGHT_NAMES)
    )
    if "token_ids" in found:
        others = set(names.labels) | set(WEIGHT_NAMES)
        fields = found if isinstance(table, dict) else ROW_FIELDS
        fields = [n for n in fields if n in found and n not in others]
        return {name: table[name] for name in fields}, y, weight
    for alternative in names.inputs:
        if set(alternative) <= set(found):
            x = tuple(table[name] for name in alternative)
            return x if len(x) > 1 else x[0], y, weight
    known = " or ".join(" and ".join(map(repr, some)) for some in names.inputs)
    raise ValueError(
        f"`x` has columns by name, of which {known} would be read, and as "
        f"labels {' or '.join(map(repr, names.labels))}. Found: {found}. "
        "Rename them, or pass the columns themselves: "
        f"`x=data[{str(found[0]) if found else 'name'!r}], y=data[...]`."
    )


def split_examples(examples, share):
    """Parts examples in memory into those to train and to validate on."""
    if not isinstance(examples, Examples):
        raise ValueError(
            "`validation_split` is for data in memory. Received: "
            f"validation_split={share} and a data set, "
            f"{type(examples).__name__}. Pass `validation_data` instead."
        )
    size = int(len(examples) * (1 - share))
    if not 0 < size < len(examples):
        raise ValueError(
            "`validation_split` must leave examples to train and to validate "
            f"on. Received: validation_split={share} for {len(examples)} "
            "examples."
        )
    return examples.part(slice(size)), examples.part(slice(size, None))


def check_texts(x, kinds=("texts",), may_be_empty=False):
    """Raises unless columns hold texts that say something.

    Args:
        x: list of strings, or a tuple of such lists.
        kinds: tuple of str. What the columns are, for the message. Defaults
            to `("texts",)`.
        may_be_empty: bool. Whether a text may say nothing. Defaults to
            `False`.

    Raises:
        TypeError: when an entry is missing, or no string.
        ValueError: when a text is empty, or the columns differ in length.
    """
    columns = x if isinstance(x, tuple) else (x,)
    if len({len(column) for column in columns}) != 1:
        raise ValueError(
            "`x` must have as many first as second texts. Received: "
            f"{[len(column) for column in columns]}."
        )
    for place, column in enumerate(columns):
        kind = kinds[min(place, len(kinds) - 1)]
        for index, text in enumerate(column):
            if not isinstance(text, str):
                missing = " It is a missing value." if is_missing(text) else ""
                raise TypeError(
                    f"`x` must hold {kind} as strings. Entry {index} is "
                    f"{text!r} of type {type(text).__name__}.{missing} Leave "
                    "the example out, or put a text in its place."
                )
            if not may_be_empty and not text.strip():
                raise ValueError(
                    f"`x` must hold {kind} that are not empty. Entry {index} "
                    f"is {text!r}. Leave the example out."
                )


def is_missing(value):
    """Whether a value stands for none: `None`, NaN, or `NA` of pandas."""
    is_nan = isinstance(value, float) and value != value
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaT")


def checked_size(batch_size):
    """A batch size as it was given, 32 where it was not."""
    if batch_size is None:
        return 32
    check_count("batch_size", batch_size)
    return int(batch_size)


@contextlib.contextmanager
def errors_of(stream):
    """Raises what went wrong in the data as it was, not as graphs report it."""
    with warnings.catch_warnings():
        if stream.steps is None:
            # A pass whose length nobody knew is not too short.
            warnings.filterwarnings("ignore", message="Your input ran out")
        try:
            yield
        except Exception as error:
            if stream.error is None or stream.error is error:
                raise
            raise stream.error from None
