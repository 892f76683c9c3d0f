"""Labels as users give them -> arrays, in the form that the loss takes.

What does not fit is an error here, before the training, with the place of the
first one: a loss would give nonsense or NaN for a number out of range.
"""

import operator

import keras
import numpy as np

from keras_electra.data.inputs import is_missing
from keras_electra.data.inputs import to_column
from keras_electra.data.inputs import to_python

PROBLEM_TYPES = ("single_label", "multi_label", "regression")


def check_label_names(labels, num_classes=None):
    """Checks names of classes and their number, one of which is given.

    Returns `(labels, num_classes)`, a list of str or `None`, and an int.
    """
    if labels is not None:
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
        num_classes = len(labels)
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
    return labels, number


def takes_rows(loss):
    """Whether a loss takes one value a class, and not the class numbers.

    `None` for a loss, or a name or function, that is not Keras'.
    """
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    name = getattr(loss, "__name__", type(loss).__name__)
    if "sparse" in name.lower():
        return False
    module = getattr(loss, "__module__", type(loss).__module__)
    return True if str(module).startswith("keras.") else None


class LabelEncoder:
    """Turns the labels of a task into an array.

    Args:
        num_classes: int. Number of outputs.
        labels: list of str or `None`. Names of the classes.
        problem_type: string. `"single_label"` (a number or a name an
            example), `"multi_label"` (a list of names or a row of 0 and 1) or
            `"regression"` (a number). Defaults to `"single_label"`.
    """

    def __init__(self, num_classes, labels=None, problem_type="single_label"):
        self.num_classes = num_classes
        self.labels = labels
        self.problem_type = problem_type
        self._numbers = {name: i for i, name in enumerate(labels or [])}

    def name(self, number):
        """The name of a class (int): a str, or the number without names."""
        return self.labels[number] if self.labels else int(number)

    def encode(self, y, loss=None):
        """Turns labels into an array.

        Args:
            y: list or array, one entry an example: class numbers or names, or
                rows of one value a class where the loss takes these.
            loss: the loss that they are for, or `None`, the default, for one
                of class numbers. Class numbers become rows for a loss of
                Keras that takes rows.

        Returns:
            int32 array `(examples,)` of class numbers, or float32 array
            `(examples, num_classes)`.
        """
        y = to_column(y)
        y = [to_python(value) for value in y] if len(y) else []
        for index, value in enumerate(y):
            if is_missing(value):
                raise TypeError(
                    f"`y` must hold a label an example. Label {index} is "
                    f"missing: {value!r}. Leave the example out."
                )
        y = [list(v) if isinstance(v, (tuple, set)) else v for v in y]
        if self.problem_type == "regression":
            return self._targets(y)
        if self.problem_type == "multi_label":
            return self._rows(y)
        wanted = False if loss is None else takes_rows(loss)
        several = any(isinstance(v, list) and len(v) != 1 for v in y)
        if several and wanted is False:
            raise ValueError(
                "`y` must hold one label an example, the number or the name "
                f"of a class, for the loss {_name(loss)}. Received rows of "
                "several. Compile with a loss that takes one value a class, "
                "such as `keras.losses.CategoricalCrossentropy`, or build the "
                'task with `problem_type="multi_label"`.'
            )
        if several:
            return self._rows(y)
        y = [v[0] if isinstance(v, list) else v for v in y]
        numbers = [self._number(value, i) for i, value in enumerate(y)]
        numbers = np.array(numbers, "int32")
        if not wanted:
            return numbers
        return np.eye(self.num_classes, dtype="float32")[numbers]

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
        if not isinstance(value, (bool, int, float)) or value != int(value):
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

    def _rows(self, y):
        rows = []
        for index, row in enumerate(y):
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
        for index, row in enumerate(y):
            for value in row if isinstance(row, list) else [row]:
                if isinstance(value, str) or not np.isfinite(value):
                    raise ValueError(
                        "`y` must hold finite numbers for a regression. "
                        f"Entry {index} is {value!r}."
                    )
        shape = (-1,) if self.num_classes == 1 else (-1, self.num_classes)
        return np.array(y, "float32").reshape(shape)

    def weights(self, class_weight, y=None):
        """Weights of the classes, by number: an array, 1 where none is given.

        Args:
            class_weight: dict from names or numbers of classes to weights, or
                `"balanced"`: as many times as a class is rarer than others.
            y: encoded labels, for `"balanced"`; `None` where they are not in
                memory.
        """
        if self.problem_type != "single_label":
            raise ValueError(
                "`class_weight` needs one class an example. This task has "
                f"problem_type={self.problem_type!r}: pass `sample_weight`."
            )
        weights = np.ones(self.num_classes, "float32")
        if isinstance(class_weight, str):
            if class_weight != "balanced" or y is None:
                raise ValueError(
                    "`class_weight` must be a dict from classes to weights, "
                    'or "balanced" for labels in memory. '
                    f"Received: class_weight={class_weight!r}."
                )
            counts = np.bincount(class_numbers(y), minlength=self.num_classes)
            return (
                counts.sum() / (self.num_classes * np.maximum(counts, 1))
            ).astype("float32")
        for index, (name, weight) in enumerate(class_weight.items()):
            try:
                weights[self._number(to_python(name), index)] = weight
            except ValueError:
                known = self.labels or f"0 to {self.num_classes - 1}"
                raise ValueError(
                    f"`class_weight` must hold known classes, {known}. "
                    f"Received: {name!r}."
                ) from None
        return weights


def class_numbers(y):
    """Class numbers, of an array of them, of rows or of lists of numbers."""
    if isinstance(y, np.ndarray):
        is_rows = y.ndim == 2 and y.dtype.kind == "f"
        return (y.argmax(axis=-1) if is_rows else y).ravel().astype("int32")
    return np.concatenate([np.asarray(row, "int32").ravel() for row in y])


def weigh(data, weights):
    """Multiplies the weights of a batch with those of its classes.

    `data` is `(x, y, sample_weight)`; `weights` are by class, or `None`.
    """
    if weights is None:
        return data
    x, y, sample_weight = data
    y = np.asarray(y)
    found = weights[class_numbers(y)]
    if found.size == y.size:
        found = found.reshape(y.shape)
    if sample_weight is not None:
        found = found * np.asarray(sample_weight, "float32")
    return x, y, found


def _name(loss):
    if loss is None:
        return "of class numbers"
    name = getattr(loss, "__name__", type(loss).__name__)
    return loss if isinstance(loss, str) else name


def softmax(logits):
    """Probabilities over the last axis; takes and returns an array."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def sigmoid(logits):
    """A probability for each logit of an array; does not overflow."""
    return np.exp(-np.logaddexp(0.0, -logits))
