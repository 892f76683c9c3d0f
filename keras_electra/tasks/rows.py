"""Inputs as users give them -> rows of token ids, the network's inputs.

Preprocessors share a base that makes rows in Python, as windows, words and
answers need it. Inside a TensorFlow graph (`tf.data`, on every backend) the
graph calls back into Python. Price: such a graph runs only in the process
that made it.
"""

import typing

import keras
import keras_hub
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import keyword_names
from keras_electra.backend import graph_text
from keras_electra.data import inputs
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import OpensPresets
from keras_electra.text.preprocessor import add_sequence_length
from keras_electra.text.tokenizer import ElectraTokenizer

NAMES = ("token_ids", "segment_ids", "padding_mask")


def make_rows(sequences, segments, pad_token_id, length=None):
    """Pads lists of token ids and of segment ids to a dict of int32 arrays.

    `length` is that of the rows, by default of the longest.
    """
    if length is None:
        length = max(map(len, sequences), default=1)
    shape = (len(sequences), length)
    token_ids = np.full(shape, pad_token_id, "int32")
    segment_ids, padding_mask = np.zeros((2, *shape), "int32")
    for row, (ids, segment) in enumerate(zip(sequences, segments)):
        token_ids[row, : len(ids)] = ids
        segment_ids[row, : len(ids)] = segment
        padding_mask[row, : len(ids)] = 1
    return dict(zip(NAMES, (token_ids, segment_ids, padding_mask)))


def text_rows(
    first, second, tokenizer, most, truncate="round_robin", length=None
):
    """Packs lists of token ids, or pairs of them (`second` may be `None`).

    A text becomes `[CLS] text [SEP]`, a pair `[CLS] first [SEP] second
    [SEP]`, of at most `most` tokens. A pair whose second text has no tokens
    is packed as a text, as in the original
    (`classification_tasks.py:66-70`).
    """
    cls, sep = [tokenizer.cls_token_id], [tokenizer.sep_token_id]
    sequences, segments = [], []
    for i, ids in enumerate(first):
        other = second[i] if second is not None else []
        if other:
            ids, other = trim_pair(ids, other, most - 3, truncate)
            tail = [*other, *sep]
        else:
            ids, tail = ids[: most - 2], []
        head = [*cls, *ids, *sep]
        sequences.append(head + tail)
        segments.append([0] * len(head) + [1] * len(tail))
    return make_rows(sequences, segments, tokenizer.pad_token_id, length)


def trim_pair(first, second, room, truncate="round_robin"):
    """Shortens two lists to at most `room` together.

    `"round_robin"` shortens the longer one (both evenly once they are equally
    long), as the original (`classification_tasks.py:298-313`); `"waterfall"`
    the second before the first.
    """
    share = (room + 1) // 2 if truncate == "round_robin" else room
    first = first[: max(share, room - len(second))]
    return first, second[: room - len(first)]


class Window(typing.NamedTuple):
    """Tokens `start:stop` of a text are read, `first:last` are judged."""

    start: int
    stop: int
    first: int
    last: int


def split_windows(count, room):
    """Covers `count` tokens by windows of `room` that overlap by half.

    Every token is judged once, where two windows overlap by the one whose
    border is farther away: `split_windows(7, 4)` gives `(0, 4, 0, 3)`,
    `(2, 6, 3, 4)` and `(3, 7, 4, 7)`.
    """
    if not count:
        return []
    final = max(0, count - room)
    starts = [*range(0, final, max(1, room // 2)), final]
    borders = [
        (left + room + right) // 2 for left, right in zip(starts, starts[1:])
    ]
    borders = [0, *borders, count]
    return [
        Window(start, min(start + room, count), first, last)
        for start, first, last in zip(starts, borders, borders[1:])
    ]


class RowPreprocessor(OpensPresets, keras_hub.models.Preprocessor):
    """Turns batches of raw data into rows; for one kind of task each.

    Here these are texts and pairs of texts; a subclass for other inputs has
    its own `rows`.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: a string, a list of strings, a tuple of two of either (pairs), or
            a dict of arrays that is packed already and stays as it is. A
            tuple alone KerasHub takes for `(x, y)`: call it with `y=None`.
        y: labels or `None`.
        sample_weight: weights of the labels or `None`.

    Returns:
        A dict of int32 arrays of shape `(batch, sequence_length)`:
        `token_ids`, `segment_ids` and `padding_mask`; a tuple with `y` and
        `sample_weight` if they are given.

    Attributes:
        makes_labels: bool. Whether labels and weights come from `rows`;
            otherwise a call passes them on as they are.
        middle_axes: tuple. Axes of rows between the batch's and the tokens'.
    """

    backbone_cls = ElectraBackbone
    tokenizer_cls = ElectraTokenizer
    makes_labels = False
    middle_axes = ()
    truncate = "round_robin"

    def __init__(self, tokenizer, sequence_length=512, **kwargs):
        check_count("sequence_length", sequence_length, at_least=3)
        base = super().__init__
        if "tokenizer" in keyword_names(base):  # KerasHub's for this task
            kwargs.update(tokenizer=tokenizer, sequence_length=sequence_length)
        base(**kwargs)
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        # It has no weights; `quantize` of a task refuses unbuilt layers.
        self.built = True

    def call(self, x, y=None, sample_weight=None):
        if isinstance(x, dict) and "token_ids" in x:
            return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        first = x[0] if isinstance(x, tuple) else x
        is_one = inputs.is_text(first) or getattr(first, "shape", 0) == ()
        if is_one:
            x = tuple([part] for part in x) if isinstance(x, tuple) else [x]
        if self.makes_labels:
            y = [y] if is_one and y is not None else y
            data = (x, y, sample_weight)
            spec = self.output_spec(*data)
            return _run_in_python(self._whole_rows, data, spec)
        data = _run_in_python(self._whole_rows, (x,), self.output_spec())
        if is_one:
            data = keras.tree.map_structure(lambda array: array[0], data)
        if isinstance(data, tuple):  # with labels, made of the texts alone
            return data
        return keras.utils.pack_x_y_sample_weight(data, y, sample_weight)

    def rows(self, x, y=None, sample_weight=None, length=None):
        """Checked columns to rows.

        Args:
            x, y, sample_weight: columns, as `data/inputs.py` makes them.
            length: int. Defaults to `None`: as long as the longest row.

        Returns:
            What `keras.utils.pack_x_y_sample_weight` makes of them.
        """
        parts = x if isinstance(x, tuple) else (x,)
        ids = [self.tokenizer.encode_batch(part) for part in parts]
        x = text_rows(
            ids[0],
            ids[1] if len(ids) > 1 else None,
            self.tokenizer,
            self.sequence_length,
            self.truncate,
            length,
        )
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _whole_rows(self, *data):
        """What `call` returns: rows of full length, of any columns."""
        data = inputs.map_columns(inputs.to_column, data)
        return self.rows(*data, length=self.sequence_length)

    def output_spec(self, x=None, y=None, sample_weight=None):
        """What a call returns, with a `keras.KerasTensor` for each array."""
        shape = (None, *self.middle_axes, self.sequence_length)
        return {name: keras.KerasTensor(shape, "int32") for name in NAMES}

    @classmethod
    def _add_missing_kwargs(cls, loader, kwargs):
        return super()._add_missing_kwargs(
            loader, add_sequence_length(loader, kwargs)
        )

    def get_config(self):
        config = super().get_config()
        for name in keyword_names(type(self).__init__):
            if name != "tokenizer":
                config[name] = getattr(self, name)
        return config


def _run_in_python(function, data, spec):
    """Calls a function of columns; in a TensorFlow graph on its tensors.

    `spec` is what it returns, with a `keras.KerasTensor` for each array.
    """
    if graph_text.is_in_graph():
        return graph_text.call_python(function, data, spec)
    return function(*data)
