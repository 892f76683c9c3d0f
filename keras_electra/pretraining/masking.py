"""Choosing the tokens that the generator has to predict, and replacing them.

Distinct positions are drawn anew at every step. The original's may be the same
(`pretrain/pretrain_helpers.py:188`): of 128 tokens it masks 17.7, not 19.
"""

import functools
from typing import Any

import keras
from keras import ops

from keras_electra.backend import replicas
from keras_electra.model.layers import ConfiguredLayer
from keras_electra.pretraining import spans

SEED_KEY = "seed_generator_state"
MASKINGS = ("token", "word", "span", "hard")
# Running means keep this share of what they were at each step.
MEMORY = 0.9


class SeededLayer(ConfiguredLayer):
    """A layer that draws: by `seed` in training, always alike in evaluation.

    It saves the state of its seed, as Keras does not. Draws differ between
    backends, and on TensorFlow between XLA and the plain graph.
    """

    def __init__(self, seed: Any, evaluation_seed: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.evaluation = keras.random.SeedGenerator(evaluation_seed)
        self._start = ops.convert_to_numpy(self.evaluation.state.value)
        self.built = True

    def uniform(self, like: Any, training: bool | None) -> Any:
        """float32 numbers in `[0, 1)`, of the shape of an array."""
        seed = self.seed_generator if training else self.evaluation
        draw = functools.partial(
            keras.random.uniform, dtype="float32", seed=seed
        )
        return replicas.own_draws(draw, like)

    def state(self, shape: Any, initializer: Any, name: str) -> Any:
        """A float32 weight that steps of training change, alike everywhere."""
        return self.add_weight(
            shape,
            initializer,
            dtype="float32",
            autocast=False,
            trainable=False,
            aggregation="only_first_replica",
            name=name,
        )

    def restart_evaluation(self) -> None:
        """Lets the next evaluation draw what the first one drew."""
        self.evaluation.state.assign(self._start)

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        state = self.seed_generator.state.value
        store[SEED_KEY] = ops.convert_to_numpy(state)

    def load_own_variables(self, store: Any) -> None:
        self.seed_generator.state.assign(store[SEED_KEY][()])
        for i, variable in enumerate(self._non_trainable_variables):
            variable.assign(store[str(i)][()])


def specs(shape: Any, *names: Any, dtype: Any = "int32") -> dict[str, Any]:
    """Symbolic arrays of one shape, by name."""
    return {name: keras.KerasTensor(shape, dtype) for name in names}


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


def select_positions(keys, candidates, counts, limit):
    """Picks the candidates `(batch, length)` of the largest keys in each row.

    Returns `positions`, int32, distinct in a row, and `weights`, float32, 1
    for a slot in use, `(batch, limit)`: `counts` of them, an array `(batch,)`.
    """
    keys = ops.where(candidates, keys, -1.0)
    _, positions = ops.top_k(keys, limit)  # (B, P)
    available = ops.sum(ops.cast(candidates, "int32"), axis=1)
    used = ops.minimum(counts, available)
    slots = ops.arange(limit, dtype="int32")
    weights = ops.cast(slots[None, :] < used[:, None], "float32")
    return ops.cast(positions, "int32"), weights


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


class MaskTokens(SeededLayer):
    """Masks a share of the tokens, and says which and what they were.

    Returns `token_ids` `(batch, length)` with the masks and, `(batch,
    positions)`, `mask_positions`, `mask_ids` (the original ids) and
    `mask_weights` (1 for a slot in use); of a range the drawn `mask_rate`
    `(batch,)`; with a `fill_fraction` below 1 `fill_weights`, also 0 for what
    stays masked. Arguments as of `ElectraPretrainer`.
    """

    def __init__(
        self,
        mask_token_id: int,
        unselectable_token_ids: Any,
        mask_fraction: Any = 0.15,
        mask_token_rate: float = 0.85,
        random_token_rate: float = 0.0,
        seed: Any = None,
        fill_fraction: float = 1.0,
        mask_targets_only: bool = False,
        masking: Any = "token",
        continues: Any = None,
        **kwargs: Any,
    ):
        super().__init__(seed, evaluation_seed=1, **kwargs)
        self.keep_arguments(locals())
        if masking == "hard":
            self.losses_of_ids = self.state(continues.shape, "ones", "losses")

    def learn(self, mask_ids: Any, token_loss: Any, weights: Any) -> None:
        """Updates the running mean of the loss of each id."""
        flat = ops.reshape(mask_ids, (-1,))
        size = self.continues.shape[0]
        loss, count = (
            replicas.total(ops.segment_sum(ops.reshape(x, (-1,)), flat, size))
            for x in (ops.stop_gradient(token_loss) * weights, weights)
        )
        old = self.losses_of_ids
        new = MEMORY * old + (1 - MEMORY) * loss / ops.maximum(count, 1.0)
        self.losses_of_ids.assign(ops.where(count > 0, new, old))

    def _keys(self, token_ids, training):
        """Random numbers below 1, and the words of tokens if they matter."""
        keys = self.uniform(token_ids, training)
        if self.masking == "token":
            return keys, None
        if self.masking == "hard":
            # Drawn without replacement in proportion to these weights
            # (Efraimidis and Spirakis 2006).
            weights = ops.take(self.losses_of_ids, token_ids, axis=0)
            return ops.exp(ops.log(keys) / ops.maximum(weights, 1e-3)), None
        continues = ops.convert_to_tensor(self.continues)
        words = spans.number_words(ops.take(continues, token_ids, axis=0))
        if self.masking == "span":
            lengths = spans.span_lengths(self.uniform(token_ids, training))
            # Where a span does not fit, its first words are taken.
            order = 2e-7 * ops.cast(ops.arange(ops.shape(keys)[1]), "float32")
            keys = spans.spread_keys(keys, lengths) - order
        return ops.take_along_axis(keys, words, axis=1), words

    def call(self, token_ids, padding_mask, segment_ids=None, training=None):
        limit = max_predictions(ops.shape(token_ids)[1], self.mask_fraction)
        given = token_ids, padding_mask, self.unselectable_token_ids
        candidates = find_candidates(*given)
        if self.mask_targets_only:
            is_source = segment_ids < ops.max(segment_ids, 1, keepdims=True)
            candidates = candidates & ~is_source
        keys, words = self._keys(token_ids, training)
        low, high = fraction_range(self.mask_fraction)
        counted, rate = padding_mask, low
        if low < high:  # of what can be masked, as all of it may have to be
            counted, spread = candidates, high - low
            rate = low + spread * self.uniform(token_ids[:, 0], training)
        num_tokens = ops.sum(ops.cast(counted, "int32"), axis=1)
        counts = count_predictions(num_tokens, rate, limit)
        positions, weights = select_positions(keys, candidates, counts, limit)
        if words is not None:
            given = words, candidates, positions, weights
            weights = spans.keep_whole_words(*given)
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

    A draw that hits the right token leaves it original (paper, section 2).
    Returns `token_ids` and `replaced`, 1 where they differ, `(batch, length)`.
    What is not replaced is as in `shown_ids`, by default as it was. Of the
    `objective` `"masked_detection"` also `masked`, 1 where something was drawn;
    of `"electric"` all that counts as replaced.
    """

    def __init__(self, objective: Any = "detection", **kwargs: Any):
        super().__init__(**kwargs)
        self.objective = objective

    def call(
        self, token_ids, mask_positions, sampled_ids, weights, shown_ids=None
    ):
        shown_ids = token_ids if shown_ids is None else shown_ids
        slots = mask_positions, sampled_ids, weights
        new_ids = replace_ids(shown_ids, *slots)
        replaced = ops.cast(new_ids != token_ids, "int32")
        outputs = {"token_ids": new_ids, "replaced": replaced}
        if self.objective in ("masked_detection", "electric"):
            slots = mask_positions, ops.ones_like(sampled_ids), weights
            masked = replace_ids(ops.zeros_like(token_ids), *slots)
            is_all = self.objective == "electric"
            outputs["replaced" if is_all else "masked"] = masked
        return outputs

    def compute_output_spec(self, token_ids: Any, *others: Any) -> Any:
        more = ["masked"] * (self.objective == "masked_detection")
        return specs(token_ids.shape, "token_ids", "replaced", *more)
