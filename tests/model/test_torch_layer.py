"""The encoder layer written out for torch, against the plain one."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.model.dropout import HashDropout
from keras_electra.model.transformer import TransformerLayer

torch = pytest.importorskip("torch")
torch_dropout = pytest.importorskip(
    "keras_electra.pretraining.train_step.torch_dropout"
)
torch_layer = pytest.importorskip(
    "keras_electra.pretraining.train_step.torch_layer"
)
pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="the torch backend's own layer"
)
ROWS, LENGTH, WIDTH = 3, 7, 12


def make_layer(dtype="float32", activation="gelu", dropout=0.1):
    keras.utils.set_random_seed(3)
    layer = TransformerLayer(
        num_heads=3,
        intermediate_dim=24,
        dropout=dropout,
        attention_dropout=2 * dropout,
        activation=activation,
        initializer_range=0.3,
        dtype=dtype,
    )
    layer.build((ROWS, LENGTH, WIDTH), (ROWS, LENGTH))
    for weight in layer.trainable_variables:  # biases are zero at first
        noise = keras.random.normal(weight.shape, stddev=0.1, seed=1)
        weight.assign(weight + noise)
    return layer


def results(layer, monkeypatch, fast, training, padded):
    """Output and all gradients, in float32."""
    random = np.random.default_rng(0)
    shape = (ROWS, LENGTH, WIDTH)
    x = ops.convert_to_tensor(random.normal(size=shape), layer.compute_dtype)
    factor = ops.convert_to_tensor(random.normal(size=shape), x.dtype)
    mask = np.ones((ROWS, LENGTH), "int32")
    if padded:
        mask[1, 3:], mask[2, 5:] = 0, 0
    used = []
    monkeypatch.setattr(
        torch_layer,
        "can_run",
        lambda *_: used.append(fast) or fast,
    )
    x.requires_grad_()
    layer.zero_grad()
    output = layer(x, ops.convert_to_tensor(mask), training=training)
    output.backward(factor)
    assert used
    gradients = [v.value.grad for v in layer.trainable_variables]
    return [
        tensor.detach().to(torch.float32).numpy()
        for tensor in (output, x.grad, *gradients)
    ]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "gelu_approximate"])
@pytest.mark.parametrize("training", [False, True])
def test_equals_the_plain_layer(monkeypatch, training, activation, padded):
    plain, fast = (
        results(make_layer("float32", activation), monkeypatch, *case)
        for case in [(False, training, padded), (True, training, padded)]
    )
    for expected, received in zip(plain, fast, strict=True):
        np.testing.assert_allclose(received, expected, atol=2e-5, rtol=1e-5)


def test_half_precision_is_as_exact_as_in_the_plain_layer(monkeypatch):
    exact, plain, fast = (
        results(make_layer(dtype), monkeypatch, fast, True, True)
        for dtype, fast in [
            ("float32", False),
            ("mixed_bfloat16", False),
            ("mixed_bfloat16", True),
        ]
    )
    for truth, theirs, ours in zip(exact, plain, fast, strict=True):
        scale = np.linalg.norm(truth)
        error, usual = (np.linalg.norm(a - truth) for a in (ours, theirs))
        assert error < 1.5 * usual + 0.002 * scale


@pytest.mark.parametrize("shape", [(2, 3, 8), (5, 7), (4, 1)])
def test_the_draws_are_those_of_the_layer(shape):
    layer, same = HashDropout(0.3, seed=5), HashDropout(0.3, seed=5)
    expected = layer(ops.ones(shape), training=True)
    mask = torch_dropout.keep_mask(shape, 0.3, same.seed_generator.next())
    assert ((expected != 0) == (mask == -1)).all()
    assert ((expected == 0) == (mask == 0)).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_sign_says_what_is_dropped(dtype):
    shape, seed = (5, 7), torch.tensor([3, 4])
    keep = torch_dropout.keep_mask(shape, 0.3, seed)
    signs = torch_dropout.sign_mask(shape, 0.3, seed)
    x = torch.rand(shape).to(getattr(torch, dtype)) + 0.1
    signed = torch_dropout.sign_(x.clone(), signs)
    assert (signed.abs() == x).all()
    assert ((signed > 0) == (keep == -1)).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dropping_sets_to_zero(dtype):
    x = torch.tensor([[1.5, -2.0, float("inf")]], dtype=getattr(torch, dtype))
    mask = torch.tensor([[-1, 0, 0]], dtype=torch.int16)
    assert torch_dropout.drop_(x, mask).tolist() == [[1.5, 0.0, 0.0]]


def test_it_is_used_where_it_computes_the_same():
    layer, x = make_layer(), ops.ones((ROWS, LENGTH, WIDTH))
    on_cpu = x.device.type == "cpu"
    assert torch_layer.can_run(layer, x) == on_cpu
    assert not torch_layer.can_run(layer, ops.cast(x, "float16"))
    assert not torch_layer.can_run(make_layer(activation="relu"), x)
    layer.output_dense.enable_lora(2)
    assert not torch_layer.can_run(layer, x)
