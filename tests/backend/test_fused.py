"""What accelerators compute instead of the plain operations, on a CPU."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.backend import encoder_layer
from keras_electra.backend.numerics import plain_layers
from keras_electra.model.transformer import SelfAttention
from keras_electra.pretraining.sampling import SampleTokens

on_torch = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="is torch's own attention"
)
on_jax = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="is about what JAX keeps"
)
FULL = np.ones((3, 6), "int32")
SHORT = np.array([[1] * 6, [1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 1, 0]], "int32")
EMPTY = SHORT * [[1], [0], [1]]


def make_attention(dtype="float32", dropout=0.0):
    keras.utils.set_random_seed(1)
    layer = SelfAttention(2, dropout, initializer_range=0.5, dtype=dtype)
    layer.build((3, 6, 8))
    layer.fused = True
    return layer


def make_x():
    x = np.random.default_rng(0).normal(size=(3, 6, 8))
    return ops.convert_to_tensor(x.astype("float32"))


@on_torch
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("mask", [FULL, SHORT, EMPTY])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_attention_and_its_gradients_are_those_of_plain(
    monkeypatch, mask, compiled
):
    import torch

    layer, tokens = make_attention(), torch.tensor(mask)[..., None]
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiled)
    found = []
    for fused in (False, True):
        layer.fused, x = fused, make_x().requires_grad_()
        layer.zero_grad()
        y = layer(x, torch.tensor(mask)) * tokens
        (y**3).sum().backward()
        weights = [v.value.grad for v in layer.trainable_variables]
        found.append([y.detach(), x.grad, *weights])
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, atol=1e-4, rtol=1e-4)


@on_torch
@pytest.mark.parametrize("mask", [FULL, SHORT])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_attention_drops_its_share_of_the_weights(mask):
    import torch

    length, rate = mask.shape[1], 0.25
    x = torch.zeros(*mask.shape, 3, 2, 8)  # every weight is 1 / tokens
    x[:, :length, 2] = torch.eye(8)[:length, None]  # read one by one
    torch.manual_seed(0)
    draws = torch.stack(
        [
            encoder_layer.fused_attention(x, torch.tensor(mask), rate)
            for _ in range(60)
        ]
    )
    tokens = torch.tensor(mask)
    pairs = (tokens[:, :, None] * tokens[:, None])[:, :, None].bool()
    pairs = pairs.expand(-1, -1, 2, -1)
    weights = draws[..., :length] * tokens.sum(1)[:, None, None, None]
    assert not weights[:, ~pairs].any()
    weights = weights[:, pairs]
    kept = weights > 0
    assert abs(kept.float().mean() - (1 - rate)) < 0.02
    torch.testing.assert_close(
        weights[kept], torch.full_like(weights[kept], 1 / (1 - rate))
    )


@on_torch
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_mask_that_was_changed_is_packed_again():
    import torch

    layer, x, mask = make_attention(), make_x(), torch.tensor(FULL)
    with torch.no_grad():
        before = layer(x, mask)
        mask[1, 3:] = 0
        after = layer(x, mask)
    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1, :3], before[1, :3])


@on_torch
def test_no_kernel_runs_where_they_are_off(monkeypatch):
    monkeypatch.setattr(encoder_layer, "fused_attention", None)
    with plain_layers():
        make_attention(dropout=0.5)(make_x(), FULL, seed=ops.ones(2, "int32"))


@on_torch
def test_large_blocks_of_the_vocabulary_give_the_same(monkeypatch):
    import torch

    from keras_electra.backend import torch_vocabulary

    found, random = [], np.random.default_rng(0)
    values, ids = random.normal(size=(2, 9, 300)), random.integers(0, 300, 18)
    ids = torch.tensor(ids.reshape(2, 9))
    for size in (torch_vocabulary.ON_ACCELERATORS, 4 * 512):
        monkeypatch.setattr(torch_vocabulary, "BYTES_AT_ONCE", size)
        logits = torch.tensor(values, requires_grad=True)
        y = SampleTokens(seed=3)(logits, ids, training=True)
        y["token_loss"].sum().backward()
        found.append([*y.values(), logits.grad])
    for large, small in zip(*found, strict=True):
        torch.testing.assert_close(large.detach(), small.detach())


@on_jax
@pytest.mark.parametrize("kind", ["attention", "vocabulary"])
def test_nothing_in_float32_is_kept_for_the_backward_pass(kind):
    import jax
    from jax import numpy as jnp

    if kind == "attention":
        layer, large = make_attention("bfloat16", 0.5), (3, 2, 6, 6)
        given = make_x().astype(jnp.bfloat16)
        seed = ops.convert_to_tensor([1, 2], "uint32")

        def function(x):
            return layer(x, SHORT, seed=seed)

    else:
        layer, large = SampleTokens(seed=3), (2, 4, 300)
        random = np.random.default_rng(0)
        given = jnp.asarray(random.normal(size=large), jnp.bfloat16)

        def function(logits):
            return layer(logits, np.ones((2, 4), "int32"))["token_loss"]

    found = []
    for layer.fused in (False, True):
        y, backward = jax.vjp(function, given)
        (gradient,) = backward(jnp.ones_like(y))
        kept = [
            leaf.dtype
            for leaf in jax.tree.leaves(backward)
            if getattr(leaf, "shape", ()) == large
        ]
        found.append((kept, y, gradient))
    (plain, *expected), (kept, *received) = found
    assert jnp.float32 in plain and jnp.float32 not in kept
    for one, other in zip(expected, received):
        one, other = (np.asarray(a, "float32") for a in (one, other))
        np.testing.assert_allclose(other, one, atol=1e-2, rtol=1e-2)


@on_torch
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_mask_seen_in_inference_mode_serves_training():
    import torch

    layer, mask = make_attention(), torch.tensor(SHORT)
    with torch.inference_mode():
        layer(make_x(), mask)
        made_there = torch.tensor(SHORT)
    for mask in (mask, made_there):
        layer.zero_grad()
        layer(make_x(), mask).sum().backward()
        assert layer.output_dense.kernel.value.grad.abs().sum() > 0
