"""Inputs as users give them -> rows of token ids, the network's inputs.

Rows are made in Python; a TensorFlow graph (of `tf.data`) calls back into it.
"""

from typing import Any

import keras
import keras_hub
import numpy as np

from keras_electra.arguments import KeepsArguments
from keras_electra.arguments import check_count
from keras_electra.arguments import check_option
from keras_electra.arguments import keyword_names
from keras_electra.backend import graph_text
from keras_electra.data import inputs
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets_saving import SavesParts
from keras_electra.text.tokenizer import ElectraTokenizer

MAX_SEQUENCE_LENGTH = 512  # as many positions as networks of the original have


def is_rows(x: Any) -> Any:
    """Whether inputs are rows of token ids already."""
    return isinstance(x, dict) and "token_ids" in x


def make_rows(sequences, firsts, pad_token_id, length=None):
    """Pads lists of ids to int32 arrays, the first `firsts` of segment 0."""
    length = length or max(map(len, sequences), default=1)
    shape = (len(sequences), length)
    token_ids = np.full(shape, pad_token_id, "int32")
    segment_ids, padding_mask = np.zeros((2, *shape), "int32")
    for row, (ids, first) in enumerate(zip(sequences, firsts)):
        token_ids[row, : len(ids)] = ids
        segment_ids[row, first : len(ids)] = 1
        padding_mask[row, : len(ids)] = 1
    return dict(zip(inputs.NAMES, (token_ids, segment_ids, padding_mask)))


def text_rows(first, second, tokenizer, most, truncate=None, length=None):
    """Packs lists of ids, or of pairs (else `second` is `None`), into rows."""
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    sequences, firsts = [], []
    for ids, other in zip(first, second or [None] * len(first)):
        if other:  # one without tokens is none: `classification_tasks.py:66`
            ids, other = trim_pair(ids, other, most - 3, truncate)
            other = [*other, sep]
        head = [cls, *ids[: most - 2], sep]
        sequences.append(head + (other or []))
        firsts.append(len(head))
    return make_rows(sequences, firsts, tokenizer.pad_token_id, length)


def trim_pair(first, second, room, truncate="round_robin"):
    """Shortens two lists to `room`, as `classification_tasks.py:298-313`.

    `"waterfall"` keeps the first, `"first"` cuts only that, down to nothing.
    """
    shares = {"round_robin": (room + 1) // 2, "first": 0}
    share = shares.get(truncate, room)
    first = first[: max(share, room - len(second))]
    return first, second[: room - len(first)]


def split_windows(count: Any, room: Any) -> list[Any]:
    """Covers `count` tokens by windows of `room` that overlap by half.

    Tokens `start:stop` are read and `first:last` judged: `(7, 4)` gives
    `(0, 4, 0, 3)`, `(2, 6, 3, 4)`, `(3, 7, 4, 7)`.
    """
    final = max(0, count - room)
    starts = [*range(0, final, max(1, room // 2)), final] if count else []
    borders = [(a + room + b) // 2 for a, b in zip(starts, starts[1:])]
    return [
        (start, min(start + room, count), first, last)
        for start, first, last in zip(starts, [0, *borders], [*borders, count])
    ]


class RowPreprocessor(
    KeepsArguments, SavesParts, keras_hub.models.Preprocessor
):
    """Turns texts and pairs into rows; subclasses have `rows` of their own.

    Takes a string, a list of strings, a tuple of two of either (pairs; then
    with `y=None`) or rows, which stay. Gives a dict of int32 arrays `(batch,
    sequence_length)`, `token_ids`, `segment_ids`, `padding_mask`, of 512 tokens
    or those of a preset's network; with labels a tuple.
    """

    backbone_cls = ElectraBackbone
    tokenizer_cls = ElectraTokenizer
    unsaved: tuple[str, ...] = ("tokenizer",)
    makes_labels = False  # whether `rows` changes labels and weights
    truncate = "round_robin"

    def __init__(self, tokenizer, sequence_length=512, **kwargs):
        check_count("sequence_length", sequence_length, at_least=3)
        if "tokenizer" in keyword_names(super().__init__):  # KerasHub's
            kwargs.update(tokenizer=tokenizer, sequence_length=sequence_length)
        super().__init__(**kwargs)
        self.keep_arguments(locals())
        # It has no weights; `quantize` of a task refuses unbuilt layers.
        self.built = True

    def call(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        first = x[0] if isinstance(x, tuple) else x
        is_one = inputs.is_text(first) or getattr(first, "shape", 0) == ()
        if is_one:
            x = inputs.map_columns(lambda text: [text], x)
        if self.makes_labels and not is_rows(x):
            y = [y] if is_one and y is not None else y
            return self._run(x, y, sample_weight)
        data = x if is_rows(x) else self._run(x)
        if is_one:
            data = keras.tree.map_structure(lambda array: array[0], data)
        if isinstance(data, tuple):  # with labels, made of the texts alone
            return data
        return keras.utils.pack_x_y_sample_weight(data, y, sample_weight)

    def rows(self, x, y=None, sample_weight=None, length=None):
        """Packs checked columns, by default (in `fit`) to the longest row."""
        parts = x if isinstance(x, tuple) else (x,)
        ids = [*map(self.tokenizer.encode_batch, parts), None][:2]
        most = self.sequence_length
        x = text_rows(*ids, self.tokenizer, most, self.truncate, length)
        return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)

    def _run(self, *data):
        if graph_text.is_in_graph():
            return graph_text.call_python(self._run, data)
        data = inputs.to_examples(*data)
        return self.rows(*data, length=self.sequence_length)

    @classmethod
    def _add_missing_kwargs(cls, loader, kwargs):
        # KerasHub's hook for a preset without one; `config` is the backbone's.
        config, most = loader.config.get("config", {}), MAX_SEQUENCE_LENGTH
        length = min(config.get("max_sequence_length", most), most)
        kwargs = {"sequence_length": length, **kwargs}
        return super()._add_missing_kwargs(loader, kwargs)


class TextPreprocessor(RowPreprocessor):
    """Texts to `[CLS] text [SEP]`, pairs to `[CLS] first [SEP] second [SEP]`.

    Args:
        truncate: string. `"round_robin"`, the default, cuts the longer text of
            a pair, as the original; `"waterfall"` the second before the first.
    """

    def __init__(
        self, tokenizer, sequence_length=512, truncate="round_robin", **kwargs
    ):
        check_option("truncate", truncate, ("round_robin", "waterfall"))
        super().__init__(tokenizer, sequence_length, **kwargs)
        self.keep_arguments(locals())
