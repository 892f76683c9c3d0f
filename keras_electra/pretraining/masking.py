"""Choosing the tokens that the generator has to predict.

A fixed number of distinct positions a row is drawn anew at every step, on the
device. The original draws with replacement (`pretrain/pretrain_helpers.py`,
line 188), so that a row of 128 masks 17.7 tokens on average where 19 were
asked for, and averages the ids of a position that was drawn twice; here every
position is drawn once. How many are drawn, and the share of them that is shown
as it is, are the original's.

Shapes: B batch, L length, P predicted positions.
"""

import keras
from keras import ops

from keras_electra.pretraining.seeds import evaluation_seed
from keras_electra.pretraining.seeds import load_seed
from keras_electra.pretraining.seeds import save_seed


def max_predictions(length, mask_fraction):
    """Number of prediction slots of a row.

    Args:
        length: int, or an int scalar. Length of the row, in tokens.
        mask_fraction: float. Share of the tokens to predict.

    Returns:
        The like of `length`, at least 1:
        `int((mask_fraction + 0.005) * length)` (original
        `configure_pretraining.py:106`).
    """
    if isinstance(length, int):
        return max(1, int((mask_fraction + 0.005) * length))
    # A graph for rows of any length. In float64, as Python counts.
    slots = (mask_fraction + 0.005) * ops.cast(length, "float64")
    return ops.maximum(1, ops.cast(slots, "int32"))


def count_predictions(num_tokens, mask_fraction, limit):
    """Number of tokens to predict in rows with padding.

    Args:
        num_tokens: int array of shape `(batch,)`. Tokens that are not
            padding; special tokens count, as in the original
            (`pretrain/pretrain_helpers.py:173`).
        mask_fraction: float. Share of the tokens to predict.
        limit: int. Number of slots a row has.

    Returns:
        int32 array of shape `(batch,)` of values from 1 to `limit`.
    """
    wanted = ops.round(ops.cast(num_tokens, "float32") * mask_fraction)
    wanted = ops.maximum(ops.cast(wanted, "int32"), 1)
    return ops.minimum(wanted, limit)


def select_positions(keys, candidates, counts, limit):
    """Picks the candidates with the largest keys.

    Args:
        keys: float array of shape `(batch, length)`, in `[0, 1)`.
        candidates: bool array of shape `(batch, length)`.
        counts: int array of shape `(batch,)`. Positions wanted in each row.
        limit: int. Number of slots a row has.

    Returns:
        `positions`, int32, and `weights`, float32, of shape `(batch, limit)`.
        The positions of a row are distinct. Weight 1 marks a slot in use; a
        row with fewer candidates than wanted leaves slots unused.
    """
    keys = ops.where(candidates, keys, -1.0)
    _, positions = ops.top_k(keys, limit)  # (B, P)
    available = ops.sum(ops.cast(candidates, "int32"), axis=1)
    used = ops.minimum(counts, available)
    slots = ops.arange(limit, dtype="int32")
    weights = ops.cast(slots[None, :] < used[:, None], "float32")
    return ops.cast(positions, "int32"), weights


def gather_ids(ids, positions):
    """Reads `(batch, length)` ids at `(batch, num_positions)` positions."""
    return ops.take_along_axis(ids, positions, axis=1)


def replace_ids(ids, positions, new_ids, weights):
    """Writes ids to positions of each row.

    Args:
        ids: int array of shape `(batch, length)`.
        positions: int array of shape `(batch, num_positions)`, distinct
            within a row.
        new_ids: int array of shape `(batch, num_positions)`.
        weights: array of shape `(batch, num_positions)`. Where 0, the id at
            that position stays.

    Returns:
        int array of shape `(batch, length)`.
    """
    rows, length = ops.shape(ids)[0], ops.shape(ids)[1]
    new_ids = ops.where(weights > 0, new_ids, gather_ids(ids, positions))
    flat = ops.arange(rows, dtype="int32")[:, None] * length + positions
    replaced = ops.scatter_update(
        ops.reshape(ids, (-1,)),
        ops.reshape(flat, (-1, 1)),
        ops.reshape(ops.cast(new_ids, ids.dtype), (-1,)),
    )
    return ops.reshape(replaced, ops.shape(ids))


def exchange_ids(ids, weights):
    """Ids that were selected at another place of the batch.

    Args:
        ids: int array of shape `(batch, num_positions)`.
        weights: array of the same shape. Ids where it is 0 go nowhere.

    Returns:
        int array of shape `(batch, num_positions)`: from the row before, and
        in a batch of one from another position of the row. A place whose
        turn is an id of weight 0 keeps its own.
    """
    others, used = (
        ops.roll(ops.roll(x, 1, axis=0), 1, axis=1) for x in (ids, weights)
    )
    return ops.where(used > 0, others, ids)


@keras.saving.register_keras_serializable(package="keras_electra")
class MaskTokens(keras.layers.Layer):
    """Masks a share of the tokens, and says which and what they were.

    Args:
        mask_token_id: int. Id of [MASK].
        unselectable_token_ids: list of ints. Ids that are never predicted:
            the special tokens.
        mask_fraction: float. Share of the tokens to predict. Defaults to
            `0.15` (paper, table 6: 0.15 for small and base, 0.25 for large).
        mask_token_rate: float. Share of the selected tokens that become
            [MASK]. Defaults to `0.85` (original
            `pretrain/pretrain_helpers.py:201`).
        random_token_rate: float. Share of the selected tokens that become a
            token that was selected in another row, so that common tokens
            come often. What is left stays as it is. Defaults to `0.0`.
        seed: int or `None`. Seed of the draws.
        **kwargs: `name`, `dtype` and the like of `keras.layers.Layer`.

    Call arguments:
        token_ids: int array of shape `(batch, length)`.
        padding_mask: int array of shape `(batch, length)`.

    Returns:
        A dict: `token_ids` of shape `(batch, length)` with the masks,
        and `mask_positions`, `mask_ids` (the original ids), `mask_weights`
        (1 for a slot in use) of shape `(batch, positions)`.
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
        super().__init__(**kwargs)
        self.mask_token_id = mask_token_id
        self.unselectable_token_ids = sorted(unselectable_token_ids)
        self.mask_fraction = mask_fraction
        self.mask_token_rate = mask_token_rate
        self.random_token_rate = random_token_rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.evaluation_seed_generator = evaluation_seed(1)
        self.built = True

    def call(self, token_ids, padding_mask, training=None):
        length = ops.shape(token_ids)[1]
        if length is None:
            raise ValueError(
                "`token_ids` must have a known length to be masked. Received "
                f"shape {token_ids.shape}. Pad all batches to one length."
            )
        seed = (
            self.seed_generator if training else self.evaluation_seed_generator
        )
        limit = max_predictions(length, self.mask_fraction)
        candidates = ops.cast(padding_mask, "bool")
        for token_id in self.unselectable_token_ids:
            candidates = ops.logical_and(candidates, token_ids != token_id)
        keys = keras.random.uniform(
            ops.shape(token_ids), dtype="float32", seed=seed
        )
        num_tokens = ops.sum(ops.cast(padding_mask, "int32"), axis=1)
        counts = count_predictions(num_tokens, self.mask_fraction, limit)
        positions, weights = select_positions(keys, candidates, counts, limit)
        mask_ids = gather_ids(token_ids, positions)
        shown = keras.random.uniform(
            ops.shape(positions), dtype="float32", seed=seed
        )
        new_ids = mask_ids
        if self.random_token_rate:
            above = shown >= 1.0 - self.random_token_rate
            new_ids = ops.where(
                above, exchange_ids(mask_ids, weights), mask_ids
            )
        new_ids = ops.where(
            shown < self.mask_token_rate, self.mask_token_id, new_ids
        )
        return {
            "token_ids": replace_ids(token_ids, positions, new_ids, weights),
            "mask_positions": positions,
            "mask_ids": mask_ids,
            "mask_weights": weights,
        }

    def compute_output_spec(self, token_ids, padding_mask, training=None):
        batch, length = token_ids.shape
        slots = length and max_predictions(length, self.mask_fraction)
        slots_shape = (batch, slots)
        return {
            "token_ids": keras.KerasTensor(token_ids.shape, dtype="int32"),
            "mask_positions": keras.KerasTensor(slots_shape, dtype="int32"),
            "mask_ids": keras.KerasTensor(slots_shape, dtype="int32"),
            "mask_weights": keras.KerasTensor(slots_shape, dtype="float32"),
        }

    def save_own_variables(self, store):
        super().save_own_variables(store)
        save_seed(self.seed_generator, store)

    def load_own_variables(self, store):
        load_seed(self.seed_generator, store)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "mask_token_id": self.mask_token_id,
                "unselectable_token_ids": self.unselectable_token_ids,
                "mask_fraction": self.mask_fraction,
                "mask_token_rate": self.mask_token_rate,
                "random_token_rate": self.random_token_rate,
                "seed": self.seed,
            }
        )
        return config
