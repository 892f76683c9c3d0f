import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.model import transformer
from keras_electra.model.transformer import TransformerLayer
from tests.model import reference

X = reference.RNG.normal(size=(2, 4, 6)).astype("float32")
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], "int32")


def build(**kwargs):
    layer = TransformerLayer(2, 10, **kwargs)
    layer.build((None, None, 6))
    return layer


def test_normalized_after_each_addition():
    layer = build()
    weights = reference.randomize(layer)
    x = X + reference.run(layer.attention, X, MASK).astype("float64")
    x = norm(x, weights, "attention_layer_norm")
    y = reference.gelu(dense(x, weights, "intermediate_dense"))
    y = x + dense(y, weights, "output_dense")
    expected = norm(y, weights, "output_layer_norm")
    ours = reference.run(layer, X, MASK)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def norm(x, weights, name):
    return reference.layer_norm(
        x, weights[f"{name}/gamma"], weights[f"{name}/beta"]
    )


def test_epsilon_of_the_normalizations_is_tiny():
    layer = build()
    for layer_norm in (layer.attention_layer_norm, layer.output_layer_norm):
        y = reference.to_numpy(layer_norm(1e-4 * X))
        np.testing.assert_allclose(y.std(axis=-1), 1.0, atol=1e-3)


GRID = np.linspace(-6, 6, 1201, dtype="float32")


def test_gelu_by_the_error_function():
    ours = transformer.activation_function("gelu")(ops.convert_to_tensor(GRID))
    expected = reference.gelu(GRID.astype("float64"))
    # float32: values up to 6
    np.testing.assert_allclose(reference.to_numpy(ours), expected, atol=2e-6)


def test_gelu_by_the_tangent():
    function = transformer.activation_function("gelu_approximate")
    ours = reference.to_numpy(function(ops.convert_to_tensor(GRID)))
    x = GRID.astype("float64")
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    np.testing.assert_allclose(ours, x * (1 + np.tanh(inner)) / 2, atol=2e-6)
    assert 4e-4 < np.abs(ours - reference.gelu(x)).max() < 5e-4


def test_other_activations_go_by_their_name():
    relu = transformer.activation_function("relu")
    assert relu is keras.activations.relu
    with pytest.raises(ValueError, match="no_such"):
        transformer.activation_function("no_such")


def test_activation_reaches_the_layer():
    exact, tangent = build(), build(activation="gelu_approximate")
    reference.randomize(exact, 2.0)
    tangent.set_weights(exact.get_weights())
    difference = np.abs(
        reference.run(exact, X, MASK) - reference.run(tangent, X, MASK)
    ).max()
    assert 1e-6 < difference < 1e-2


def test_dropout_only_in_training():
    layer = build(dropout=0.5, attention_dropout=0.0)
    still = reference.run(layer, X, MASK)
    np.testing.assert_array_equal(still, reference.run(layer, X, MASK))
    assert not np.allclose(
        still, reference.to_numpy(layer(X, MASK, training=True))
    )
    none = build(dropout=0.0, attention_dropout=0.0)
    tokens = MASK[..., None]  # nothing reads what padding gives
    np.testing.assert_allclose(
        tokens * reference.run(none, X, MASK),
        tokens * reference.run(functools.partial(none, training=True), X, MASK),
        atol=1e-5,
    )


def test_initial_values():
    layer = TransformerLayer(2, 100)
    layer.build((None, None, 80))
    for name in ("intermediate_dense", "output_dense"):
        reference.check_truncated_normal(getattr(layer, name).kernel)
        reference.check_constant(getattr(layer, name).bias, 0)
    for name in ("attention_layer_norm", "output_layer_norm"):
        reference.check_constant(getattr(layer, name).gamma, 1)
        reference.check_constant(getattr(layer, name).beta, 0)
    assert len(layer.weights) == 12


def test_config():
    layer = build(
        dropout=0.3,
        attention_dropout=0.2,
        activation="relu",
        initializer_range=0.2,
    )
    config = layer.get_config()
    assert TransformerLayer.from_config(config).get_config() == config


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    layer = build(dtype=policy)
    assert {w.dtype for w in layer.weights} == {"float32"}
    y = layer(X, MASK)
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    full = build()
    full.set_weights(layer.get_weights())
    # bfloat16 has three digits
    np.testing.assert_allclose(
        reference.to_numpy(ops.cast(y, "float32")),
        reference.run(full, X, MASK),
        atol=0.05,
    )
