"""What accelerators compute instead of the plain operations, on a CPU."""

import contextlib

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.backend import encoder_layer
from keras_electra.backend import gradients
from keras_electra.backend import numerics
from keras_electra.backend.numerics import plain_layers
from keras_electra.model.transformer import SelfAttention
from keras_electra.pretraining.sampling import SampleTokens
from tests.pretraining.conftest import tiny_pretrainer

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


def differentiate(layer, mask, **kwargs):
    """What tokens read, and the gradient of the layer's input."""
    tokens = ops.convert_to_tensor(mask[..., None].astype("float32"))
    mask, found = ops.convert_to_tensor(mask), []

    def function(x):
        return (layer(x, mask, **kwargs) * tokens) ** 3

    x = ops.convert_to_numpy(make_x())
    found.append(gradients(function, x))
    with no_gradients():
        found.append(ops.convert_to_numpy(function(ops.convert_to_tensor(x))))
    return found


def no_gradients():
    if keras.config.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("mask", [FULL, SHORT, EMPTY])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_attention_and_its_gradients_are_those_of_plain(
    monkeypatch, mask, compiled
):
    layer = make_attention()
    if compiled:
        torch = pytest.importorskip("torch")
        if keras.config.backend() != "torch":
            pytest.skip("differs on torch alone")
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    fused = differentiate(layer, mask)
    layer.fused = False
    for ours, plain in zip(fused, differentiate(layer, mask), strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(
    keras.config.backend() == "torch", reason="draws by torch's own state"
)
@pytest.mark.parametrize("mask", [FULL, SHORT])
def test_weights_are_dropped_as_by_plain(mask):
    layer = make_attention(dropout=0.5)
    seed = ops.convert_to_tensor([1, 2], "uint32")
    fused = differentiate(layer, mask, seed=seed)
    layer.fused = False
    plain = differentiate(layer, mask, seed=seed)
    for ours, theirs in zip(fused, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-4)


def as_on_accelerators(monkeypatch):
    """What `on_accelerator` says, and kernels for CPUs off."""
    monkeypatch.setattr(numerics, "on_accelerator", lambda: True)
    monkeypatch.setattr(encoder_layer, "can_run", lambda *_: False)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_pretrainer_learns_as_on_a_cpu(monkeypatch):
    random = np.random.default_rng(0)
    mask = np.ones((4, 12), "int32")
    mask[1, 5:] = 0
    ids = random.integers(5, 32, mask.shape).astype("int32") * mask
    x = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": mask}
    draws = keras.config.backend() == "torch"  # in a way of its own
    found = []
    for dropout, fused in [(0.0, False), (0.0, True), (0.1, True)][: 2 + draws]:
        with monkeypatch.context() as patch:
            if fused:
                as_on_accelerators(patch)
            keras.utils.set_random_seed(2)
            pretrainer = tiny_pretrainer(dropout=dropout)
            layers = pretrainer.backbone.transformer_layers
            assert all(layer.attention.fused == fused for layer in layers)
            steps = [
                pretrainer.train_on_batch(x, return_dict=True) for _ in "12"
            ]
            found.append(steps[-1])
    plain, fused, *others = found
    for name in plain:
        np.testing.assert_allclose(fused[name], plain[name], rtol=1e-3)
    for dropped in others:
        np.testing.assert_allclose(dropped["loss"], plain["loss"], rtol=0.2)


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

    from keras_electra.backend import torch_operations

    found, random = [], np.random.default_rng(0)
    values, ids = random.normal(size=(2, 9, 300)), random.integers(0, 300, 18)
    ids = torch.tensor(ids.reshape(2, 9))
    for size in (torch_operations.ON_ACCELERATORS, 4 * 512):
        monkeypatch.setattr(torch_operations, "BYTES_AT_ONCE", size)
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

    kept = []
    for layer.fused in (False, True):
        backward = jax.eval_shape(lambda x: jax.vjp(function, x)[1], given)
        kept.append(
            {
                x.dtype.name
                for x in jax.tree.leaves(backward)
                if x.shape == large
            }
        )
    plain, fused = kept
    assert "float32" in plain and "float32" not in fused


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
