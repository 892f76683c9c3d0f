"""The two losses of ELECTRA, as functions of arrays, in float32.

Both are means over the tokens that count, with the original's 1e-6 in the
denominator (`run_pretraining.py:177, 226`), which keeps a batch without any
such token at a loss of zero.
"""

from keras import ops


def weighted_mean(values, weights):
    """Mean of `values` where `weights` is 1; both of the same shape."""
    weights = ops.cast(weights, "float32")
    values = ops.cast(values, "float32")
    return ops.sum(values * weights) / (ops.sum(weights) + 1e-6)


def exponentials(logits):
    """`exp(logits - top)`, the shares of a softmax before they are divided.

    The largest array of a training step. Loss and draw both start from it, so
    that it is computed once.

    Args:
        logits: array of shape `(..., vocabulary_size)`.

    Returns:
        float32 arrays `shares` of shape `(..., vocabulary_size)` and `top`,
        the greatest score, of shape `(..., 1)`, without a gradient; and the
        index of the greatest score, of shape `(...,)`.
    """
    logits = ops.cast(logits, "float32")
    best = ops.argmax(logits, axis=-1)
    top = ops.max(ops.stop_gradient(logits), axis=-1, keepdims=True)
    return ops.exp(logits - top), top, best


def token_prediction_loss(logits, token_ids, shares, top):
    """Negative log-likelihood of the right token at each position.

    Args:
        logits: array of shape `(..., vocabulary_size)`.
        token_ids: int array of shape `(...,)`.
        shares, top: what `exponentials` makes of `logits`.

    Returns:
        float32 array of shape `(...,)`, in nats.
    """
    ids = ops.arange(logits.shape[-1], dtype="int32")
    is_right = ids == ops.expand_dims(ops.cast(token_ids, "int32"), -1)
    # Not picked out by position: the gradient of that is slow on a CPU.
    right = ops.where(is_right, ops.cast(logits, "float32"), 0.0)
    right = ops.sum(right, axis=-1)
    return ops.log(ops.sum(shares, axis=-1)) + ops.squeeze(top, -1) - right


def replaced_token_loss(logits, replaced):
    """Binary cross-entropy of the scores of the discriminator.

    Args:
        logits: array of any shape; positive means replaced.
        replaced: array of the same shape, 1 where the token was replaced.

    Returns:
        float32 array of the same shape, in nats.
    """
    logits = ops.cast(logits, "float32")
    replaced = ops.cast(replaced, "float32")
    # log(1 + exp(-|x|)) + max(x, 0) - x * y never overflows.
    return (
        ops.log1p(ops.exp(-ops.abs(logits)))
        + ops.relu(logits)
        - logits * replaced
    )
