"""Drawing the replacements from what the generator predicts.

One uniform number a position becomes a token by inverting cumulative sums: a
block of tokens, then one of it. It is as exact as a Gumbel draw, which needs a
random number and two logarithms for every token of the vocabulary.
"""

import functools
from typing import Any

import keras
from keras import ops

from keras_electra.backend import numerics
from keras_electra.backend import replicas
from keras_electra.model.layers import ConfiguredLayer
from keras_electra.pretraining import losses

if keras.config.backend() == "torch":
    from keras_electra.backend import torch_operations
else:
    torch_operations = None
BLOCK_WIDTH = 256
SEED_KEY = "seed_generator_state"


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
        kind = {"dtype": "float32", "autocast": False, "trainable": False}
        kind["aggregation"] = "only_first_replica"
        return self.add_weight(shape, initializer, name=name, **kind)

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


def adjust_logits(logits, temperature=1.0, disallowed_ids=None):
    """Scores to draw from, float32, of the shape of `logits`.

    `disallowed_ids`, an int array `(...,)`, or `None`, must not be drawn.
    """
    logits = ops.cast(logits, "float32") / temperature
    if disallowed_ids is None:
        return logits
    ids = ops.arange(logits.shape[-1], dtype="int32")
    disallowed = ids == ops.expand_dims(ops.cast(disallowed_ids, "int32"), -1)
    # The original's 1000 (`pretrain/pretrain_helpers.py:222`).
    return logits - 1000.0 * ops.cast(disallowed, "float32")


def sample_tokens(unnormalized: Any, uniform: Any) -> Any:
    """Draws one id a position, an int32 array `(...,)`.

    Takes float32 multiples of probabilities, and `uniform` in `[0, 1)`.
    """
    # Shapes: R rows (positions of all examples), N blocks, W block width.
    vocabulary_size = unnormalized.shape[-1]
    parts = ops.reshape(unnormalized, (-1, vocabulary_size))
    blocks = -(-vocabulary_size // BLOCK_WIDTH)
    padding = blocks * BLOCK_WIDTH - vocabulary_size
    if padding:
        parts = ops.pad(parts, ((0, 0), (0, padding)))
    parts = ops.reshape(parts, (-1, blocks, BLOCK_WIDTH))
    ends = ops.cumsum(ops.sum(parts, axis=-1), axis=-1)  # (R, N)
    target = ops.reshape(uniform, (-1, 1)) * ends[:, -1:]
    block = _first_above(ends, target)  # (R, 1)
    starts = ops.pad(ends, ((0, 0), (1, 0)))
    target = target - ops.take_along_axis(starts, block, axis=1)
    # One axis of all blocks: some backends turn the array round otherwise.
    rows = ops.arange(ops.shape(block)[0], dtype="int32")[:, None]
    within = ops.take(
        ops.reshape(parts, (-1, BLOCK_WIDTH)),
        ops.squeeze(rows * blocks + block, axis=1),
        axis=0,
    )  # (R, W)
    ends = ops.cumsum(within, axis=-1)
    ids = block * BLOCK_WIDTH + _first_above(ends, target)
    return ops.reshape(ids, ops.shape(uniform))


def _first_above(ends, target):
    """Index of the first cumulative sum above the target."""
    # Where rounding puts it at the last sum: the last of any probability.
    below = ops.sum(ops.cast(ends <= target, "int32"), -1, keepdims=True)
    last = ops.sum(ops.cast(ends < ends[:, -1:], "int32"), -1, keepdims=True)
    return ops.minimum(below, last)


class SampleTokens(SeededLayer):
    """Loss, best guess and draw from the logits, the largest array of a step.

    Takes logits `(batch, positions, vocabulary_size)` and the right ids.
    Returns a dict of arrays `(batch, positions)`: `token_loss` (float32, nats),
    `predicted_ids` (most probable) and `sampled_ids`. A `temperature` may be a
    schedule, of the steps of training, in which `learn(mask_ids, token_loss,
    weights)` is called, if there is one.
    """

    def __init__(
        self,
        temperature=1.0,
        disallow_correct=False,
        seed=None,
        learn=None,
        **kwargs,
    ):
        # Half precision favours some tokens; cast where it is cheap.
        kwargs.update(dtype="float32", autocast=False)
        super().__init__(seed, evaluation_seed=2, **kwargs)
        self.keep_arguments(locals())
        self.fused = numerics.on_accelerator()
        if callable(temperature):
            self.steps = self.state((), "zeros", "steps")

    def call(self, logits, mask_ids, weights=None, training=None):
        uniform = self.uniform(mask_ids, training)
        temperature = self.temperature
        if callable(temperature):
            temperature = temperature(self.steps.value)
            if training:
                self.steps.assign(self.steps + 1.0)
        plain = self.temperature == 1.0 and not self.disallow_correct
        if plain and torch_operations and torch_operations.can_predict(logits):
            loss, best, ids = torch_operations.predict(
                logits, mask_ids, uniform, sample_tokens, BLOCK_WIDTH
            )
        else:

            def judge(logits):
                logits = ops.cast(logits, "float32")
                shares, top, best = losses.exponentials(logits)
                given = logits, mask_ids, shares, top
                return losses.token_prediction_loss(*given), shares, best

            judge = numerics.recomputed(judge, self.fused)
            loss, shares, best = judge(logits)
            if not plain:
                ids = mask_ids if self.disallow_correct else None
                scores = adjust_logits(logits, temperature, ids)
                shares, _, _ = losses.exponentials(scores)
            ids = sample_tokens(ops.stop_gradient(shares), uniform)
        if training and self.learn is not None:
            self.learn(mask_ids, loss, weights)
        return {"token_loss": loss, "predicted_ids": best, "sampled_ids": ids}

    def compute_output_spec(
        self, logits, mask_ids, weights=None, training=None
    ):
        return {
            **specs(mask_ids.shape, "token_loss", dtype="float32"),
            **specs(mask_ids.shape, "predicted_ids", "sampled_ids"),
        }


class UniformLogits(keras.layers.Layer):
    """Zeros `(batch, positions, vocabulary_size)`, for no generator at all."""

    def __init__(self, vocabulary_size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size

    def call(self, mask_positions: Any) -> Any:
        shape = (*ops.shape(mask_positions), self.vocabulary_size)
        return ops.zeros(shape, dtype="float32")
