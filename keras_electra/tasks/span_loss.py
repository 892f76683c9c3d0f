"""The loss of question answering: start, end, and whether there is one."""

import keras
from keras import ops

from keras_electra.tasks.answer_mask import MASKED_SCORE


@keras.saving.register_keras_serializable(package="keras_electra")
class SpanLoss(keras.losses.Loss):
    """Mean of the cross-entropies of start and end, plus answerability.

    As in the original (`finetune/qa/qa_tasks.py:496-528`).

    Args:
        answerability_weight: float. Weight of the binary cross-entropy of
            `answerable_logit`. Defaults to `0.5`
            (`configure_finetuning.py:87`).
        **kwargs: `reduction`, `name` and `dtype` of `keras.losses.Loss`.

    Call arguments:
        y_true: int array of shape `(batch, 3)`: start, end, and whether the
            question has no answer.
        y_pred: dict of arrays, the outputs of the network.
        sample_weight: array of shape `(batch,)` or `None`.

    Returns:
        float32 scalar, in nats.
    """

    def __init__(self, answerability_weight=0.5, **kwargs):
        super().__init__(**kwargs)
        self.answerability_weight = answerability_weight

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        losses = [
            ops.sparse_categorical_crossentropy(
                y_true[:, i], logits, from_logits=True
            )
            for i, logits in enumerate(_masked(y_pred))
        ]
        loss = (losses[0] + losses[1]) / 2
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
    """Whether start and end both have the highest scores, row by row.

    Args:
        y_true: as in `SpanLoss`.
        y_pred: as in `SpanLoss`.

    Returns:
        bool array of shape `(batch,)`.
    """
    right = [
        ops.cast(ops.argmax(logits, axis=-1), "int32")
        == ops.cast(y_true[:, i], "int32")
        for i, logits in enumerate(_masked(y_pred))
    ]
    return ops.logical_and(*right)


def _masked(y_pred):
    """Scores of starts and of ends, low where no answer may be."""
    penalty = 0.0
    if "answer_mask" in y_pred:
        penalty = MASKED_SCORE * (1.0 - y_pred["answer_mask"])
    return [y_pred[name] + penalty for name in ("start_logits", "end_logits")]
