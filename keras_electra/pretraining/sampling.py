"""Drawing the replacements from what the generator predicts.

One uniform number a position is turned into a token by inverting the
cumulative distribution, in two steps of about the square root of the
vocabulary: first a block of tokens, then a token within it. The draw is exact
up to float32 rounding of the sums, like a Gumbel draw, which needs a random
number and two logarithms for every token of the vocabulary instead.

Shapes: B batch, P predicted positions, V vocabulary, N blocks, W block width.
"""

import keras
from keras import ops

from keras_electra.pretraining import losses
from keras_electra.pretraining.seeds import evaluation_seed
from keras_electra.pretraining.seeds import load_seed
from keras_electra.pretraining.seeds import save_seed

BLOCK_WIDTH = 256


def adjust_logits(logits, temperature=1.0, forbidden_ids=None):
    """Scores to draw from: float32, with temperature, without some ids.

    Args:
        logits: array of shape `(..., vocabulary_size)`.
        temperature: float. Divides the scores. Defaults to `1.0`.
        forbidden_ids: int array of shape `(...,)` or `None`. One id a
            position that must not be drawn.

    Returns:
        float32 array of shape `(..., vocabulary_size)`.
    """
    logits = ops.cast(logits, "float32") / temperature
    if forbidden_ids is None:
        return logits
    ids = ops.arange(logits.shape[-1], dtype="int32")
    forbidden = ids == ops.expand_dims(ops.cast(forbidden_ids, "int32"), -1)
    # The original's 1000 (`pretrain/pretrain_helpers.py:222`).
    return logits - 1000.0 * ops.cast(forbidden, "float32")


def sample_tokens(shares, uniform):
    """Draws one id a position by inverting the cumulative distribution.

    Args:
        shares: float32 array of shape `(..., vocabulary_size)`, at least 0.
            Probabilities, or their multiples: only ratios count.
        uniform: float32 array of shape `(...,)`, in `[0, 1)`.

    Returns:
        int32 array of shape `(...,)`.
    """
    vocabulary_size, shape = shares.shape[-1], ops.shape(uniform)
    blocks = -(-vocabulary_size // BLOCK_WIDTH)
    padding = blocks * BLOCK_WIDTH - vocabulary_size
    if padding:
        shares = ops.reshape(shares, (-1, vocabulary_size))
        shares = ops.pad(shares, ((0, 0), (0, padding)))
    shares = ops.reshape(shares, (-1, blocks, BLOCK_WIDTH))
    ends = ops.cumsum(ops.sum(shares, axis=-1), axis=-1)  # (BP, N)
    target = ops.reshape(uniform, (-1, 1)) * ends[:, -1:]
    block = _first_above(ends, target)  # (BP, 1)
    starts = ops.pad(ends, ((0, 0), (1, 0)))
    target = target - ops.take_along_axis(starts, block, axis=1)
    # One axis of all blocks: some backends turn the array round otherwise.
    rows = ops.arange(ops.shape(block)[0], dtype="int32")[:, None]
    within = ops.take(
        ops.reshape(shares, (-1, BLOCK_WIDTH)),
        ops.squeeze(rows * blocks + block, axis=1),
        axis=0,
    )  # (BP, W)
    ends = ops.cumsum(within, axis=-1)
    ids = block * BLOCK_WIDTH + _first_above(ends, target)
    return ops.reshape(ids, shape)


def _first_above(ends, target):
    """Index of the first cumulative sum above the target.

    Rounding can put the target at the last sum; then it is the last index
    with any probability.
    """
    below = ops.sum(ops.cast(ends <= target, "int32"), -1, keepdims=True)
    last = ops.sum(ops.cast(ends < ends[:, -1:], "int32"), -1, keepdims=True)
    return ops.minimum(below, last)


@keras.saving.register_keras_serializable(package="keras_electra")
class SampleTokens(keras.layers.Layer):
    """Reads everything that is needed from the logits of the generator.

    Loss, best guess and draw come from one place, so that the logits, the
    largest array of the whole step, need not leave it.

    Args:
        temperature: float. Temperature of the draw. Defaults to `1.0`.
        forbid_correct: bool. Whether the right token is never drawn. Defaults
            to `False`.
        seed: int or `None`. Seed of the draws.
        **kwargs: `name` and the like of `keras.layers.Layer`. Computes in
            float32 whatever the policy.

    Call arguments:
        logits: array of shape `(batch, positions, vocabulary_size)`.
        mask_ids: int array of shape `(batch, positions)`, the right ids.

    Returns:
        A dict of arrays of shape `(batch, positions)`: `token_loss` (float32,
        nats), `predicted_ids` (most probable) and `sampled_ids`.
    """

    def __init__(
        self, temperature=1.0, forbid_correct=False, seed=None, **kwargs
    ):
        # float32: sampling and losses in half precision favour some tokens.
        kwargs["dtype"] = "float32"
        super().__init__(autocast=False, **kwargs)  # cast where it is cheap
        self.temperature = temperature
        self.forbid_correct = forbid_correct
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.evaluation_seed_generator = evaluation_seed(2)
        self.built = True

    def call(self, logits, mask_ids, training=None):
        seed = (
            self.seed_generator if training else self.evaluation_seed_generator
        )
        uniform = keras.random.uniform(
            ops.shape(mask_ids), dtype="float32", seed=seed
        )
        if self._runs_by_rows(logits):
            from keras_electra.backend import torch_vocabulary

            loss, best, ids = torch_vocabulary.predict(
                logits, mask_ids, uniform, sample_tokens, BLOCK_WIDTH
            )
            return self._outputs(loss, best, ids)
        logits = ops.cast(logits, "float32")
        shares, top, best = losses.exponentials(logits)
        token_loss = losses.token_prediction_loss(logits, mask_ids, shares, top)
        if self.temperature != 1.0 or self.forbid_correct:
            scores = adjust_logits(
                logits,
                self.temperature,
                mask_ids if self.forbid_correct else None,
            )
            shares, _, _ = losses.exponentials(scores)
        ids = sample_tokens(ops.stop_gradient(shares), uniform)
        return self._outputs(token_loss, best, ids)

    def _runs_by_rows(self, logits):
        if keras.config.backend() != "torch":
            return False
        from keras_electra.backend import torch_vocabulary

        plain_draw = self.temperature == 1.0 and not self.forbid_correct
        return plain_draw and torch_vocabulary.can_run(logits)

    def _outputs(self, token_loss, predicted_ids, sampled_ids):
        return {
            "token_loss": token_loss,
            "predicted_ids": predicted_ids,
            "sampled_ids": sampled_ids,
        }

    def compute_output_spec(self, logits, mask_ids, training=None):
        return {
            "token_loss": keras.KerasTensor(mask_ids.shape, dtype="float32"),
            "predicted_ids": keras.KerasTensor(mask_ids.shape, dtype="int32"),
            "sampled_ids": keras.KerasTensor(mask_ids.shape, dtype="int32"),
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
                "temperature": self.temperature,
                "forbid_correct": self.forbid_correct,
                "seed": self.seed,
            }
        )
        return config
