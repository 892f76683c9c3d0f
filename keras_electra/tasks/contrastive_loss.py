"""Vectors of texts that belong together come close, others go apart."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_electra")
class ContrastiveLoss(keras.losses.Loss):
    """Cross-entropy of finding a text's partner among the batch.

    Each vector is compared with all others of the batch by the cosine, over
    a temperature. The loss is the negative logarithm of the probability that
    a softmax gives to those of the same group, averaged over them. A vector
    that is alone in its group has loss 0.

    Args:
        temperature: float. Defaults to `0.05` (Gao et al., SimCSE, EMNLP
            2021, section 3).
        **kwargs: `reduction`, `name` and `dtype` of `keras.losses.Loss`.

    Call arguments:
        y_true: int array of shape `(batch,)`, the number of the group.
        y_pred: vectors of shape `(batch, width)`.
        sample_weight: array of shape `(batch,)` or `None`.

    Returns:
        float32 scalar, in nats.
    """

    def __init__(self, temperature=0.05, **kwargs):
        super().__init__(**kwargs)
        self.temperature = temperature

    def call(self, y_true, y_pred):
        vectors = ops.normalize(ops.cast(y_pred, "float32"), axis=-1)
        scores = ops.matmul(vectors, ops.transpose(vectors)) / self.temperature
        count = ops.shape(scores)[0]
        is_self = ops.eye(count, dtype="float32")
        log_probs = ops.log_softmax(scores - 1e4 * is_self, axis=-1)
        groups = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        partners = ops.cast(groups[:, None] == groups[None], "float32")
        partners = partners * (1.0 - is_self)
        total = ops.sum(partners * log_probs, axis=-1)
        return -total / ops.maximum(ops.sum(partners, axis=-1), 1.0)

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}
