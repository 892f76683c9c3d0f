import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.backend.numerics import hash_counters
from keras_electra.model import layers
from keras_electra.model.layers import HashDropout
from tests.model import reference


def reference_hash(counters, seed):
    """The same in unsigned arithmetic, as the function is usually written."""

    def mix(x, key=0):
        x = (x ^ (x >> 16)) * 0x7FEB352D + key & 0xFFFFFFFF
        x = (x ^ (x >> 15)) * 0x846CA68B & 0xFFFFFFFF
        return x ^ (x >> 16)

    key = mix(seed[0] * 0x9E3779B1 + seed[1] & 0xFFFFFFFF)
    second_key = mix(key + 0x9E3779B1 & 0xFFFFFFFF)
    return [
        mix(i * 0x9E3779B1 + key & 0xFFFFFFFF, second_key) for i in counters
    ]


def drawn(num_lanes, seed=(1, 2)):
    """Hashes of the first counters as uint32."""
    counters = ops.arange(num_lanes, dtype="int32")
    bits = hash_counters(counters, ops.array(seed, "uint32"))
    return ops.convert_to_numpy(bits).view("uint32")


def masks(rate, shape, calls, dtype="float32", seed=3):
    layer = HashDropout(rate, seed=seed, dtype=dtype)
    ones = ops.ones(shape, dtype)
    return np.stack(
        [
            ops.convert_to_numpy(
                ops.cast(layer(ones, training=True), "float32")
            )
            for _ in range(calls)
        ]
    )


@pytest.mark.parametrize("seed", [(0, 0), (7, 1), (2**32 - 1, 2**31 + 5)])
def test_hash_is_that_of_the_reference(seed):
    expected = np.array(reference_hash(range(100), seed), "uint32")
    assert drawn(100, seed).tolist() == expected.tolist()


@pytest.mark.parametrize("shift", [0, 8, 16, 24])
def test_bytes_are_uniform(shift):
    counts = np.bincount((drawn(1 << 18) >> shift) & 255, minlength=256)
    expected = (1 << 18) / 256
    chi_square = ((counts - expected) ** 2 / expected).sum()
    # 255 degrees of freedom: 1 in 10,000 is outside.
    assert 176 < chi_square < 345


def test_numbers_of_steps_and_seeds_are_unrelated():
    streams = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]
    signs = [np.where(drawn(1 << 16, s) >> 31, 1.0, -1.0) for s in streams]
    for i, first in enumerate(signs):
        for second in signs[i + 1 :]:
            for lag in (0, 1, 2, 64):
                agreement = (first[lag:] * second[: len(second) - lag]).mean()
                assert abs(agreement) < 5 / 256  # five standard deviations


def test_halves_are_unrelated():
    low, high = (drawn(1 << 17) >> np.array([[0], [16]], "uint32")) & 0xFFFF
    low, high = (half >= 6554 for half in (low, high))
    correlation = np.corrcoef(low, high)[0, 1]
    assert abs(correlation) < 5 / np.sqrt(1 << 17)


def test_neighbours_are_unrelated():
    for half in (0, 16):
        kept = ((drawn(1 << 17) >> half) & 0xFFFF) >= 6554
        kept = kept - kept.mean()
        for lag in (1, 2, 3, 16, 64, 128, 1024):
            correlation = (kept[lag:] * kept[:-lag]).mean() / kept.var()
            assert abs(correlation) < 5 / np.sqrt(1 << 17)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_drops_the_share_it_should(rate):
    values = masks(rate, (50, 40), calls=20)
    dropped = values == 0
    deviation = np.sqrt(rate * (1 - rate))
    assert abs(dropped.mean() - rate) < 5 * deviation / np.sqrt(dropped.size)
    # No place and no call is favoured.
    assert dropped.mean(axis=0).std() < 1.2 * deviation / np.sqrt(20)
    by_call = dropped.mean(axis=(1, 2))
    assert np.abs(by_call - rate).max() < 5 * deviation / np.sqrt(2000)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_scales_what_it_keeps(dtype):
    values = np.unique(masks(0.1, (8, 7), calls=3, dtype=dtype))
    assert values.tolist() == [0, pytest.approx(1 / 0.9, rel=4e-3)]


def test_expected_value_is_the_input():
    # The rounded rate and the scale cancel exactly.
    level = 6554 / 65536
    values = np.unique(masks(0.1, (8, 8), calls=3))
    assert values[1] == pytest.approx(1 / (1 - level), rel=1e-6)


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 5), (2, 3, 4, 7)])
def test_any_shape(shape):
    assert masks(0.5, shape, calls=1).shape == (1, *shape)


def test_seed_repeats_and_calls_differ():
    first, second = masks(0.5, (9, 9), calls=2), masks(0.5, (9, 9), calls=2)
    assert (first == second).all()
    assert (first[0] != first[1]).any()
    assert (first != masks(0.5, (9, 9), calls=2, seed=4)).any()


def test_not_in_training_it_does_nothing():
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    for layer, training in (
        (HashDropout(0.5), False),
        (HashDropout(0.5), None),
        (HashDropout(0.0), True),
    ):
        y = ops.convert_to_numpy(layer(x, training=training))
        assert (y == x).all()


def test_fits_inside_a_model_of_unknown_sizes():
    inputs = keras.Input((None, 6))
    outputs = HashDropout(0.5, seed=1)(keras.layers.Dense(6)(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    x = np.ones((4, 3, 6), "float32")
    before = model.get_weights()[0]
    assert np.isfinite(model.train_on_batch(x, x))
    assert (model.get_weights()[0] != before).any()


def test_layer_is_serialized():
    config = keras.layers.serialize(HashDropout(0.25, seed=5))
    layer = keras.layers.deserialize(config)
    assert (layer.rate, layer.seed) == (0.25, 5)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2])
def test_rate_out_of_range(rate):
    with pytest.raises(ValueError, match="`rate` must be a number >= 0"):
        HashDropout(rate)


def test_in_a_graph_that_knows_no_lengths():
    # As attention probabilities are in `fit`, odd and even.
    inputs = keras.Input((None, None))
    doubled = keras.layers.Rescaling(2.0)(inputs)
    model = keras.Model(inputs, HashDropout(0.5)(doubled))
    model.compile("sgd", "mse", jit_compile=False)
    for length in (3, 4):
        ones = np.ones((2, 5, length), "float32")
        loss = model.train_on_batch(ones, 0 * ones)
        # Of 16 times the share that is kept.
        assert 16 * 0.1 < loss < 16 * 0.9


# Activations.

GRID = np.linspace(-6, 6, 1201, dtype="float32")


def test_gelu_by_the_error_function():
    ours = layers.activation_function("gelu")(ops.convert_to_tensor(GRID))
    expected = reference.gelu(GRID.astype("float64"))
    # float32: values up to 6
    np.testing.assert_allclose(reference.to_numpy(ours), expected, atol=2e-6)


def test_gelu_by_the_tangent():
    function = layers.activation_function("gelu_approximate")
    ours = reference.to_numpy(function(ops.convert_to_tensor(GRID)))
    x = GRID.astype("float64")
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    np.testing.assert_allclose(ours, x * (1 + np.tanh(inner)) / 2, atol=2e-6)
    assert 4e-4 < np.abs(ours - reference.gelu(x)).max() < 5e-4


def test_other_activations_go_by_their_name():
    relu = layers.activation_function("relu")
    assert relu is keras.activations.relu
    with pytest.raises(ValueError, match="no_such"):
        layers.activation_function("no_such")
