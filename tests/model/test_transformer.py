import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.backend import encoder_layer
from keras_electra.backend import numerics
from keras_electra.model.transformer import SelfAttention
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


# The attention alone.

TWO_SHORT = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], "int32")


def build_attention(**kwargs):
    layer = SelfAttention(2, **kwargs)
    layer.build((None, None, 6))
    return layer


def attend(x, mask, weights):
    """Head by head and row by row."""
    x = x.astype("float64")
    qkv = x @ weights["query_key_value/kernel"]
    qkv = qkv + weights["query_key_value/bias"]
    heads = np.zeros_like(x)
    for row, head in np.ndindex(2, 2):
        columns = slice(3 * head, 3 * head + 3)
        query, key, value = (
            qkv[row, :, 6 * part : 6 * part + 6][:, columns]
            for part in range(3)
        )
        scores = query @ key.T / np.sqrt(3)
        scores = np.exp(scores) * mask[row]
        scores /= scores.sum(-1, keepdims=True)
        heads[row, :, columns] = scores @ value
    return heads @ weights["output_dense/kernel"] + weights["output_dense/bias"]


def test_attention_by_hand():
    layer = build_attention()
    expected = attend(X, TWO_SHORT, reference.randomize(layer))
    ours = reference.run(layer, X, TWO_SHORT)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize(
    "policy", ["float32", "mixed_bfloat16", "mixed_float16"]
)
def test_fused_attention_gives_the_same(policy):
    layer = build_attention(dtype=policy, dropout=0.0)
    reference.randomize(layer)
    plain = ops.convert_to_numpy(ops.cast(layer(X, TWO_SHORT), "float32"))
    layer.fused = True
    fused = ops.convert_to_numpy(ops.cast(layer(X, TWO_SHORT), "float32"))
    atol = 1e-5 if policy == "float32" else 0.1
    np.testing.assert_allclose(
        plain * TWO_SHORT[..., None], fused * TWO_SHORT[..., None], atol=atol
    )
    assert np.isfinite(fused).all()


def test_fused_attention_is_for_accelerators_and_without_dropout(monkeypatch):
    layer = build_attention(dropout=0.5)
    assert layer.fused == numerics.on_accelerator()
    layer.fused = True
    monkeypatch.setattr(encoder_layer, "fused_attention", None, raising=False)
    monkeypatch.setattr(layer, "_fused", lambda x, mask: 0 * x[:, :, 0])
    bias = ops.convert_to_numpy(layer.output_dense.bias)
    now = ops.convert_to_numpy(layer(X, TWO_SHORT))
    np.testing.assert_array_equal(now, np.broadcast_to(bias, now.shape))
    seed = layer.dropout_layer.draw_seed(True)
    assert np.any(ops.convert_to_numpy(layer(X, TWO_SHORT, seed=seed)) != now)


def test_what_stands_in_the_padding_is_not_read():
    layer = build_attention()
    reference.randomize(layer)
    other = np.where(TWO_SHORT[:, :, None] == 1, X, 100 * X)
    tokens = TWO_SHORT == 1
    np.testing.assert_array_equal(
        reference.run(layer, X, TWO_SHORT)[tokens],
        reference.run(layer, other, TWO_SHORT)[tokens],
    )


def test_a_row_of_nothing_but_padding_stays_finite():
    layer = build_attention(dtype="mixed_float16")
    y = layer(X, np.zeros((2, 4), "int32"))
    assert np.all(np.isfinite(reference.to_numpy(y)))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_softmax_in_float32(policy, monkeypatch):
    layer, seen, softmax = build_attention(dtype=policy), [], ops.softmax

    def spy(x):
        seen.append(keras.backend.standardize_dtype(x.dtype))
        return softmax(x)

    monkeypatch.setattr(ops, "softmax", spy)
    y = layer(X, TWO_SHORT)
    assert seen == ["float32"]
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    assert {w.dtype for w in layer.weights} == {"float32"}


def test_dropout_of_the_weights_only_in_training():
    layer = build_attention(dropout=0.5)
    assert layer.dropout_layer.draw_seed(training=False) is None
    reference.randomize(layer)
    still = reference.run(layer, X, TWO_SHORT)
    seed = layer.dropout_layer.draw_seed(training=True)
    dropped = reference.to_numpy(layer(X, TWO_SHORT, seed=seed))
    np.testing.assert_array_equal(still, reference.run(layer, X, TWO_SHORT))
    assert not np.allclose(still, dropped)
    # What is dropped are weights, not outputs: none is zero.
    assert np.all(dropped != 0)


def test_attention_initial_values():
    layer = SelfAttention(4)
    layer.build((None, None, 80))
    for dense in (layer.query_key_value, layer.output_dense):
        reference.check_truncated_normal(dense.kernel)
        reference.check_constant(dense.bias, 0)
    kernel = reference.to_numpy(layer.query_key_value.kernel.value)
    query, key, value = np.split(kernel, 3, axis=1)
    assert not np.allclose(query, key) and not np.allclose(key, value)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="num_heads=4, hidden_dim=6"):
        SelfAttention(4).build((None, None, 6))
