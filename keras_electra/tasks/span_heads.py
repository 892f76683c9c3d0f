"""Heads and the loss of answers that are stretches of a text.

As in the original (`finetune/qa/qa_tasks.py:440-530`). Scores are float32: they
meet in softmaxes over hundreds of tokens. B batch, L length, D hidden, K beam.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_electra.arguments import KeepsArguments
from keras_electra.model.adapted import Dense
from keras_electra.model.layers import exact_gelu

HIDDEN_DIM = 512  # of the original (`qa_tasks.py:479, 519`)
MASKED_SCORE = -1000.0  # added where no answer can begin or end (`:452`)


def answer_mask(padding_mask: Any, segment_ids: Any, **others: Any) -> Any:
    """1.0 for tokens an answer may begin or end at: the text's, and `[CLS]`."""
    mask = ops.cast(padding_mask * segment_ids, "float32")  # (B, L)
    return ops.concatenate([ops.ones_like(mask[:, :1]), mask[:, 1:]], axis=1)


def masked_logits(outputs: Any) -> list[Any]:
    """Scores of starts and ends of either span head, low where none may be."""
    # The joint head's are masked already.
    penalty = MASKED_SCORE * (1.0 - outputs.get("answer_mask", 1.0))
    return [outputs[name] + penalty for name in ("start_logits", "end_logits")]


def _add_dense(layer, name, width, units, activation=None, **kwargs):
    """Gives a layer, as an attribute, a built dense layer of its precision."""
    kwargs.update(name=name, dtype=layer.dtype_policy)
    dense = Dense(units, activation, **kwargs)
    dense.build((None, width))
    setattr(layer, name, dense)


@keras.saving.register_keras_serializable(package="keras_electra")
class JointSpanHead(keras.layers.Layer):
    """Scores starts, and ends given the start, with a beam of starts.

    The original's dense layer on the vectors of start and end together is a
    sum of two: no copy of the vectors for each start. `end_logits` suppose the
    starts `given`, -1 for the best. Logits are `(B, L)`, beams of starts
    `(B, K)`, of ends `(B, K, K)`, zeros in training, some behind a short row.
    """

    def __init__(self, beam_size: int = 20, **kwargs: Any):
        super().__init__(**kwargs)
        self.beam_size = beam_size
        self.has_beams = True  # or zeros, as in training

    def build(self, x_shape: Any, *shapes: Any) -> None:
        width = x_shape[-1]
        # Glorot uniform for both parts together.
        limit = math.sqrt(6 / (2 * width + HIDDEN_DIM))
        for part in ("start", "end"):
            uniform = keras.initializers.RandomUniform(-limit, limit)
            options = {"kernel_initializer": uniform, "use_bias": part == "end"}
            _add_dense(self, f"{part}_hidden", width, HIDDEN_DIM, **options)
        _add_dense(self, "start_dense", width, 1)
        _add_dense(self, "end_dense", HIDDEN_DIM, 1)

    def call(self, x, mask, given, training=None):
        # A number, or a one-hot of it, torch would take for a constant.
        places = ops.cumsum(ops.ones_like(mask[0], dtype="int32")) - 1  # (L,)
        penalty = MASKED_SCORE * (1.0 - ops.cast(mask, "float32"))  # (B, L)
        start_logits = ops.cast(self.start_dense(x)[..., 0], "float32")
        start_logits = start_logits + penalty
        ends = self.end_hidden(x)  # (B, L, 512)

        def end_logits(starts):
            chosen = ops.cast(starts[:, None] == places, x.dtype)[:, None]
            hidden = self.start_hidden(ops.matmul(chosen, x))  # (B, 1, 512)
            logits = self.end_dense(exact_gelu(hidden + ends))[..., 0]
            return ops.cast(logits, "float32") + penalty  # (B, L)

        given = ops.where(given < 0, ops.argmax(start_logits, axis=-1), given)
        tops = [*self._top(start_logits)]
        if self.has_beams and not training:
            starts = ops.transpose(ops.minimum(tops[1], places[-1]))
            # One start at a time: all together are K times the memory.
            logits = ops.map(end_logits, starts)  # (K, B, L)
            tops += self._top(ops.transpose(logits, (1, 0, 2)))
        else:
            tops += [0 * (top[:, None] + top[:, :, None]) for top in tops]
        return {
            "start_logits": start_logits,
            "end_logits": end_logits(given),
            "start_top_log_probs": tops[0],
            "start_top_index": tops[1],
            "end_top_log_probs": tops[2],
            "end_top_index": tops[3],
        }

    def _top(self, logits):
        log_probs = ops.log_softmax(logits, axis=-1)
        # Rows may be shorter than the beam is wide.
        width = [[0, 0]] * (len(logits.shape) - 1) + [[0, self.beam_size]]
        log_probs = ops.pad(log_probs, width, constant_values=10 * MASKED_SCORE)
        values, indices = ops.top_k(log_probs, self.beam_size)
        return values, ops.cast(indices, "int32")


@keras.saving.register_keras_serializable(package="keras_electra")
class SimpleSpanHead(keras.layers.Layer):
    """Scores start and end apart, as transformers and `qa_tasks.py:491-494`."""

    def build(self, x_shape: Any) -> None:
        _add_dense(self, "output_dense", x_shape[-1], 2)

    def call(self, x: Any) -> Any:
        logits = ops.cast(self.output_dense(x), "float32")  # (B, L, 2)
        return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}


@keras.saving.register_keras_serializable(package="keras_electra")
class AnswerabilityHead(keras.layers.Layer):
    """Logits `(B,)` of no answer, from `[CLS]`, if `use_span` the start too."""

    def __init__(self, use_span: bool = True, **kwargs: Any):
        # Scores come in float32 and are not to be rounded.
        super().__init__(autocast=False, **kwargs)
        self.use_span = use_span

    def build(self, x_shape: Any, *shapes: Any) -> None:
        width = x_shape[-1]
        if self.use_span:
            _add_dense(self, "hidden_dense", 2 * width, HIDDEN_DIM, exact_gelu)
            width = HIDDEN_DIM
        _add_dense(self, "output_dense", width, 1)

    def call(self, x: Any, start_logits: Any) -> Any:
        features = x[:, 0]  # (B, D)
        if self.use_span:
            weights = ops.cast(ops.softmax(start_logits), x.dtype)
            start = ops.matmul(weights[:, None], x)[:, 0]  # the expected one
            features = self.hidden_dense(ops.concatenate([features, start], -1))
        return ops.cast(self.output_dense(features)[:, 0], "float32")


@keras.saving.register_keras_serializable(package="keras_electra")
class SpanLoss(KeepsArguments, keras.losses.Loss):
    """Mean of the cross-entropies of start and end, plus answerability.

    `y_true` is `(B, 3)`: start, end, and whether there is no answer, whose
    cross-entropy has the `answerability_weight` (`configure_finetuning.py:87`).
    """

    def __init__(self, answerability_weight: float = 0.5, **kwargs: Any):
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true, loss = ops.cast(y_true, "int32"), 0.0
        for i, logits in enumerate(masked_logits(y_pred)):
            loss = loss + 0.5 * ops.sparse_categorical_crossentropy(
                y_true[:, i], logits, from_logits=True
            )
        if "answerable_logit" in y_pred:
            # The name is the original's, 1 means that there is no answer.
            logit = y_pred["answerable_logit"]
            truth = ops.cast(y_true[:, 2], logit.dtype)
            extra = ops.binary_crossentropy(truth, logit, from_logits=True)
            loss = loss + self.answerability_weight * extra
        return loss
