"""Labels as users give them -> arrays that losses take, and back to names.

A label is a class number or, where the task knows their names, a name. What
does not fit is an error here, before the training, with the place of the
first one: a loss would give nonsense or NaN for a number out of range.
"""

import operator

import keras
import numpy as np
from keras import ops

PROBLEM_TYPES = ("single_label", "multi_label", "regression")


def check_label_names(labels, num_classes=None):
    """Checks names of classes and counts them.

    Args:
        labels: list of str, one a class, in the order of their numbers, or
            `None`.
        num_classes: int or `None`. Defaults to `None`, as many as `labels`.

    Returns:
        `(labels, num_classes)`; `labels` is a list of str or `None`.

    Raises:
        ValueError: when there are no names or a name comes twice, or there
            are more or fewer than `num_classes`.
    """
    if labels is None:
        return None, num_classes
    labels = [str(label) for label in labels]
    if not labels or len(set(labels)) != len(labels):
        raise ValueError(
            "`labels` must be the different names of the classes. "
            f"Received: labels={labels}."
        )
    if num_classes not in (None, len(labels)):
        raise ValueError(
            "`num_classes` must be the number of `labels`, or left out. "
            f"Received: num_classes={num_classes} and {len(labels)} labels."
        )
    return labels, len(labels)


def check_num_classes(num_classes):
    """Returns a positive integer as an int; raises `ValueError` otherwise."""
    try:
        # Also takes the integers of NumPy, as in `labels.max() + 1`.
        number = operator.index(num_classes)
    except TypeError:
        number = 0
    if number < 1 or isinstance(num_classes, bool):
        raise ValueError(
            "`num_classes` must be a positive integer, the number of "
            f"different labels. Received: num_classes={num_classes!r}."
        )
    return number


def check_option(name, value, options):
    """Raises `ValueError` unless a value (of the name) is an option."""
    if value not in options:
        raise ValueError(
            f"`{name}` must be one of {options}. Received: {name}={value!r}."
        )


class LabelEncoder:
    """Turns the labels of a task into an array.

    Args:
        num_classes: int. Number of outputs.
        labels: list of str or `None`. Names of the classes.
        problem_type: string. `"single_label"` (a number or a name an
            example), `"multi_label"` (a list of names or a row of 0 and 1) or
            `"regression"` (a number). Defaults to `"single_label"`.

    Attributes:
        spec: `keras.KerasTensor`. Shape and type of the array.
    """

    def __init__(self, num_classes, labels=None, problem_type="single_label"):
        self.num_classes = num_classes
        self.labels = labels
        self.problem_type = problem_type
        self._numbers = {name: i for i, name in enumerate(labels or [])}
        shape = (None,)
        if problem_type == "multi_label" or (
            problem_type == "regression" and num_classes > 1
        ):
            shape = (None, num_classes)
        dtype = "int32" if problem_type == "single_label" else "float32"
        self.spec = keras.KerasTensor(shape, dtype)

    def name(self, number):
        """The name of a class (int): a str, or the number without names."""
        return self.labels[number] if self.labels else int(number)

    def encode(self, y):
        """Turns labels into an array.

        Args:
            y: list or array, one entry an example.

        Returns:
            An array of the shape and type of `spec`.

        Raises:
            ValueError: when a label is of the wrong kind, unknown or out of
                range.
        """
        if self.problem_type == "single_label":
            return self._class_numbers(y)
        if self.problem_type == "multi_label":
            return self._indicators(y)
        return self._targets(y)

    def _class_numbers(self, y):
        values = _to_list(y)
        if any(isinstance(value, list) and len(value) != 1 for value in values):
            raise ValueError(
                "`y` must hold one label an example. Received rows of "
                "several. Give the number or the name of the class, or build "
                'the task with `problem_type="multi_label"`.'
            )
        values = [v[0] if isinstance(v, list) else v for v in values]
        return np.array(
            [self._number(value, i) for i, value in enumerate(values)], "int32"
        )

    def _number(self, value, index):
        if isinstance(value, str):
            if value in self._numbers:
                return self._numbers[value]
            known = f"one of {self.labels}" if self.labels else "a class number"
            raise ValueError(
                f"`y` must hold known labels. Label {index} is {value!r}, "
                f"expected {known}. Names of classes are given to the task "
                "as `labels`."
            )
        if not isinstance(value, (bool, int)):
            raise ValueError(
                "`y` must hold class numbers, which are integers"
                f"{', or names' if self.labels else ''}. Label {index} is "
                f"{value!r} of type {type(value).__name__}."
            )
        if not 0 <= value < self.num_classes:
            raise ValueError(
                f"`y` must hold class numbers from 0 to {self.num_classes - 1}"
                f" (`num_classes` is {self.num_classes}). Label {index} is "
                f"{value}."
            )
        return int(value)

    def _indicators(self, y):
        rows = []
        for index, row in enumerate(_to_list(y)):
            if not isinstance(row, list):
                raise ValueError(
                    "`y` must hold a list of labels an example, or a row of 0 "
                    f"and 1. Entry {index} is {row!r}."
                )
            if all(isinstance(value, str) for value in row) and self.labels:
                numbers = [self._number(value, index) for value in row]
                row = np.isin(np.arange(self.num_classes), numbers).tolist()
            is_row = len(row) == self.num_classes and all(
                not isinstance(value, str) and 0 <= value <= 1 for value in row
            )
            if not is_row:
                raise ValueError(
                    f"`y` must hold {self.num_classes} values from 0 to 1 an "
                    f"example, or a list of names. Entry {index} is {row!r}."
                )
            rows.append(row)
        return np.array(rows, "float32").reshape(-1, self.num_classes)

    def _targets(self, y):
        for index, row in enumerate(_to_list(y)):
            for value in row if isinstance(row, list) else [row]:
                if isinstance(value, str) or not np.isfinite(value):
                    raise ValueError(
                        "`y` must hold finite numbers for a regression. "
                        f"Entry {index} is {value!r}."
                    )
        shape = tuple(n or -1 for n in self.spec.shape)
        return np.array(_to_list(y), "float32").reshape(shape)


def _to_list(y):
    if isinstance(y, (list, tuple)):
        return [_to_python(value) for value in y]
    return ops.convert_to_numpy(y).tolist()


def _to_python(value):
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, (list, tuple, set)):
        return [_to_python(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value
