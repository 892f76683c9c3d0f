"""Heads and losses of answers that are stretches of a text.

Where does the answer begin, where does it end, and is there one? As in the
original (`finetune/qa/qa_tasks.py:440-530`). Scores are float32 whatever the
precision: they meet in softmaxes over hundreds of tokens.

Shapes: B batch, L length, D hidden, K beam.
"""

import math

import keras
from keras import ops

from keras_electra.model.layers import exact_gelu

# Width of the hidden layers (original `finetune/qa/qa_tasks.py:479, 519`).
HIDDEN_DIM = 512
# Added to the scores of tokens that cannot be in an answer (`:452`).
MASKED_SCORE = -1000.0


def answer_mask(padding_mask, segment_ids):
    """1.0 for tokens an answer may begin or end at: the text's, and `[CLS]`."""
    mask = ops.cast(padding_mask, "float32") * ops.cast(segment_ids, "float32")
    first = ops.cast(ops.arange(ops.shape(mask)[1]) == 0, "float32")
    return ops.maximum(mask, first[None])  # (B, L)


def answer_penalty(padding_mask, segment_ids):
    """What is added to scores: 0 where an answer may be, else -1000."""
    return MASKED_SCORE * (1.0 - answer_mask(padding_mask, segment_ids))


def masked_logits(outputs):
    """Scores of starts and ends of either span head, low where none may be."""
    penalty = 0.0
    if "answer_mask" in outputs:
        penalty = MASKED_SCORE * (1.0 - outputs["answer_mask"])
    return [outputs[name] + penalty for name in ("start_logits", "end_logits")]


def head_dense(units, layer, name, **kwargs):
    """A dense layer of the precision of the layer it is part of."""
    return keras.layers.Dense(
        units, dtype=layer.dtype_policy, name=name, **kwargs
    )


@keras.saving.register_keras_serializable(package="keras_electra")
class JointSpanHead(keras.layers.Layer):
    """Scores starts, and ends given the start, with a beam of starts.

    Its dense layer on the vectors of start and end, one after the other, is a
    sum of two layers here, which gives the same numbers without copying the
    vectors for each start. `start_positions` are those that `end_logits`
    suppose, -1 for the best. Returns a dict of `start_logits` and
    `end_logits` `(B, L)`, `start_top_log_probs` and `start_top_index`
    `(B, K)`, `end_top_log_probs` and `end_top_index` `(B, K, K)`: zeros in
    training; an index may point behind a short row.

    Args:
        beam_size: int. Starts followed up, and ends kept for each. Defaults
            to `20` (`configure_finetuning.py:90`).
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, beam_size=20, **kwargs):
        super().__init__(**kwargs)
        self.beam_size = beam_size

    def build(self, x_shape, *shapes):
        # Glorot uniform for both together.
        limit = math.sqrt(6 / (2 * x_shape[-1] + HIDDEN_DIM))
        self.start_dense = head_dense(1, self, "start_dense")
        self.start_hidden, self.end_hidden = (
            head_dense(
                HIDDEN_DIM,
                self,
                f"{name}_hidden",
                use_bias=name == "end",
                kernel_initializer=keras.initializers.RandomUniform(
                    -limit, limit
                ),
            )
            for name in ("start", "end")
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
            chosen = ops.one_hot(starts, ops.shape(x)[1], dtype=x.dtype)
            vectors = ops.matmul(chosen, x)  # (B, K, D)
            hidden = self.start_hidden(vectors)[:, :, None]
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
            zero = ops.zeros_like(start_positions)[:, None]
            start_index = ops.repeat(zero, self.beam_size, axis=1)  # (B, K)
            end_index = ops.repeat(start_index[:, None], self.beam_size, axis=1)
            start_top = ops.cast(start_index, "float32")
            end_top = ops.cast(end_index, "float32")
        else:
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


@keras.saving.register_keras_serializable(package="keras_electra")
class SimpleSpanHead(keras.layers.Layer):
    """Scores every token as start and as end, one apart from the other.

    The head of transformers' package, and the original's without joint
    prediction (`qa_tasks.py:491-494`). Returns a dict of `start_logits` and
    `end_logits` of all tokens, and of `answer_mask`, all `(B, L)`.
    """

    def build(self, x_shape, *shapes):
        self.output_dense = head_dense(2, self, "output_dense")
        self.output_dense.build(x_shape)
        self.built = True

    def call(self, x, padding_mask, segment_ids):
        logits = ops.cast(self.output_dense(x), "float32")  # (B, L, 2)
        return {
            "start_logits": logits[..., 0],
            "end_logits": logits[..., 1],
            "answer_mask": answer_mask(padding_mask, segment_ids),
        }


@keras.saving.register_keras_serializable(package="keras_electra")
class AnswerabilityHead(keras.layers.Layer):
    """Scores a row as not holding the answer (`qa_tasks.py:508-525`).

    Returns logits `(B,)`, positive for no answer. With `use_span`, the
    default, the expected start is looked at beside `[CLS]`, through a hidden
    layer.
    """

    def __init__(self, use_span=True, **kwargs):
        # Scores come in float32 and are not to be rounded.
        super().__init__(autocast=False, **kwargs)
        self.use_span = use_span

    def build(self, x_shape, *shapes):
        width = x_shape[-1]
        self.hidden_dense = None
        if self.use_span:
            self.hidden_dense = head_dense(
                HIDDEN_DIM, self, "hidden_dense", activation=exact_gelu
            )
            self.hidden_dense.build((x_shape[0], 2 * width))
            width = HIDDEN_DIM
        self.output_dense = head_dense(1, self, "output_dense")
        self.output_dense.build((x_shape[0], width))
        self.built = True

    def call(self, x, start_logits, padding_mask, segment_ids):
        features = x[:, 0]  # (B, D)
        if self.use_span:
            penalty = answer_penalty(padding_mask, segment_ids)
            weights = ops.softmax(start_logits + penalty)
            weights = ops.cast(weights, x.dtype)[:, None]
            expected = ops.matmul(weights, x)[:, 0]
            features = ops.concatenate([features, expected], axis=-1)
            features = self.hidden_dense(features)
        return ops.cast(self.output_dense(features)[:, 0], "float32")


@keras.saving.register_keras_serializable(package="keras_electra")
class SpanLoss(keras.losses.Loss):
    """Mean of the cross-entropies of start and end, plus answerability.

    As in the original (`qa_tasks.py:496-528`). `y_true` is `(B, 3)`: start,
    end, and whether the question has no answer.

    Args:
        answerability_weight: float. Weight of the binary cross-entropy of
            `answerable_logit`. Defaults to `0.5`
            (`configure_finetuning.py:87`).
        **kwargs: of `keras.losses.Loss`.
    """

    def __init__(self, answerability_weight=0.5, **kwargs):
        super().__init__(**kwargs)
        self.answerability_weight = answerability_weight

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        starts, ends = (
            ops.sparse_categorical_crossentropy(
                y_true[:, i], logits, from_logits=True
            )
            for i, logits in enumerate(masked_logits(y_pred))
        )
        loss = (starts + ends) / 2
        if "answerable_logit" in y_pred:
            # Sigmoid cross-entropy; the name is the original's, 1 means that
            # there is no answer.
            logit = y_pred["answerable_logit"]
            truth = ops.cast(y_true[:, 2], logit.dtype)
            extra = ops.softplus(logit) - truth * logit
            loss = loss + self.answerability_weight * extra
        return loss

    def get_config(self):
        config = super().get_config()
        config["answerability_weight"] = self.answerability_weight
        return config


def spans_are_right(y_true, y_pred):
    """Whether start and end both have the highest scores: bools `(batch,)`."""
    right = [
        ops.cast(ops.argmax(logits, axis=-1), "int32")
        == ops.cast(y_true[:, i], "int32")
        for i, logits in enumerate(masked_logits(y_pred))
    ]
    return ops.logical_and(*right)
