import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.model import attention
from keras_electra.model.attention import SelfAttention
from tests.model import reference

X = reference.RNG.normal(size=(2, 4, 6)).astype("float32")
MASK = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], "int32")


def build(**kwargs):
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


def test_by_hand():
    layer = build()
    expected = attend(X, MASK, reference.randomize(layer))
    ours = reference.run(layer, X, MASK)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fused_attention_gives_the_same(policy):
    layer = build(dtype=policy)
    reference.randomize(layer)
    plain = ops.convert_to_numpy(ops.cast(layer(X, MASK), "float32"))
    layer.fused = True
    fused = ops.convert_to_numpy(ops.cast(layer(X, MASK), "float32"))
    atol = 1e-5 if policy == "float32" else 0.1
    np.testing.assert_allclose(
        plain * MASK[..., None], fused * MASK[..., None], atol=atol
    )
    assert np.isfinite(fused).all()


def test_fused_attention_is_for_accelerators_and_without_dropout(monkeypatch):
    layer = build(dropout=0.5)
    assert layer.fused == attention.on_accelerator()
    layer.fused = True
    monkeypatch.setattr(layer, "_fused", lambda x, mask: 0 * x[:, :, 0])
    bias = ops.convert_to_numpy(layer.output_dense.bias)
    now = ops.convert_to_numpy(layer(X, MASK))
    np.testing.assert_array_equal(now, np.broadcast_to(bias, now.shape))
    seed = layer.dropout_layer.draw_seed(True)
    assert np.any(ops.convert_to_numpy(layer(X, MASK, seed=seed)) != now)


def test_what_stands_in_the_padding_is_not_read():
    layer = build()
    reference.randomize(layer)
    other = np.where(MASK[:, :, None] == 1, X, 100 * X)
    tokens = MASK == 1
    np.testing.assert_array_equal(
        reference.run(layer, X, MASK)[tokens],
        reference.run(layer, other, MASK)[tokens],
    )


def test_a_row_of_nothing_but_padding_stays_finite():
    layer = build(dtype="mixed_float16")
    y = layer(X, np.zeros((2, 4), "int32"))
    assert np.all(np.isfinite(reference.to_numpy(y)))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_softmax_in_float32(policy, monkeypatch):
    layer, seen, softmax = build(dtype=policy), [], ops.softmax

    def spy(x):
        seen.append(keras.backend.standardize_dtype(x.dtype))
        return softmax(x)

    monkeypatch.setattr(ops, "softmax", spy)
    y = layer(X, MASK)
    assert seen == ["float32"]
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    assert {w.dtype for w in layer.weights} == {"float32"}


def test_dropout_of_the_weights_only_in_training():
    layer = build(dropout=0.5)
    assert layer.dropout_layer.draw_seed(training=False) is None
    reference.randomize(layer)
    still = reference.run(layer, X, MASK)
    seed = layer.dropout_layer.draw_seed(training=True)
    dropped = reference.to_numpy(layer(X, MASK, seed=seed))
    np.testing.assert_array_equal(still, reference.run(layer, X, MASK))
    assert not np.allclose(still, dropped)
    # What is dropped are weights, not outputs: none is zero.
    assert np.all(dropped != 0)


def test_initial_values():
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


def test_config():
    layer = build(dropout=0.3, initializer_range=0.2)
    config = layer.get_config()
    assert SelfAttention.from_config(config).get_config() == config
    assert layer.compute_output_spec(
        keras.KerasTensor((2, 4, 6)), MASK
    ).shape == (2, 4, 6)
