"""Initialization by hand, for short runs.

A network from random weights first learns how frequent tokens are, then, over
millions of tokens, that neighbours matter, and only then what they say. In a
run of hours the first two take most of the time, though both can be written
into the weights:

- *Unigram bias*: the bias of the generator's output is the logarithm of the
  frequencies.
- *Relative-position attention*: positions are sines and cosines, in
  coordinates of their own, and the heads of the first layer turn them so that
  each head reads the token at one fixed distance (product of rotations: the
  score of two positions depends on their distance alone).

Only values are set: the network is the same, and all of it is trained.
"""

import numpy as np
from keras import ops

# Distances of the heads of the first layer, in tokens.
OFFSETS = (-1, 1, -2, 2, -3, 3, -4, 4)
# Positions have twice the size of tokens, so that scores hear them clearly,
# and tokens leave their coordinates.
POSITION_SCALE = 2.0
TOKEN_SCALE = 0.1
# Of the scores; at 3 a head gives one token nearly all of its weight.
SHARPNESS = 3.0


def count_tokens(examples, vocabulary_size, num_batches=400):
    """How often each token comes in the first batches of examples.

    Args:
        examples: what `keras_electra.load_examples` gives.
        vocabulary_size: int. Number of token ids.
        num_batches: int. Defaults to `400`.

    Returns:
        int64 array of shape `(vocabulary_size,)`.
    """
    counts = np.zeros(vocabulary_size, "int64")
    for _, batch in zip(range(num_batches), examples):
        ids = np.asarray(batch["token_ids"])[
            np.asarray(batch["padding_mask"]) > 0
        ]
        counts += np.bincount(ids.ravel(), minlength=vocabulary_size)
    return counts


def initialize_unigram_bias(pretrainer, counts):
    """Sets the bias of the generator's output to the log of frequencies.

    Args:
        pretrainer: `ElectraPretrainer` with a generator.
        counts: array of shape `(vocabulary_size,)`. Tokens that are never
            predicted, such as [CLS], count as seen once.
    """
    counts = np.array(counts, "float64")
    counts[list(pretrainer.unselectable_token_ids)] = 0
    counts += 1.0
    pretrainer.generator_head.bias.assign(np.log(counts / counts.sum()))


def initialize_relative_positions(
    backbone, seed=0, set_embeddings=True, num_heads=None
):
    """Lets heads of the first layer read the tokens nearby.

    Args:
        backbone: `ElectraBackbone` with fresh weights.
        seed: int. Seed of the random directions.
        set_embeddings: bool. Whether to set the embeddings, too; `False` for
            a network that shares those of another, which were set. Defaults
            to `True`.
        num_heads: int or `None`. How many heads of the first layer. Defaults
            to all. In a network of one layer the others are what `[CLS]`
            reads the text with.
    """
    generator = np.random.default_rng(seed)
    width = backbone.embedding_dim
    angles = np.pi * np.linspace(0.05, 1, width // 4, endpoint=False)
    if set_embeddings:
        _set_embeddings(backbone.embeddings, angles)
    projection = np.eye(width)
    if backbone.embeddings_projection is not None:
        projection = orthogonal(generator, width, backbone.hidden_dim)
        projection *= max(1, backbone.hidden_dim / width) ** 0.5
        backbone.embeddings_projection.kernel.assign(projection)
    attention = backbone.transformer_layers[0].attention
    hidden_dim = backbone.hidden_dim
    head_dim = hidden_dim // backbone.num_heads
    # To the coordinates of the embeddings, and from there to a head.
    back = np.linalg.pinv(projection)
    reading = numbers(attention.query_key_value.kernel).reshape(
        hidden_dim, 3, backbone.num_heads, head_dim
    )
    writing = numbers(attention.output_dense.kernel).reshape(
        backbone.num_heads, head_dim, hidden_dim
    )
    for head, offset in zip(range(backbone.num_heads), OFFSETS[:num_heads]):
        query, key = _turned(angles, offset, width, head_dim, generator)
        value = np.zeros((width, head_dim))
        tokens = 2 * len(angles)  # their coordinates start here
        value[tokens:] = orthogonal(generator, width - tokens, head_dim)
        reading[:, 0, head] = SHARPNESS**0.5 * back @ query
        reading[:, 1, head] = SHARPNESS**0.5 * back @ key
        reading[:, 2, head] = back @ value
        writing[head] = orthogonal(generator, head_dim, hidden_dim)
    attention.query_key_value.kernel.assign(
        reading.reshape(hidden_dim, 3 * hidden_dim)
    )
    attention.output_dense.kernel.assign(
        writing.reshape(hidden_dim, hidden_dim)
    )


def _set_embeddings(embeddings, angles):
    tokens = numbers(embeddings.token_embedding.embeddings)
    size = tokens.std()
    tokens[:, : 2 * len(angles)] *= TOKEN_SCALE
    embeddings.token_embedding.embeddings.assign(tokens)
    phases = np.arange(embeddings.max_sequence_length)[:, None] * angles
    table = np.zeros((embeddings.max_sequence_length, tokens.shape[1]))
    table[:, 0 : 2 * len(angles) : 2] = np.cos(phases)
    table[:, 1 : 2 * len(angles) : 2] = np.sin(phases)
    embeddings.position_embedding.position_embeddings.assign(
        2**0.5 * POSITION_SCALE * size * table
    )


def _turned(angles, offset, width, head_dim, generator):
    """Query and key that agree where positions differ by `offset`."""
    chosen = np.arange(len(angles))
    if 2 * len(chosen) > head_dim:
        chosen = generator.permutation(chosen)[: head_dim // 2]
    query, key = np.zeros((2, width, head_dim))
    for place, i in enumerate(chosen):
        cos, sin = np.cos(offset * angles[i]), np.sin(offset * angles[i])
        block = np.s_[2 * i : 2 * i + 2, 2 * place : 2 * place + 2]
        query[block] = [[cos, sin], [-sin, cos]]
        key[block] = np.eye(2)
    return query, key


def orthogonal(generator, rows, columns):
    """A random matrix all of whose singular values are 1."""
    u, _, v = np.linalg.svd(
        generator.normal(size=(rows, columns)), full_matrices=False
    )
    return u @ v


def numbers(variable):
    """The values of a variable as a NumPy array that can be changed."""
    return np.array(ops.convert_to_numpy(variable))
