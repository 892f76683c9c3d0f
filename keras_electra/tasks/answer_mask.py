"""Which tokens may be part of an answer, and the layers that heads are of."""

import keras
from keras import ops

# Width of the hidden layers (original `finetune/qa/qa_tasks.py:479, 519`).
HIDDEN_DIM = 512
# Added to the scores of tokens that cannot be in an answer (`:452`).
MASKED_SCORE = -1000.0


def answer_mask(padding_mask, segment_ids):
    """Tokens that may begin or end an answer: the document's and `[CLS]`.

    Args:
        padding_mask: int array of shape `(batch, length)`.
        segment_ids: int array of shape `(batch, length)`.

    Returns:
        float32 array of that shape, 1 or 0.
    """
    mask = ops.cast(padding_mask, "float32") * ops.cast(segment_ids, "float32")
    first = ops.cast(ops.arange(ops.shape(mask)[1]) == 0, "float32")
    return ops.maximum(mask, first[None])


def answer_penalty(padding_mask, segment_ids):
    """What is added to scores: 0 where an answer may be, else -1000."""
    return MASKED_SCORE * (1.0 - answer_mask(padding_mask, segment_ids))


def head_dense(units, layer, name, **kwargs):
    """A dense layer of the precision of the layer it is part of."""
    return keras.layers.Dense(
        units, dtype=layer.dtype_policy, name=name, **kwargs
    )
