"""Duplicate-token heads: the same token in the other segment.

Whoever compares two texts first asks which words both have. In a short run a
network does not learn to: two segments are two bags of words to it, and what
is fine-tuned on pairs stays close to a guess. As in `initialization`, weights
can be set by hand instead. In the first layer, where a vector still is one
token, at one position, in one segment, the score of two tokens shall be

- high if they are the same token, by coordinates in which tokens differ and
  positions do not;
- low if they are in the same segment, so that no token finds itself;
- in between if the second is `[CLS]` or `[SEP]`, which are read by a token
  that the other segment does not have.

Queries and keys are linear, and so is all of this, nearly.
"""

import numpy as np
from initialization import numbers
from initialization import orthogonal

# Scores: of a token and itself; of tokens in different segments, and its
# negative of tokens in the same; of any token and [CLS] or [SEP].
SAME_TOKEN, OTHER_SEGMENT, NO_TOKEN = 12.0, 14.0, 5.0
# How far a segment lies from the middle of both, in standard deviations of a
# coordinate of the embeddings.
SEGMENT_SIZE = 3.0
SAMPLES = 200_000
# Share of the mean variance that is added to all coordinates.
RIDGE = 0.02


def initialize_duplicate_token_heads(
    backbone,
    counts,
    special_token_ids,
    num_heads=2,
    sequence_length=128,
    seed=0,
):
    """Lets heads of the first layer find a token in the other segment.

    They are the heads that wrote least. The embeddings of the segments are
    moved along the direction that tokens and positions use least, where they
    can be told for sure.

    Args:
        backbone: `ElectraBackbone`, trained or not.
        counts: array of shape `(vocabulary_size,)`. How often tokens come.
        special_token_ids: list of ints, of `[CLS]` and `[SEP]`.
        num_heads: int. Defaults to `2`.
        sequence_length: int, in tokens, of the texts. Defaults to `128`.
        seed: int. Of the tokens that are looked at and of random directions.

    Raises:
        ValueError: the heads have more coordinates than the embeddings.
    """
    size = backbone.hidden_dim // backbone.num_heads
    used = size - 2  # coordinates of a head that tell which token it is
    if num_heads * used >= backbone.embedding_dim:
        raise ValueError(
            "`num_heads` must be so low that the heads have fewer coordinates "
            f"than the embeddings, {backbone.embedding_dim}. Received: "
            f"{num_heads} heads of {used} coordinates each."
        )
    sequence_length = min(sequence_length, backbone.max_sequence_length)
    generator = np.random.default_rng(seed)
    # Between all alike and all that come often.
    odds = (np.asarray(counts, "float64") + 1.0) ** 0.5
    ids = generator.choice(len(odds), SAMPLES, p=odds / odds.sum())
    positions = generator.integers(0, sequence_length, SAMPLES)
    segments = generator.integers(0, 2, SAMPLES)
    _mark_segments(backbone.embeddings, ids, positions)
    x = _first_inputs(backbone, ids, positions, segments)
    # Forms: linear functions of `x`, the last row for the constant.
    content = _content_forms(x[:, :-1], ids)
    segment = _fit(x, 2.0 * segments - 1.0)
    special = _fit(x, np.isin(ids, special_token_ids).astype("float64"))
    constant = np.eye(len(segment))[:, -1:]

    attention = backbone.transformer_layers[0].attention
    width, heads = backbone.hidden_dim, backbone.num_heads
    reading = np.vstack(
        [
            numbers(attention.query_key_value.kernel),
            numbers(attention.query_key_value.bias)[None],
        ]
    ).reshape(width + 1, 3, heads, size)
    writing = numbers(attention.output_dense.kernel)
    writing = writing.reshape(heads, size, width)
    written = _written(x[:5000], reading[:, 2], writing)

    same, other, none = (
        (score * size**0.5) ** 0.5
        for score in (SAME_TOKEN, OTHER_SEGMENT, NO_TOKEN)
    )
    for i, head in enumerate(np.argsort(written)[:num_heads]):
        token = content[:, i * used : (i + 1) * used]
        token = token @ orthogonal(generator, used, used)
        mark = np.hstack([token * same * used**-0.5, segment * other])
        reading[:, 0, head] = np.hstack([mark, constant * none])
        mark[:, -1] *= -1.0
        reading[:, 1, head] = np.hstack([mark, special * none])
        reading[:, 2, head] = np.pad(token, ((0, 0), (0, 2)))
        writing[head] = orthogonal(generator, size, width)
        writing[head] *= written.mean() * used**-0.5
    reading = reading.reshape(width + 1, 3 * width)
    attention.query_key_value.kernel.assign(reading[:-1])
    attention.query_key_value.bias.assign(reading[-1])
    attention.output_dense.kernel.assign(writing.reshape(width, width))


def _mark_segments(embeddings, ids, positions):
    tokens = numbers(embeddings.token_embedding.embeddings)
    places = numbers(embeddings.position_embedding.position_embeddings)
    segments = numbers(embeddings.segment_embedding.embeddings)
    x = tokens[ids] + places[positions]
    x -= x.mean(1, keepdims=True)
    # Not along the mean of the coordinates, which is normalized away.
    directions = np.linalg.eigh(np.cov(x.T) + np.ones((x.shape[1],) * 2))[1]
    least = directions[:, 0]
    away = SEGMENT_SIZE * x.std()
    segments -= np.outer(segments @ least, least)
    marks = np.array([-away, away]) - (x @ least).mean()
    segments[:2] += np.outer(marks, least)
    embeddings.segment_embedding.embeddings.assign(segments)


def _first_inputs(backbone, ids, positions, segments):
    """What the first layer reads, and a 1: `(samples, hidden_dim + 1)`."""
    embeddings = backbone.embeddings
    x = (
        numbers(embeddings.token_embedding.embeddings)[ids]
        + numbers(embeddings.position_embedding.position_embeddings)[positions]
        + numbers(embeddings.segment_embedding.embeddings)[segments]
    )
    x = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    x = x * numbers(embeddings.layer_norm.gamma)
    x = x + numbers(embeddings.layer_norm.beta)
    projection = backbone.embeddings_projection
    if projection is not None:
        x = x @ numbers(projection.kernel) + numbers(projection.bias)
    return np.hstack([x, np.ones((len(x), 1))])


def _content_forms(x, ids):
    """Forms by which tokens differ most for how much one token varies.

    Over tokens each has mean 0 and variance 1.
    """
    _, ids, counts = np.unique(ids, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), x.shape[1]))
    np.add.at(means, ids, x)
    means /= counts[:, None]
    within = np.cov((x - means[ids]).T)
    within += RIDGE * within.trace() / len(within) * np.eye(len(within))
    means = means[counts > 2]
    centre = means.mean(0)
    root = np.linalg.inv(np.linalg.cholesky(within))
    between = root @ np.cov(means.T) @ root.T
    forms = root.T @ np.linalg.eigh(between)[1][:, ::-1]
    spread = ((means - centre) @ forms).std(0)
    # Few tokens differ in few coordinates; the others stay empty.
    full = spread > 1e-6 * spread.max()
    forms[:, full] /= spread[full]
    forms[:, ~full] = 0.0
    return np.vstack([forms, -centre @ forms])


def _fit(x, target):
    """The form that comes closest to a target: `(hidden_dim + 1, 1)`."""
    square = x.T @ x
    square += 1e-8 * square.trace() * np.eye(len(square))
    return np.linalg.solve(square, x.T @ target)[:, None]


def _written(x, values, writing):
    """Length of what each head adds for what it reads: `(heads,)`."""
    values = np.einsum("nd,dhs->hns", x, values)
    return ((values @ writing) ** 2).sum(-1).mean(-1) ** 0.5
