"""Choosing the tokens that the generator has to predict, and replacing them.

Distinct positions are drawn anew at every step. The original's may be the same
(`pretrain/pretrain_helpers.py:188`): of 128 tokens it masks 17.7, not 19.
"""

import functools
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_electra.backend import replicas
from keras_electra.pretraining.sampling import SeededLayer
from keras_electra.pretraining.sampling import specs

# Of spans: lengths in words, geometric up to 10, 3.8 in the mean (SpanBERT,
# Joshi et al. 2020, section 3.1).
SPAN_STOP_RATE, MAX_SPAN = 0.2, 10
# Of the mean loss of a token, at each step: what stays of the old one.
MEMORY = 0.9


def fraction_range(mask_fraction: Any) -> Any:
    """The lowest and the highest share of a row that is predicted."""
    is_range = isinstance(mask_fraction, (tuple, list))
    return tuple(mask_fraction) if is_range else (mask_fraction,) * 2


def max_predictions(length: int, mask_fraction: Any) -> Any:
    """Prediction slots of a row of `length` tokens, at least 1.

    An int or int scalar (original `configure_pretraining.py:106`).
    """
    share = fraction_range(mask_fraction)[1] + 0.005
    if isinstance(length, int):
        return min(length, max(1, int(share * length)))
    # A graph for rows of any length. In float64, as Python counts.
    slots = ops.cast(share * ops.cast(length, "float64"), "int32")
    return ops.minimum(ops.cast(length, "int32"), ops.maximum(1, slots))


def count_predictions(num_tokens: int, mask_fraction: Any, limit: Any) -> Any:
    """Tokens to predict, from 1 to `limit`, for arrays `(batch,)` of tokens.

    Special ones count, as in the original (`pretrain/pretrain_helpers.py:173`).
    """
    wanted = ops.round(ops.cast(num_tokens, "float32") * mask_fraction)
    wanted = ops.maximum(ops.cast(wanted, "int32"), 1)
    return ops.minimum(wanted, limit)


def select_positions(keys, candidates, counts, limit, whole=False):
    """Picks the candidates `(batch, length)` of the largest keys in each row.

    Returns `positions`, int32, distinct in a row, and `weights`, float32, 1
    for a slot in use, `(batch, limit)`: `counts` of them, an array `(batch,)`.
    With `whole`, where the tokens of a word have one key, the last word is left
    out if it does not fit; but not the first: something has to be predicted.
    """
    keys = ops.where(candidates, keys, -1.0)
    if whole:  # the key after the last slot tells
        keys = ops.pad(keys, ((0, 0), (0, 1)), constant_values=-2.0)
    keys, positions = ops.top_k(keys, limit + int(whole))
    available = ops.sum(ops.cast(candidates, "int32"), axis=1)
    used = ops.minimum(counts, available)[:, None]
    slots = ops.arange(limit, dtype="int32")
    in_use = slots[None, :] < used
    if whole:
        following = ops.take_along_axis(keys, used, axis=1)
        keys, positions = keys[:, :limit], positions[:, :limit]
        in_use = in_use & ((keys != following) | (keys == keys[:, :1]))
    return ops.cast(positions, "int32"), ops.cast(in_use, "float32")


def number_words(continues: Any) -> Any:
    """Which word of its row a token is of, int32, by what goes on with one."""
    starts = 1 - ops.cast(continues, "int32")
    return ops.maximum(ops.cumsum(starts, axis=1) - 1, 0)


def span_lengths(uniform: Any) -> Any:
    """Numbers of words, int32, from 1 to `MAX_SPAN`, of numbers in `[0, 1)`."""
    rest = 1.0 - SPAN_STOP_RATE
    lengths = ops.log(1.0 - uniform * (1.0 - rest**MAX_SPAN)) / math.log(rest)
    return ops.minimum(ops.cast(lengths, "int32") + 1, MAX_SPAN)


def spread_keys(keys: Any, lengths: Any) -> Any:
    """Gives all words of a span its key: of several spans the largest.

    Both arrays are `(batch, words)`: a span begins at every word.
    """
    count, spread = ops.shape(keys)[1], keys
    for step in range(1, MAX_SPAN):
        starts = ops.where(lengths > step, keys, -1.0)
        starts = ops.pad(starts, ((0, 0), (step, 0)), constant_values=-1.0)
        spread = ops.maximum(spread, starts[:, :count])
    # Where a span does not fit, its first words are taken.
    return spread - 2e-7 * ops.arange(count, dtype="float32")


def find_candidates(token_ids, padding_mask, unselectable_token_ids):
    """Whether a token may be predicted, a bool array `(batch, length)`."""
    candidates = ops.cast(padding_mask, "bool")
    for token_id in unselectable_token_ids:
        candidates = candidates & (token_ids != token_id)
    return candidates


def replace_ids(ids: Any, positions: Any, new_ids: Any, weights: Any) -> Any:
    """Writes ids `(batch, num_positions)` to distinct positions of each row.

    Where the weight is 0, the id at that position stays.
    """
    rows, length = ops.shape(ids)[0], ops.shape(ids)[1]
    old_ids = ops.take_along_axis(ids, positions, axis=1)
    new_ids = ops.where(weights > 0, new_ids, old_ids)
    flat = ops.arange(rows, dtype="int32")[:, None] * length + positions
    replaced = ops.scatter_update(
        ops.reshape(ids, (-1,)),
        ops.reshape(flat, (-1, 1)),
        ops.reshape(ops.cast(new_ids, ids.dtype), (-1,)),
    )
    return ops.reshape(replaced, ops.shape(ids))


def mark(token_ids, positions, weights):
    """1 at positions whose weight is above 0, of the shape of `token_ids`."""
    return replace_ids(ops.zeros_like(token_ids), positions, 1, weights)


class MaskTokens(SeededLayer):
    """Masks a share of the tokens, and says which and what they were.

    Returns `token_ids` `(batch, length)` with the masks and, `(batch,
    positions)`, `mask_positions`, `mask_ids` (the original ids) and
    `mask_weights` (1 for a slot in use); of a range the drawn `mask_rate`
    `(batch,)`; with a `fill_fraction` below 1 `fill_weights`, also 0 for what
    stays masked. Arguments as of `ElectraPretrainer`; `vocabulary` is a
    function that gives its tokens, which words and spans are known by.
    """

    def __init__(
        self,
        mask_token_id,
        unselectable_token_ids,
        mask_fraction=0.15,
        mask_token_rate=0.85,
        random_token_rate=0.0,
        seed=None,
        fill_fraction=1.0,
        mask_targets_only=False,
        masking="token",
        vocabulary=None,
        vocabulary_size=None,
        **kwargs,
    ):
        super().__init__(seed, evaluation_seed=1, **kwargs)
        self.keep_arguments(locals())
        if masking == "hard":
            self.mean_losses = self.state((vocabulary_size,), "ones", "losses")

    def learn(self, mask_ids: Any, token_loss: Any, weights: Any) -> None:
        """Updates the running means of the losses of ids, for `"hard"`."""
        flat = ops.reshape(mask_ids, (-1,))
        loss, count = (
            ops.segment_sum(ops.reshape(x, (-1,)), flat, self.vocabulary_size)
            for x in (ops.stop_gradient(token_loss) * weights, weights)
        )
        loss, count = replicas.total(loss), replicas.total(count)
        old = ops.convert_to_tensor(self.mean_losses)
        new = MEMORY * old + (1.0 - MEMORY) * loss / ops.maximum(count, 1.0)
        self.mean_losses.assign(ops.where(count > 0, new, old))

    @functools.cached_property
    def continues(self):
        """Whether an id goes on with the word before, bools `(ids,)`."""
        # Not before it is needed: networks are opened before vocabularies.
        found = [token.startswith("##") for token in self.vocabulary()]
        if not any(found):
            raise ValueError(
                f"`masking={self.masking!r}` needs a tokenizer whose parts of "
                f'words begin with "##". Received one of {len(found)} tokens, '
                'none of which does. Take masking="token".'
            )
        return np.array(found)

    def _keys(self, token_ids, training):
        """Random numbers, of which the largest are masked, for all tokens."""
        keys = self.uniform(token_ids, training)
        if self.masking == "token":
            return keys
        if self.masking == "hard":
            # Drawn without replacement in proportion to these weights
            # (Efraimidis and Spirakis 2006).
            weights = ops.take(self.mean_losses, token_ids, axis=0)
            return ops.exp(ops.log(keys) / ops.maximum(weights, 1e-3))
        continues = ops.convert_to_tensor(self.continues)
        words = number_words(ops.take(continues, token_ids, axis=0))
        if self.masking == "span":
            lengths = span_lengths(self.uniform(token_ids, training))
            keys = spread_keys(keys, lengths)
        return ops.take_along_axis(keys, words, axis=1)

    def call(self, token_ids, padding_mask, segment_ids=None, training=None):
        limit = max_predictions(ops.shape(token_ids)[1], self.mask_fraction)
        given = token_ids, padding_mask, self.unselectable_token_ids
        candidates = find_candidates(*given)
        if self.mask_targets_only:
            is_source = segment_ids < ops.max(segment_ids, 1, keepdims=True)
            candidates = candidates & ~is_source
        keys = self._keys(token_ids, training)
        low, high = fraction_range(self.mask_fraction)
        counted, rate = padding_mask, low
        if low < high:  # of what can be masked, as all of it may have to be
            counted, spread = candidates, high - low
            rate = low + spread * self.uniform(token_ids[:, 0], training)
        num_tokens = ops.sum(ops.cast(counted, "int32"), axis=1)
        counts = count_predictions(num_tokens, rate, limit)
        given = keys, candidates, counts, limit
        is_whole = self.masking in ("word", "span")
        positions, weights = select_positions(*given, is_whole)
        mask_ids = ops.take_along_axis(token_ids, positions, axis=1)
        shown, new_ids = self.uniform(positions, training), mask_ids
        if self.random_token_rate:
            # Those of the row before, or of another position of one row.
            others, used = (
                replicas.own(ops.roll(replicas.gathered(x), (1, 1), (0, 1)))
                for x in (mask_ids, weights)
            )
            is_random = (used > 0) & (shown >= 1.0 - self.random_token_rate)
            new_ids = ops.where(is_random, others, new_ids)
        is_hidden = shown < self.mask_token_rate
        new_ids = ops.where(is_hidden, self.mask_token_id, new_ids)
        outputs = {
            "token_ids": replace_ids(token_ids, positions, new_ids, weights),
            "mask_positions": positions,
            "mask_ids": mask_ids,
            "mask_weights": weights,
        }
        if low < high:
            outputs["mask_rate"] = rate
        if self.fill_fraction < 1:
            # Positions come in random order: the first ones are filled.
            share = 2.0 * self.uniform(token_ids[:, :1], training)
            share = self.fill_fraction + (1.0 - self.fill_fraction) * share
            most = ops.ceil(share * ops.sum(weights, axis=1, keepdims=True))
            filled = ops.cumsum(weights, axis=1) <= most
            outputs["fill_weights"] = weights * ops.cast(filled, "float32")
        return outputs

    def compute_output_spec(
        self, token_ids, padding_mask, segment_ids=None, training=None
    ):
        batch, length = token_ids.shape
        slots = (batch, length and max_predictions(length, self.mask_fraction))
        low, high = fraction_range(self.mask_fraction)
        weights = ["mask_weights", *["fill_weights"] * (self.fill_fraction < 1)]
        return {
            **specs(token_ids.shape, "token_ids"),
            **specs(slots, "mask_positions", "mask_ids"),
            **specs(slots, *weights, dtype="float32"),
            **specs((batch,), *["mask_rate"] * (low < high), dtype="float32"),
        }


class ReplaceTokens(keras.layers.Layer):
    """Puts the drawn tokens into the text, and says which are new.

    A draw that hits the right token leaves it original (paper, section 2);
    `counts_all`, as Electric does, makes it a replacement, too. What is not
    replaced is as in `shown_ids`, by default as it was. Returns `token_ids` and
    `replaced`, 1 for what is new, `(batch, length)`.
    """

    def __init__(self, counts_all=False, **kwargs):
        super().__init__(**kwargs)
        self.counts_all = counts_all

    def call(
        self, token_ids, mask_positions, sampled_ids, weights, shown_ids=None
    ):
        shown_ids = token_ids if shown_ids is None else shown_ids
        slots = mask_positions, sampled_ids, weights
        new_ids = replace_ids(shown_ids, *slots)
        replaced = ops.cast(new_ids != token_ids, "int32")
        if self.counts_all:
            replaced = mark(token_ids, mask_positions, weights)
        return {"token_ids": new_ids, "replaced": replaced}

    def compute_output_spec(self, token_ids: Any, *others: Any) -> Any:
        return specs(token_ids.shape, "token_ids", "replaced")
