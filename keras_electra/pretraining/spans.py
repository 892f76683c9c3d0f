"""Whole words, and spans of words, as what is masked together.

Tokens that belong together get the same random key, by which positions are
chosen, so that spans are drawn anew at every step in a graph of fixed shape.
"""

import math
from typing import Any

from keras import ops

# Of spans: lengths in words, geometric up to 10, 3.8 in the mean (SpanBERT,
# Joshi et al. 2020, section 3.1).
SPAN_STOP_RATE, MAX_SPAN = 0.2, 10


def span_lengths(uniform: Any) -> Any:
    """Numbers of words, int32, from 1 to `MAX_SPAN`, of numbers in `[0, 1)`."""
    rest = 1.0 - SPAN_STOP_RATE
    lengths = ops.log(1.0 - uniform * (1.0 - rest**MAX_SPAN)) / math.log(rest)
    return ops.minimum(ops.cast(lengths, "int32") + 1, MAX_SPAN)


def number_words(continues: Any) -> Any:
    """Which word of its row a token is of, int32, by what goes on with one."""
    starts = 1 - ops.cast(continues, "int32")
    return ops.maximum(ops.cumsum(starts, axis=1) - 1, 0)


def spread_keys(keys: Any, lengths: Any) -> Any:
    """Gives all words of a span its key: of several spans the largest.

    Both arrays are `(batch, words)`: a span begins at every word.
    """
    count, spread = ops.shape(keys)[1], keys
    for step in range(1, MAX_SPAN):
        starts = ops.where(lengths > step, keys, -1.0)
        starts = ops.pad(starts, ((0, 0), (step, 0)), constant_values=-1.0)
        spread = ops.maximum(spread, starts[:, :count])
    return spread


def keep_whole_words(words, candidates, positions, weights):
    """`weights` of slots without the last word, if it does not fit whole.

    The first word stays, cut, so that something is predicted.
    """
    chosen = ops.take_along_axis(words, positions, axis=1)  # (B, P)
    is_same = chosen[:, :, None] == words[:, None, :]  # (B, P, L)
    size = ops.sum(ops.cast(is_same & candidates[:, None, :], "int32"), -1)
    is_same = chosen[:, :, None] == chosen[:, None, :]  # (B, P, P)
    inside = ops.sum(ops.cast(is_same & (weights > 0)[:, None, :], "int32"), -1)
    is_kept = (inside == size) | (chosen == chosen[:, :1])
    return weights * ops.cast(is_kept, "float32")
