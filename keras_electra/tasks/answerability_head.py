"""Does a text hold an answer at all?"""

import keras
from keras import ops

from keras_electra.model.transformer import exact_gelu
from keras_electra.tasks.answer_mask import HIDDEN_DIM
from keras_electra.tasks.answer_mask import answer_penalty
from keras_electra.tasks.answer_mask import head_dense


@keras.saving.register_keras_serializable(package="keras_electra")
class AnswerabilityHead(keras.layers.Layer):
    """Scores a row as not holding the answer (`qa_tasks.py:508-525`).

    Args:
        use_span: bool. Whether to look at the expected start beside `[CLS]`,
            through a hidden layer. Defaults to `True`.
        **kwargs: `name`, `dtype` and the like of `keras.layers.Layer`.

    Call arguments:
        x: float array of shape `(batch, length, hidden_dim)`.
        start_logits: array of shape `(batch, length)`.
        padding_mask: int array of shape `(batch, length)`.
        segment_ids: int array of shape `(batch, length)`.

    Output shape:
        `(batch,)`, float32; positive means there is no answer.
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

    def compute_output_spec(self, x, start_logits, padding_mask, segment_ids):
        return keras.KerasTensor((x.shape[0],), "float32")

    def get_config(self):
        return {**super().get_config(), "use_span": self.use_span}
