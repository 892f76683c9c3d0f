"""Token ids -> rows of equal length, the inputs of the network."""

import typing

import keras
import numpy as np

NAMES = ("token_ids", "segment_ids", "padding_mask")


def make_rows(sequences, segments, pad_token_id, length=None):
    """Pads sequences to rows.

    Args:
        sequences: list of lists of int, token ids with special tokens, each
            of at most `length`.
        segments: list of lists of int, their segment ids.
        pad_token_id: int.
        length: int. Length of the rows, in tokens. Defaults to `None`: that
            of the longest.

    Returns:
        A dict of int32 arrays of shape `(len(sequences), length)`:
        `token_ids`, `segment_ids` (0 for padding) and `padding_mask`.
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
    """Packs texts or pairs of texts.

    A text becomes `[CLS] text [SEP]`, a pair `[CLS] first [SEP] second
    [SEP]`. A pair whose second text has no tokens is packed as a text, as in
    the original (`classification_tasks.py:66-70`).

    Args:
        first: list of lists of int, token ids.
        second: list of lists of int, or `None` for texts alone.
        tokenizer: `ElectraTokenizer`.
        most: int. Greatest length of a row, in tokens.
        truncate: string. See `trim_pair`. Defaults to `"round_robin"`.
        length: int. Length of the rows. Defaults to `None`: that of the
            longest.

    Returns:
        A dict of arrays, see `make_rows`.
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
    """Shortens a pair to a common length.

    Args:
        first: list.
        second: list.
        room: int. Greatest length of both together.
        truncate: string. `"round_robin"`, the default, shortens the longer
            one (both evenly once they are equally long), as the original
            (`classification_tasks.py:298-313`). `"waterfall"` shortens the
            second before the first.

    Returns:
        The two lists, shortened.
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


def to_list(x):
    """A list, from a list, tuple, array or tensor."""
    if isinstance(x, (list, tuple)):
        return list(x)
    if keras.ops.is_tensor(x):
        x = keras.ops.convert_to_numpy(x)
    return x.tolist() if hasattr(x, "tolist") else list(x)
