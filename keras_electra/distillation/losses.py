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


def relation_loss(student, teacher, mask, heads):
    """Divergence of relations of queries, of keys and of values.

    A relation is a softmax over the scaled products of a word with all words
    (Wang et al., MiniLMv2, Findings of ACL 2021, section 3, equations 4 to 7),
    in `heads` parts of the width. Arrays are `(B, W, 3D)`, with widths that
    may differ; their mean over the three kinds, words and heads is taken.
    """
    teacher, student = (_relations(x, mask, heads) for x in (teacher, student))
    each = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
    each = ops.mean(each, axis=1) * mask  # over kinds and heads
    return ops.sum(each) / ops.maximum(ops.sum(mask), 1.0)


def _relations(x, mask, heads):
    rows, words = ops.shape(mask)
    part = x.shape[-1] // (3 * heads)
    x = ops.reshape(x, (rows, words, 3 * heads, part))
    x = ops.transpose(x, (0, 2, 1, 3))  # (B, 3R, W, D / R)
    scores = ops.matmul(x, ops.swapaxes(x, -1, -2)) * part**-0.5
    scores = scores + MASKED_SCORE * (1.0 - mask)[:, None, None, :]
    return ops.log_softmax(scores, axis=-1)
