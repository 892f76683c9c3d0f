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


def token_prediction_loss(logits, token_ids):
    """Negative log-likelihood of the right token at each position.

    Args:
        logits: array of shape `(..., vocabulary_size)`.
        token_ids: int array of shape `(...,)`.

    Returns:
        float32 array of shape `(...,)`, in nats.
    """
    logits = ops.cast(logits, "float32")
    right = ops.take_along_axis(
        logits, ops.expand_dims(ops.cast(token_ids, "int32"), -1), axis=-1
    )
    return ops.logsumexp(logits, axis=-1) - ops.squeeze(right, axis=-1)


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
