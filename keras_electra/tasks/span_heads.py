"""Heads and the loss of answers that are stretches of a text.

As in the original (`finetune/qa/qa_tasks.py:440-530`). Scores are float32
whatever the precision: they meet in softmaxes over hundreds of tokens.
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


def masked_logits(outputs):
    """Scores of starts and ends of either span head, low where none may be."""
    penalty = 0.0
    if "answer_mask" in outputs:  # the joint head's are masked already
        penalty = MASKED_SCORE * (1.0 - outputs["answer_mask"])
    return [outputs[name] + penalty for name in ("start_logits", "end_logits")]


def _dense(layer, units, name, width, **kwargs):
    """A built dense layer of the precision of the layer it is part of."""
    kwargs.update(name=name, dtype=layer.dtype_policy)
    dense = keras.layers.Dense(units, **kwargs)
    dense.build((None, width))
    return dense


@keras.saving.register_keras_serializable(package="keras_electra")
class JointSpanHead(keras.layers.Layer):
    """Scores starts, and ends given the start, with a beam of starts.

    The original's dense layer on the vectors of start and end together is a
    sum of two: no copy of the vectors for each start. `given` are the starts
    that `end_logits` suppose, -1 for the best. Returns a dict of
    `start_logits` and `end_logits` `(B, L)`, `start_top_log_probs` and
    `start_top_index` `(B, K)`, `end_top_log_probs` and `end_top_index`
    `(B, K, K)`, zeros in training; an index may point behind a short row.
    """

    def __init__(self, beam_size=20, **kwargs):
        super().__init__(**kwargs)
        self.beam_size = beam_size
        self.has_beams = True  # or zeros, as in training

    def build(self, x_shape, *shapes):
        width = x_shape[-1]
        # Glorot uniform for both parts together.
        limit = math.sqrt(6 / (2 * width + HIDDEN_DIM))
        for part in ("start", "end"):
            uniform = keras.initializers.RandomUniform(-limit, limit)
            options = {"kernel_initializer": uniform, "use_bias": part == "end"}
            name = f"{part}_hidden"
            dense = _dense(self, HIDDEN_DIM, name, width, **options)
            setattr(self, name, dense)
        self.start_dense = _dense(self, 1, "start_dense", width)
        self.end_dense = _dense(self, 1, "end_dense", HIDDEN_DIM)
        self.built = True

    def call(self, x, padding_mask, segment_ids, given, training=None):
        length = ops.shape(x)[1]
        penalty = MASKED_SCORE * (1.0 - answer_mask(padding_mask, segment_ids))
        start_logits = ops.cast(self.start_dense(x)[..., 0], "float32")
        start_logits = start_logits + penalty  # (B, L)
        ends = self.end_hidden(x)  # (B, L, 512)

        def end_logits(starts):
            chosen = ops.one_hot(starts, length, dtype=x.dtype)[:, None]
            hidden = self.start_hidden(ops.matmul(chosen, x))  # (B, 1, 512)
            logits = self.end_dense(exact_gelu(hidden + ends))[..., 0]
            return ops.cast(logits, "float32") + penalty  # (B, L)

        best = ops.cast(ops.argmax(start_logits, axis=-1), "int32")
        given = ops.where(given < 0, best, ops.cast(given, "int32"))
        if self.has_beams and not training:
            start_top, start_index = self._top(start_logits)
            starts = ops.transpose(ops.minimum(start_index, length - 1))
            # One start at a time: all together are K times the memory.
            logits = ops.map(end_logits, starts)  # (K, B, L)
            end_top, end_index = self._top(ops.transpose(logits, (1, 0, 2)))
        else:
            start_index = ops.repeat(given[:, None] * 0, self.beam_size, axis=1)
            end_index = ops.repeat(start_index[:, None], self.beam_size, axis=1)
            start_top = ops.cast(start_index, "float32")
            end_top = ops.cast(end_index, "float32")
        return {
            "start_logits": start_logits,
            "end_logits": end_logits(given),
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

    As transformers' package, and the original without joint prediction
    (`qa_tasks.py:491-494`). Returns a dict of `start_logits`, `end_logits`
    and `answer_mask`, all `(B, L)`.
    """

    def build(self, x_shape, *shapes):
        self.output_dense = _dense(self, 2, "output_dense", x_shape[-1])
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
    """Logits `(B,)`, positive for no answer (`qa_tasks.py:508-525`).

    From `[CLS]`, with `use_span` from the expected start too.
    """

    def __init__(self, use_span=True, **kwargs):
        # Scores come in float32 and are not to be rounded.
        super().__init__(autocast=False, **kwargs)
        self.use_span = use_span

    def build(self, x_shape, *shapes):
        width = x_shape[-1]
        if self.use_span:
            options = {"activation": exact_gelu}
            self.hidden_dense = _dense(
                self, HIDDEN_DIM, "hidden_dense", 2 * width, **options
            )
            width = HIDDEN_DIM
        self.output_dense = _dense(self, 1, "output_dense", width)
        self.built = True

    def call(self, x, start_logits, padding_mask, segment_ids):
        features = x[:, 0]  # (B, D)
        if self.use_span:
            mask = answer_mask(padding_mask, segment_ids)
            weights = ops.softmax(start_logits + MASKED_SCORE * (1.0 - mask))
            weights = ops.cast(weights, x.dtype)[:, None]
            expected = ops.matmul(weights, x)[:, 0]
            features = ops.concatenate([features, expected], axis=-1)
            features = self.hidden_dense(features)
        return ops.cast(self.output_dense(features)[:, 0], "float32")


@keras.saving.register_keras_serializable(package="keras_electra")
class SpanLoss(keras.losses.Loss):
    """Mean of the cross-entropies of start and end, plus answerability.

    As in the original (`qa_tasks.py:496-528`). `y_true` is `(B, 3)`: start,
    end, and whether the question has no answer, whose cross-entropy has the
    `answerability_weight` (`configure_finetuning.py:87`).
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
            # The name is the original's, 1 means that there is no answer.
            logit = y_pred["answerable_logit"]
            truth = ops.cast(y_true[:, 2], logit.dtype)
            extra = ops.binary_crossentropy(truth, logit, from_logits=True)
            loss = loss + self.answerability_weight * extra
        return loss

    def get_config(self):
        weight = {"answerability_weight": self.answerability_weight}
        return {**super().get_config(), **weight}


def spans_are_right(y_true, y_pred):
    """Whether start and end both have the highest scores: bools `(B,)`."""
    best = [ops.argmax(logits, axis=-1) for logits in masked_logits(y_pred)]
    y_true = ops.cast(y_true[:, :2], "int32")
    best = ops.cast(ops.stack(best, axis=-1), "int32")
    return ops.all(best == y_true, axis=-1)
