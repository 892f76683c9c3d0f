"""Where does the answer begin, and where does it end if it begins there?

Scores are float32 whatever the precision: they meet in softmaxes over
hundreds of tokens.

Shapes: B batch, L length, D hidden, K beam.
"""

import math

import keras
from keras import ops

from keras_electra.model.transformer import exact_gelu
from keras_electra.tasks.answer_mask import HIDDEN_DIM
from keras_electra.tasks.answer_mask import MASKED_SCORE
from keras_electra.tasks.answer_mask import answer_penalty
from keras_electra.tasks.answer_mask import head_dense


def pick(x, positions):
    """The vectors at positions: `(B, L, D)` and `(B, K)` to `(B, K, D)`."""
    chosen = ops.one_hot(positions, ops.shape(x)[1], dtype=x.dtype)  # (B, K, L)
    return ops.matmul(chosen, x)


@keras.saving.register_keras_serializable(package="keras_electra")
class JointSpanHead(keras.layers.Layer):
    """Scores starts, and ends given the start, with a beam of starts.

    The original's (`qa_tasks.py:449-489`). Its dense layer on the vectors of
    start and end, one after the other, is a sum of two layers here, which
    gives the same numbers without copying the vectors for each start.

    Args:
        beam_size: int. Starts followed up, and ends kept for each. Defaults
            to `20` (`configure_finetuning.py:90`).
        **kwargs: `name`, `dtype` and the like of `keras.layers.Layer`.

    Call arguments:
        x: float array of shape `(batch, length, hidden_dim)`.
        padding_mask: int array of shape `(batch, length)`.
        segment_ids: int array of shape `(batch, length)`.
        start_positions: int array of shape `(batch,)`: the start that
            `end_logits` suppose, -1 for the one with the highest score.

    Returns:
        A dict of `start_logits` and `end_logits` of shape `(batch, length)`,
        `start_top_log_probs` and `start_top_index` of shape `(batch, beam)`,
        `end_top_log_probs` and `end_top_index` of shape `(batch, beam,
        beam)`. Numbers are float32, the beams zeros in training. An index
        may point behind a short row.
    """

    def __init__(self, beam_size=20, **kwargs):
        super().__init__(**kwargs)
        self.beam_size = beam_size

    def build(self, x_shape, *shapes):
        # Glorot uniform for both together.
        limit = math.sqrt(6 / (2 * x_shape[-1] + HIDDEN_DIM))
        uniform = keras.initializers.RandomUniform
        self.start_dense = head_dense(1, self, "start_dense")
        self.start_hidden = head_dense(
            HIDDEN_DIM,
            self,
            "start_hidden",
            use_bias=False,
            kernel_initializer=uniform(-limit, limit),
        )
        self.end_hidden = head_dense(
            HIDDEN_DIM,
            self,
            "end_hidden",
            kernel_initializer=uniform(-limit, limit),
        )
        self.end_dense = head_dense(1, self, "end_dense")
        for layer in (self.start_dense, self.start_hidden, self.end_hidden):
            layer.build(x_shape)
        self.end_dense.build((*x_shape[:-1], HIDDEN_DIM))
        self.built = True

    def call(
        self, x, padding_mask, segment_ids, start_positions, training=None
    ):
        penalty = answer_penalty(padding_mask, segment_ids)  # (B, L)
        start_logits = self.start_dense(x)[..., 0]
        start_logits = ops.cast(start_logits, "float32") + penalty
        ends = self.end_hidden(x)[:, None]  # (B, 1, L, 512)

        def end_logits(starts):
            hidden = self.start_hidden(pick(x, starts))[:, :, None]
            hidden = exact_gelu(hidden + ends)  # (B, K, L, 512)
            logits = ops.cast(self.end_dense(hidden)[..., 0], "float32")
            return logits + penalty[:, None]  # (B, K, L)

        best = ops.cast(ops.argmax(start_logits, axis=-1), "int32")
        start_positions = ops.cast(start_positions, "int32")
        given = ops.where(start_positions < 0, best, start_positions)
        outputs = {
            "start_logits": start_logits,
            "end_logits": end_logits(given[:, None])[:, 0],
        }
        if training:
            return {**outputs, **self._no_beams(start_positions)}
        start_top, start_index = self._top(start_logits)
        last = ops.shape(x)[1] - 1
        end_top, end_index = self._top(
            end_logits(ops.minimum(start_index, last))
        )
        return {
            **outputs,
            "start_top_log_probs": start_top,
            "start_top_index": start_index,
            "end_top_log_probs": end_top,
            "end_top_index": end_index,
        }

    def _top(self, logits):
        log_probs = ops.log_softmax(logits, axis=-1)
        # Rows may be shorter than the beam is wide.
        width = [[0, 0]] * (len(logits.shape) - 1) + [[0, self.beam_size]]
        log_probs = ops.pad(log_probs, width, constant_values=10 * MASKED_SCORE)
        values, indices = ops.top_k(log_probs, self.beam_size)
        return values, ops.cast(indices, "int32")

    def _no_beams(self, start_positions):
        zero = ops.zeros_like(start_positions)[:, None]
        beam = ops.repeat(zero, self.beam_size, axis=1)  # (B, K)
        beams = ops.repeat(beam[:, None], self.beam_size, axis=1)
        return {
            "start_top_log_probs": ops.cast(beam, "float32"),
            "start_top_index": beam,
            "end_top_log_probs": ops.cast(beams, "float32"),
            "end_top_index": beams,
        }

    def compute_output_spec(
        self, x, padding_mask, segment_ids, start_positions, training=None
    ):
        spec = keras.KerasTensor
        beam = (x.shape[0], self.beam_size)
        beams = (*beam, self.beam_size)
        return {
            "start_logits": spec(x.shape[:2], "float32"),
            "end_logits": spec(x.shape[:2], "float32"),
            "start_top_log_probs": spec(beam, "float32"),
            "start_top_index": spec(beam, "int32"),
            "end_top_log_probs": spec(beams, "float32"),
            "end_top_index": spec(beams, "int32"),
        }

    def get_config(self):
        return {**super().get_config(), "beam_size": self.beam_size}
