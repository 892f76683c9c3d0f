import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.pretraining.losses import exponentials
from keras_electra.pretraining.sampling import BLOCK_WIDTH
from keras_electra.pretraining.sampling import SampleTokens
from keras_electra.pretraining.sampling import UniformLogits
from keras_electra.pretraining.sampling import adjust_logits
from keras_electra.pretraining.sampling import sample_tokens
from tests.model import reference

DRAWS = 4096
ALMOST_ONE = np.nextafter(np.float32(1), np.float32(0))


def draw(logits, uniform):
    """Draws for one row of logits and many uniform numbers."""
    uniform = np.asarray(uniform, "float32")
    logits = np.broadcast_to(logits, (len(uniform), len(logits)))
    ids = reference.run(
        lambda logits, uniform: sample_tokens(exponentials(logits)[0], uniform),
        ops.convert_to_tensor(logits.astype("float32")),
        ops.convert_to_tensor(uniform),
    )
    assert ids.dtype == "int32"
    return ids


def softmax(logits):
    values = np.exp(logits - logits.max())
    return values / values.sum()


def check_chi_square(ids, probabilities):
    """Below five standard deviations; rare tokens count together."""
    expected = len(ids) * probabilities
    counts = np.bincount(ids, minlength=len(probabilities))
    rare = expected < 5
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    counts, expected = counts[expected > 0], expected[expected > 0]
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = len(counts) - 1
    assert abs(statistic - freedom) < 5 * np.sqrt(2 * freedom)


def logits_of(vocabulary_size):
    return np.random.default_rng(0).normal(0, 1.5, vocabulary_size)


@pytest.mark.parametrize("vocabulary_size", [7, 1000])
def test_draws_follow_the_softmax(vocabulary_size):
    """With the layer's own random numbers."""
    logits = logits_of(vocabulary_size)
    probabilities = softmax(logits)
    layer = SampleTokens(seed=3)
    rows = np.broadcast_to(logits, (8, DRAWS // 8, vocabulary_size))
    right = np.zeros((8, DRAWS // 8), "int32")
    y = layer(
        ops.convert_to_tensor(rows.astype("float32")), right, training=True
    )
    ids = np.asarray(ops.convert_to_numpy(y["sampled_ids"]))
    assert ids.shape == (8, DRAWS // 8)
    check_chi_square(ids.ravel(), probabilities)
    # It would notice another distribution.
    with pytest.raises(AssertionError):
        check_chi_square(ids.ravel(), softmax(0.8 * logits))


@pytest.mark.parametrize("vocabulary_size", [7, 1000])
def test_each_token_gets_its_share_of_the_interval(vocabulary_size):
    """An even grid in place of random numbers: counts within one."""
    logits = logits_of(vocabulary_size)
    ids = draw(logits, (np.arange(DRAWS) + 0.5) / DRAWS)
    counts = np.bincount(ids, minlength=vocabulary_size)
    assert np.abs(counts - DRAWS * softmax(logits)).max() < 1.01
    assert np.all(np.diff(ids) >= 0)


@pytest.mark.parametrize("vocabulary_size", [7, 256, 257, 1000])
def test_ends_of_the_interval(vocabulary_size):
    """0 draws the first token and the largest number the last."""
    ids = draw(np.zeros(vocabulary_size), [0.0, ALMOST_ONE])
    np.testing.assert_array_equal(ids, [0, vocabulary_size - 1])


def test_what_has_no_probability_is_never_drawn():
    """At neither end, nor at the edges of blocks; -inf as well."""
    for nothing in (-1000.0, -np.inf):
        logits = np.full(1000, nothing)
        possible = [5, 300, 301, 700]
        logits[possible] = 0.0
        edges = np.array([0.0, 0.25, 0.5, 0.75])
        uniform = np.concatenate(
            [edges, np.nextafter(np.float32(edges[1:]), np.float32(0))]
        )
        uniform = np.append(uniform, ALMOST_ONE)
        ids = draw(logits, uniform)
        np.testing.assert_array_equal(ids, [5, 300, 301, 700, 5, 300, 301, 700])


def test_one_certain_token():
    for place in (0, BLOCK_WIDTH - 1, BLOCK_WIDTH, 999):
        logits = np.zeros(1000)
        logits[place] = 200.0
        ids = draw(logits, [0.0, 0.3, 0.7, ALMOST_ONE])
        np.testing.assert_array_equal(ids, place)


def test_extreme_logits():
    logits = np.array([-1e4, 100.0, -100.0, 100.0, 3e4, 3e4, -3e38])
    np.testing.assert_array_equal(
        draw(logits, [0.0, 0.6, ALMOST_ONE]), [4, 5, 5]
    )


def test_one_number_a_position():
    """Rows of a batch do not mix."""
    logits = np.full((2, 2, 3), -1000.0, "float32")
    right = np.array([[0, 2], [1, 0]])
    np.put_along_axis(logits, right[..., None], 0.0, axis=-1)
    ids = sample_tokens(
        ops.convert_to_tensor(np.exp(logits)),
        ops.convert_to_tensor(np.full((2, 2), 0.5, "float32")),
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(ids), right)


def test_temperature_divides():
    logits = np.array([[1.0, 2.0, -4.0]], "float32")
    scores = adjust_logits(ops.convert_to_tensor(logits), temperature=0.5)
    np.testing.assert_allclose(ops.convert_to_numpy(scores), [[2.0, 4.0, -8.0]])


def test_temperature_of_the_draws():
    logits = logits_of(7)
    y = SampleTokens(temperature=2.0, seed=1)(
        ops.convert_to_tensor(np.tile(logits, (1, DRAWS, 1)).astype("float32")),
        np.zeros((1, DRAWS), "int32"),
        training=True,
    )
    ids = np.asarray(ops.convert_to_numpy(y["sampled_ids"])).ravel()
    check_chi_square(ids, softmax(logits / 2))


def test_disallowed_is_never_drawn():
    """Even where it is all but certain; the others keep their shares."""
    logits = np.array([1.0, 15.0, 0.0, -1.0], "float32")
    right = np.tile(np.array([1, 0], "int32"), (1, DRAWS // 2))
    y = SampleTokens(disallow_correct=True, seed=1)(
        ops.convert_to_tensor(np.tile(logits, (1, DRAWS, 1))),
        right,
        training=True,
    )
    ids = np.asarray(ops.convert_to_numpy(y["sampled_ids"]))
    assert not np.any(ids == right)
    others = softmax(logits[[0, 2, 3]])
    probabilities = np.array([others[0], 0.0, others[1], others[2]])
    check_chi_square(ids[right == 1], probabilities)


def test_loss_and_best_guess():
    logits = np.array([[[0.0, 3.0, 1.0], [5.0, 5.5, -2.0]]], "float32")
    right = np.array([[2, 1]], "int32")
    y = SampleTokens()(ops.convert_to_tensor(logits), right)
    expected = [-np.log(softmax(row)[i]) for row, i in zip(logits[0], right[0])]
    np.testing.assert_allclose(
        ops.convert_to_numpy(y["token_loss"])[0], expected, rtol=1e-5
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(y["predicted_ids"]), [[1, 1]]
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_float32_whatever_the_policy(policy):
    keras.config.set_dtype_policy(policy)
    layer = SampleTokens(seed=2)
    assert layer.compute_dtype == "float32"
    half = policy.removeprefix("mixed_")
    # 1000 equal tokens: in half precision the sums would stop growing.
    logits = ops.zeros((1, DRAWS, 1000), dtype=half)
    right = np.zeros((1, DRAWS), "int32")
    y = layer(logits, right, training=True)
    assert keras.backend.standardize_dtype(y["token_loss"].dtype) == "float32"
    np.testing.assert_allclose(
        ops.convert_to_numpy(y["token_loss"]), np.log(1000), rtol=1e-6
    )
    ids = np.asarray(ops.convert_to_numpy(y["sampled_ids"])).ravel()
    check_chi_square(ids // 10, np.full(100, 0.01))
    scores = adjust_logits(logits[:, :1], 1.0, right[:, :1])
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"


def test_seeds_as_for_the_masks():
    logits = ops.zeros((1, 64, 7))
    right = np.zeros((1, 64), "int32")

    def ids(layer, training=True):
        y = layer(logits, right, training=training)
        return ops.convert_to_numpy(y["sampled_ids"]).tolist()

    first, second = SampleTokens(seed=1), SampleTokens(seed=1)
    start = ids(first)
    assert start == ids(second)
    state = {}
    first.save_own_variables(state)
    after = ids(first)
    assert after != start
    second = SampleTokens()
    second.load_own_variables(state)
    assert ids(second) == after
    other = SampleTokens(seed=9)
    assert ids(other, training=False) == ids(first, training=False)


def test_uniform_logits():
    layer = UniformLogits(7)
    logits = layer(ops.convert_to_tensor(np.zeros((2, 2), "int32")))
    assert not np.any(ops.convert_to_numpy(logits))
    assert tuple(logits.shape) == (2, 2, 7)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    spec = layer.compute_output_spec(keras.KerasTensor((None, None)))
    assert spec.shape == (None, None, 7)


def test_spec():
    layer = SampleTokens(temperature=0.5, disallow_correct=True, seed=4)
    logits, right = np.zeros((2, 3, 7), "float32"), np.zeros((2, 3), "int32")
    y = layer(ops.convert_to_tensor(logits), right)
    spec = layer.compute_output_spec(
        keras.KerasTensor(logits.shape), keras.KerasTensor(right.shape)
    )
    for name in spec:
        assert tuple(y[name].shape) == spec[name].shape
        assert keras.backend.standardize_dtype(y[name].dtype) == (
            spec[name].dtype
        )
