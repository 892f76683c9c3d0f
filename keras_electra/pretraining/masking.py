"""Choosing the tokens that the generator has to predict, and replacing them.

Distinct positions are drawn anew at every step. The original's may be the same
(`pretrain/pretrain_helpers.py:188`): of 128 tokens it masks 17.7, not 19.
"""

import keras
from keras import ops

from keras_electra.backend import replicas
from keras_electra.model.layers import ConfiguredLayer

SEED_KEY = "seed_generator_state"


class SeededLayer(ConfiguredLayer):
    """A layer that draws: by `seed` in training, always alike in evaluation.

    It saves the state of its seed, as Keras does not. Draws differ between
    backends, and on TensorFlow between XLA and the plain graph.
    """

    def __init__(self, seed, evaluation_seed, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.evaluation = keras.random.SeedGenerator(evaluation_seed)
        self._start = ops.convert_to_numpy(self.evaluation.state.value)
        self.built = True

    def uniform(self, like, training):
        """float32 numbers in `[0, 1)`, of the shape of an array."""
        seed = self.seed_generator if training else self.evaluation
        shape = replicas.whole_shape(like)
        draws = keras.random.uniform(shape, dtype="float32", seed=seed)
        return replicas.own(draws)

    def restart_evaluation(self):
        """Lets the next evaluation draw what the first one drew."""
        self.evaluation.state.assign(self._start)

    def save_own_variables(self, store):
        super().save_own_variables(store)
        state = self.seed_generator.state.value
        store[SEED_KEY] = ops.convert_to_numpy(state)

    def load_own_variables(self, store):
        self.seed_generator.state.assign(store[SEED_KEY][()])


def specs(shape, *names, dtype="int32"):
    """Symbolic arrays of one shape, by name."""
    return {name: keras.KerasTensor(shape, dtype) for name in names}


def max_predictions(length, mask_fraction):
    """Prediction slots of a row of `length` tokens, at least 1.

    An int or int scalar (original `configure_pretraining.py:106`).
    """
    if isinstance(length, int):
        return max(1, int((mask_fraction + 0.005) * length))
    # A graph for rows of any length. In float64, as Python counts.
    slots = (mask_fraction + 0.005) * ops.cast(length, "float64")
    return ops.maximum(1, ops.cast(slots, "int32"))


def count_predictions(num_tokens, mask_fraction, limit):
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


def replace_ids(ids, positions, new_ids, weights):
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
    `mask_weights` (1 for a slot in use). Arguments as of `ElectraPretrainer`.
    """

    def __init__(
        self,
        mask_token_id,
        unselectable_token_ids,
        mask_fraction=0.15,
        mask_token_rate=0.85,
        random_token_rate=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed, evaluation_seed=1, **kwargs)
        self.keep_arguments(locals())

    def call(self, token_ids, padding_mask, training=None):
        limit = max_predictions(ops.shape(token_ids)[1], self.mask_fraction)
        candidates = ops.cast(padding_mask, "bool")
        for token_id in self.unselectable_token_ids:
            candidates = candidates & (token_ids != token_id)
        keys = self.uniform(token_ids, training)
        num_tokens = ops.sum(ops.cast(padding_mask, "int32"), axis=1)
        counts = count_predictions(num_tokens, self.mask_fraction, limit)
        positions, weights = select_positions(keys, candidates, counts, limit)
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
        return {
            "token_ids": replace_ids(token_ids, positions, new_ids, weights),
            "mask_positions": positions,
            "mask_ids": mask_ids,
            "mask_weights": weights,
        }

    def compute_output_spec(self, token_ids, padding_mask, training=None):
        batch, length = token_ids.shape
        slots = (batch, length and max_predictions(length, self.mask_fraction))
        return {
            **specs(token_ids.shape, "token_ids"),
            **specs(slots, "mask_positions", "mask_ids"),
            **specs(slots, "mask_weights", dtype="float32"),
        }


class ReplaceTokens(keras.layers.Layer):
    """Puts the drawn tokens into the text, and says which are new.

    A draw that hits the right token leaves it original (paper, section 2).
    Returns `token_ids` and `replaced`, 1 where they differ, `(batch, length)`.
    """

    def call(self, token_ids, mask_positions, sampled_ids, mask_weights):
        slots = mask_positions, sampled_ids, mask_weights
        new_ids = replace_ids(token_ids, *slots)
        replaced = ops.cast(new_ids != token_ids, "int32")
        return {"token_ids": new_ids, "replaced": replaced}

    def compute_output_spec(self, token_ids, *others):
        return specs(token_ids.shape, "token_ids", "replaced")
