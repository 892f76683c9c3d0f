"""Labels as users give them -> checked arrays, in the form of the loss."""

from typing import Any

import keras
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_option
from keras_electra.data import inputs


def takes_rows(loss: Any) -> Any:
    """Whether a loss takes one value a class; `None` if it is not Keras'."""
    loss = keras.losses.get(loss) if isinstance(loss, str) else loss
    named = loss if hasattr(loss, "__name__") else type(loss)
    if "sparse" in named.__name__.lower():
        return False
    return str(named.__module__).startswith("keras.") or None


def _wrong(expected, index, value):
    return (TypeError if inputs.is_missing(value) else ValueError)(
        f"`y` must hold {expected}, none missing. Label {index} is {value!r}."
    )


class LabelEncoder:
    """Turns the labels of a task into an array; see `ElectraTextClassifier`."""

    def __init__(self, num_classes, labels=None, problem_type="single_label"):
        if labels is not None:
            labels = list(map(str, labels))
            count = len(set(labels))
            if count != len(labels) or num_classes not in (None, count):
                raise ValueError(
                    "`labels` must be `num_classes` different names. Received: "
                    f"labels={labels}, num_classes={num_classes}."
                )
            num_classes = count
        check_count("num_classes", num_classes)
        if problem_type is None:
            problem_type = "regression" if num_classes == 1 else "single_label"
        kinds = ("single_label", "multi_label", "regression")
        check_option("problem_type", problem_type, kinds)
        self.num_classes: int = int(num_classes)
        self.labels = labels
        self.problem_type: str = problem_type
        self.names: Any = labels or range(self.num_classes)
        self.numbers: Any = {name: i for i, name in enumerate(labels or [])}

    def encode(self, y: Any, loss: Any = None) -> Any:
        """Class numbers, int32, or float32 rows where the loss takes these."""
        y = inputs.to_column(y)
        y = [list(v) if isinstance(v, tuple | set) else v for v in y]
        y = list(enumerate(map(inputs.to_python, y)))
        wanted = False if loss is None else takes_rows(loss)
        has_rows = any(isinstance(v, list) and len(v) != 1 for _, v in y)
        kind, count = self.problem_type, self.num_classes
        if kind != "single_label" or has_rows and wanted is not False:
            rows = np.array([self._row(*label) for label in y], "float32")
            shape = -1 if kind == "regression" and count == 1 else (-1, count)
            return rows.reshape(shape)
        if has_rows:
            raise ValueError(
                "`y` must hold one class an example, for the loss "
                f"{getattr(loss, 'name', loss)}. Received rows of several. Use "
                '`categorical_crossentropy`, or `problem_type="multi_label"`.'
            )
        numbers = np.array([self._number(*label) for label in y], "int32")
        return np.eye(count, dtype="float32")[numbers] if wanted else numbers

    def _number(self, index, value):
        number = value[0] if isinstance(value, list) else value
        number = self.numbers.get(number) if isinstance(number, str) else number
        is_number = isinstance(number, (int, float))
        if not is_number or not 0 <= number < self.num_classes or number % 1:
            expected = f"integers from 0 to {self.num_classes - 1}, or names, "
            raise _wrong(f"{expected}of labels={self.labels}", index, value)
        return int(number)

    def _row(self, index, value):
        """A number a class or target, of a list of them or of names."""
        row = value if isinstance(value, list) else [value]
        low, high, expected = 0, 1, "values from 0 to 1, or lists of names"
        if self.problem_type == "regression":
            high, expected = np.finfo("float32").max, "finite numbers"
            low = -high
        elif self.labels and row is value and all(map(inputs.is_text, row)):
            numbers = [self._number(index, name) for name in row]
            row = np.isin(range(self.num_classes), numbers).tolist()
        if len(row) != self.num_classes or not all(
            isinstance(v, (int, float)) and low <= v <= high for v in row
        ):
            raise _wrong(f"{self.num_classes} {expected}", index, value)
        return row


def weigher(encoder: Any, class_weight: Any, y: Any = None) -> Any:
    """A function that weighs data as `fit`'s argument says; `y` is encoded."""
    if class_weight is None:
        return lambda data: data
    if encoder is None or encoder.problem_type != "single_label":
        raise ValueError(
            "`class_weight` is for one class an example. Pass `sample_weight`."
        )
    given, count = class_weight, encoder.num_classes
    if class_weight == "balanced" and y is not None:
        counts = np.bincount(class_numbers(y).ravel(), minlength=count)
        given = dict(enumerate(counts.sum() / (count * np.maximum(counts, 1))))
    numbers = {i: i for i in range(count)} | encoder.numbers
    if not isinstance(given, dict) or not numbers.keys() >= {
        *map(inputs.to_python, given)
    }:
        raise ValueError(
            f"`class_weight` must be a dict from classes, {list(numbers)}, to "
            'weights, or "balanced" for labels in memory. Received: '
            f"{class_weight!r}."
        )
    weights = np.ones(count, "float32")
    for name, weight in given.items():
        weights[numbers[inputs.to_python(name)]] = weight

    def weigh(data):
        x, y, own = data
        own = 1.0 if own is None else np.asarray(own, "float32")
        return x, y, weights[class_numbers(y)] * own

    return weigh


def class_numbers(y: Any) -> Any:
    """Class numbers, of an array of them, of rows or of lists of numbers."""
    y = np.concatenate(y) if isinstance(y, list) else np.asarray(y)
    is_rows = y.ndim > 1 and y.dtype.kind == "f"
    return (y.argmax(axis=-1) if is_rows else y).astype("int32")


def softmax(logits: Any) -> Any:
    """Probabilities over the last axis; takes an array, returns float32."""
    logits = np.asarray(logits, "float32")
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def sigmoid(logits: Any) -> Any:
    """A probability, float32, for each logit; does not overflow."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, "float32")))
