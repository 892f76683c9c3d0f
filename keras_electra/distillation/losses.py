"""How far a student is from its teacher, each a scalar in float32.

Shapes: B texts, W words or tokens, D width, R relation heads.
"""

from keras import ops

# Added to the score of what is not a word.
MASKED_SCORE = -10000.0


def unexplained_variance(student, teacher, mask):
    """The share of the variance of states `(B, W, D)` that is not explained.

    A mean over the features, each over its variance in the batch: 0 for the
    teacher's states, whatever is added, 1 for nothing. That of all vectors is
    left out: to learn it first makes states alike, for hundreds of steps.
    `mask`, `(B, W)`, is 1 for a word.
    """
    mask = mask[:, :, None]
    count = ops.maximum(ops.sum(mask), 1.0)

    def mean(x):
        return ops.sum(x * mask, axis=(0, 1), keepdims=True) / count

    student, teacher = student - mean(student), teacher - mean(teacher)
    variance = mean(ops.square(teacher))
    error = mean(ops.square(student - teacher))
    least = 0.01 * ops.mean(variance) + 1e-6  # some are nearly constant
    return ops.mean(error / ops.maximum(variance, least))


def similarity_loss(student, teacher, temperature=0.05):
    """Cross-entropy, less its least, of which others a text is close to.

    A softmax over the cosines to all others of the batch (Fang et al., SEED,
    ICLR 2021, section 3.2). Vectors `(B, D)` may have different widths.
    """
    return _divergence(
        *(_closeness(v, temperature) for v in (teacher, student))
    )


def _closeness(vectors, temperature):
    vectors = ops.normalize(vectors, axis=-1)
    scores = ops.matmul(vectors, ops.transpose(vectors)) / temperature
    itself = ops.eye(ops.shape(scores)[0], dtype="float32")
    return ops.log_softmax(scores + MASKED_SCORE * itself, axis=-1)


def _divergence(teacher, student, weights=None):
    """Mean over rows, weighted, of log-probabilities along the last axis."""
    each = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
    if weights is None:
        return ops.mean(each)
    weights = ops.broadcast_to(weights, ops.shape(each))
    return ops.sum(each * weights) / ops.maximum(ops.sum(weights), 1.0)


def relation_loss(student, teacher, mask, heads):
    """Divergence of relations of queries, of keys and of values.

    A relation is a softmax over the scaled products of a word with all words
    (Wang et al., MiniLMv2, Findings of ACL 2021, section 3, equations 4 to 7),
    in `heads` parts of the width. Arrays are `(B, W, 3D)`, with widths that
    may differ; their mean over the three kinds, words and heads is taken.
    """
    relations = (_relations(x, mask, heads) for x in (teacher, student))
    return _divergence(*relations, weights=mask[:, None, :])


def _relations(x, mask, heads):
    rows, words = ops.shape(mask)
    part = x.shape[-1] // (3 * heads)
    x = ops.reshape(x, (rows, words, 3 * heads, part))
    x = ops.transpose(x, (0, 2, 1, 3))  # (B, 3R, W, D / R)
    scores = ops.matmul(x, ops.swapaxes(x, -1, -2)) * part**-0.5
    scores = scores + MASKED_SCORE * (1.0 - mask)[:, None, None, :]
    return ops.log_softmax(scores, axis=-1)
