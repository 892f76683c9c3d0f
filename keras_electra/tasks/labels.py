"""Labels as users give them -> arrays, in the form that the loss takes.

What does not fit is an error with its place, before the training: a loss would
give nonsense or NaN for a number out of range.
"""

import keras
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.data.inputs import is_missing
from keras_electra.data.inputs import to_column
from keras_electra.data.inputs import to_python


def check_label_names(labels, num_classes=None):
    """Names of classes, a list of str or `None`, and their number, an int."""
    if labels is not None:
        labels = [str(label) for label in labels]
        count = len(set(labels))
        if count != len(labels) or num_classes not in (None, count):
            raise ValueError(
                "`labels` must be the different names of the classes, and "
                "`num_classes` their number or left out. Received: "
                f"labels={labels}, num_classes={num_classes}."
            )
        num_classes = count
    check_count("num_classes", num_classes)
    return labels, int(num_classes)


def takes_rows(loss):
    """Whether a loss takes one value a class; `None` if it is not Keras'."""
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    name = getattr(loss, "__name__", type(loss).__name__)
    if "sparse" in name.lower():
        return False
    module = getattr(loss, "__module__", type(loss).__module__)
    return True if str(module).startswith("keras.") else None


def _wrong(expected, index, value):
    return f"`y` must hold {expected}. Label {index} is {value!r}."


class LabelEncoder:
    """Turns the labels of a task into an array; see `ElectraTextClassifier`."""

    def __init__(self, num_classes, labels=None, problem_type="single_label"):
        self.num_classes = num_classes
        self.labels = labels
        self.problem_type = problem_type
        self.numbers = {name: i for i, name in enumerate(labels or [])}

    def name(self, number):
        """The name of a class (int): a str, or the number without names."""
        return self.labels[number] if self.labels else int(number)

    def encode(self, y, loss=None):
        """Class numbers, int32, or float32 rows where the loss takes these."""
        y = to_column(y)
        y = [to_python(list(v) if isinstance(v, tuple | set) else v) for v in y]
        for index, value in enumerate(y):
            if is_missing(value):
                raise TypeError(_wrong("labels, none missing", index, value))
        if self.problem_type == "regression":
            return self._targets(y)
        if self.problem_type == "multi_label":
            return self._rows(y)
        wanted = False if loss is None else takes_rows(loss)
        if any(isinstance(v, list) and len(v) != 1 for v in y):
            if wanted is not False:
                return self._rows(y)
            raise ValueError(
                "`y` must hold one number or name of a class an example, for "
                f"the loss {getattr(loss, 'name', loss)}. Received rows of "
                "several. Compile with `categorical_crossentropy` or the like, "
                'or build the task with `problem_type="multi_label"`.'
            )
        y = [v[0] if isinstance(v, list) else v for v in y]
        numbers = [self._number(value, i) for i, value in enumerate(y)]
        numbers = np.array(numbers, "int32")
        if not wanted:
            return numbers
        return np.eye(self.num_classes, dtype="float32")[numbers]

    def _number(self, value, index):
        number = self.numbers.get(value) if isinstance(value, str) else value
        is_number = isinstance(number, (int, float))
        if not is_number or not 0 <= number < self.num_classes or number % 1:
            expected = f"integers from 0 to {self.num_classes - 1}, or names, "
            expected += f"of labels={self.labels}"
            raise ValueError(_wrong(expected, index, value))
        return int(number)

    def _rows(self, y):
        rows = []
        for index, row in enumerate(y):
            given = row if isinstance(row, list) else [None]
            if self.labels and all(isinstance(v, str) for v in given):
                numbers = [self._number(value, index) for value in given]
                given = np.isin(np.arange(self.num_classes), numbers).tolist()
            if len(given) != self.num_classes or not all(
                isinstance(v, (int, float)) and 0 <= v <= 1 for v in given
            ):
                expected = f"lists of names or of {self.num_classes} values "
                raise ValueError(_wrong(expected + "from 0 to 1", index, row))
            rows.append(given)
        return np.array(rows, "float32").reshape(-1, self.num_classes)

    def _targets(self, y):
        for index, row in enumerate(y):
            values = row if isinstance(row, list) else [row]
            if any(isinstance(v, str) or not np.isfinite(v) for v in values):
                raise ValueError(_wrong("finite numbers", index, row))
        shape = (-1,) if self.num_classes == 1 else (-1, self.num_classes)
        return np.array(y, "float32").reshape(shape)


def weigher(encoder, class_weight, y=None):
    """A function that weighs data as `fit`'s argument says; `y` is encoded."""
    if class_weight is None:
        return lambda data: data
    if encoder is None or encoder.problem_type != "single_label":
        raise ValueError(
            "`class_weight` is for one class an example. Pass `sample_weight`."
        )
    numbers = {i: i for i in range(encoder.num_classes)} | encoder.numbers
    weights = np.ones(encoder.num_classes, "float32")
    names = [to_python(name) for name in class_weight]
    if class_weight == "balanced" and y is not None:
        y = class_numbers(y).ravel()
        counts = np.bincount(y, minlength=len(weights))
        weights *= len(y) / (len(weights) * np.maximum(counts, 1))
    elif isinstance(class_weight, str) or not set(names) <= set(numbers):
        raise ValueError(
            f"`class_weight` must be a dict from classes, {list(numbers)}, to "
            'weights, or "balanced" for labels in memory. Received: '
            f"{class_weight!r}."
        )
    else:
        for name, weight in zip(names, class_weight.values()):
            weights[numbers[name]] = weight

    def weigh(data):
        x, y, sample_weight = data
        found = weights[class_numbers(y)]
        if sample_weight is not None:
            found = found * np.asarray(sample_weight, "float32")
        return x, y, found

    return weigh


def class_numbers(y):
    """Class numbers, of an array of them, of rows or of lists of numbers."""
    y = np.concatenate(y) if isinstance(y, list) else np.asarray(y)
    is_rows = y.ndim > 1 and y.dtype.kind == "f"
    return (y.argmax(axis=-1) if is_rows else y).astype("int32")


def softmax(logits):
    """Probabilities over the last axis; takes and returns an array."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def sigmoid(logits):
    """A probability for each logit of an array; does not overflow."""
    return np.exp(-np.logaddexp(0.0, -logits))


def to_sentences(x):
    """Columns of sentences as lists of words, checked."""
    sentences = [s.split() if isinstance(s, str) else s for s in x]
    for index, words in enumerate(sentences):
        is_list = isinstance(words, (list, tuple))
        if not is_list or not all(isinstance(word, str) for word in words):
            raise TypeError(
                "`x` must hold sentences: strings, or lists of words. Sentence "
                f"{index} is {words!r} of type {type(words).__name__}."
            )
        if not words or not all(word.strip() for word in words):
            raise ValueError(
                "`x` must hold sentences of at least one word, none empty. "
                f"Sentence {index} is {words!r}. Leave it out."
            )
    return sentences


def is_sentence(x, y):
    """Whether `x` is a list of words and `y` their labels, and no batch."""
    if not isinstance(x, list) or not all(isinstance(w, str) for w in x):
        return False
    labels = [] if y is None else list(y)
    return not any(
        isinstance(item, (list, tuple)) or len(str(item).split()) > 1
        for item in [*x, *labels]
    )


def encode_word_labels(sentences, y, encoder=None):
    """Class numbers of words, a list a sentence, checked."""
    if len(y) != len(sentences):
        raise ValueError(
            "`y` must hold labels of every sentence. Received: "
            f"{len(sentences)} sentences and labels for {len(y)}."
        )
    encoded = []
    for index, (words, labels) in enumerate(zip(sentences, y)):
        if isinstance(labels, str):
            labels = labels.split()
            if encoder is None or not encoder.labels:
                labels = [int(i) if i.isdigit() else i for i in labels]
        labels = labels if np.ndim(labels) else [labels]
        if len(labels) != len(words):
            raise ValueError(
                f"`y` must hold one label a word. Sentence {index}, {words}, "
                f"has {len(words)} words and {len(labels)} labels."
            )
        try:
            labels = encoder.encode(labels).tolist() if encoder else labels
        except (TypeError, ValueError) as error:
            raise type(error)(f"In sentence {index}: {error}") from None
        encoded.append(labels)
    return encoded
