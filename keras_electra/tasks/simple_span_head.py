"""Where does the answer begin, and where does it end? Two scores a token."""

import keras
from keras import ops

from keras_electra.tasks.answer_mask import answer_mask
from keras_electra.tasks.answer_mask import head_dense


@keras.saving.register_keras_serializable(package="keras_electra")
class SimpleSpanHead(keras.layers.Layer):
    """Scores every token as start and as end, one apart from the other.

    The head of transformers' package, and the original's without joint
    prediction (`qa_tasks.py:491-494`).

    Args:
        **kwargs: `name`, `dtype` and the like of `keras.layers.Layer`.

    Call arguments:
        x: float array of shape `(batch, length, hidden_dim)`.
        padding_mask: int array of shape `(batch, length)`.
        segment_ids: int array of shape `(batch, length)`.

    Returns:
        A dict of float32 arrays of shape `(batch, length)`: `start_logits`
        and `end_logits` of all tokens, and `answer_mask`.
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

    def compute_output_spec(self, x, padding_mask, segment_ids):
        names = ("start_logits", "end_logits", "answer_mask")
        return {
            name: keras.KerasTensor(x.shape[:2], "float32") for name in names
        }
