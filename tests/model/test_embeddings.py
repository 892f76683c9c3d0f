import functools

import keras
import numpy as np
import pytest

from keras_electra.model.embeddings import ElectraEmbeddings
from tests.model import reference

IDS = np.array([[1, 2, 2, 6], [3, 0, 0, 0]], "int32")
SEGMENTS = np.array([[0, 0, 1, 1], [0, 0, 0, 0]], "int32")


def build(**kwargs):
    layer = ElectraEmbeddings(7, 6, max_sequence_length=5, **kwargs)
    layer.build((2, 4))
    return layer


def test_normalized_sum_of_three_tables():
    layer = build()
    weights = reference.randomize(layer)
    total = (
        weights["token_embedding/embeddings"][IDS]
        + weights["position_embedding/embeddings"][:4]
        + weights["segment_embedding/embeddings"][SEGMENTS]
    )
    expected = reference.layer_norm(
        total, weights["layer_norm/gamma"], weights["layer_norm/beta"]
    )
    ours = reference.run(layer, IDS, SEGMENTS)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_epsilon_of_the_normalization_is_tiny():
    """With 1e-6 in place of 1e-12 such small vectors would stay small."""
    layer = build(initializer_range=1e-4)
    deviations = reference.run(layer, IDS, SEGMENTS).std(axis=-1)
    np.testing.assert_allclose(deviations, 1.0, atol=1e-2)


def test_dropout_only_in_training():
    layer = build(dropout=0.5)
    np.testing.assert_array_equal(
        reference.run(layer, IDS, SEGMENTS),
        reference.run(functools.partial(layer, training=False), IDS, SEGMENTS),
    )
    dropped = reference.to_numpy(layer(IDS, SEGMENTS, training=True))
    assert 0.2 < (dropped == 0).mean() < 0.8


def test_reverse_scores_the_vocabulary():
    layer = build()
    table = reference.randomize(layer)["token_embedding/embeddings"]
    x = reference.RNG.normal(size=(2, 3, 6)).astype("float32")
    scores = layer.reverse(keras.ops.convert_to_tensor(x))
    np.testing.assert_allclose(
        reference.to_numpy(scores), x @ table.T, atol=1e-5
    )


def test_initial_values():
    layer = ElectraEmbeddings(200, 64, max_sequence_length=100, num_segments=90)
    layer.build((None, None))
    for variable in (
        layer.token_embedding.embeddings,
        layer.position_embedding.position_embeddings,
        layer.segment_embedding.embeddings,
    ):
        reference.check_truncated_normal(variable)
    reference.check_constant(layer.layer_norm.gamma, 1)
    reference.check_constant(layer.layer_norm.beta, 0)
    assert len(layer.weights) == 5


def test_longer_than_the_positions():
    layer = build()
    ids = np.zeros((1, 6), "int32")
    with pytest.raises(ValueError, match="max_sequence_length=5.*length 6"):
        layer(ids, ids)


def test_config():
    layer = build(num_segments=3, dropout=0.2, initializer_range=0.3)
    config = layer.get_config()
    copy = ElectraEmbeddings.from_config(config)
    assert copy.get_config() == config
    copy.build((2, 4))
    assert [w.shape for w in copy.weights] == [w.shape for w in layer.weights]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    layer = build(dtype=policy)
    assert {w.dtype for w in layer.weights} == {"float32"}
    x = layer(IDS, SEGMENTS)
    assert keras.backend.standardize_dtype(x.dtype) == layer.compute_dtype
    scores = layer.reverse(x)
    assert keras.backend.standardize_dtype(scores.dtype) == layer.compute_dtype
