"""The draws of torch's encoder layer, and what it leaves to the plain one."""

import keras
import pytest
from keras import ops

from keras_electra.model.dropout import HashDropout
from tests.model.test_encoder_layer import make_layer

torch = pytest.importorskip("torch")
torch_dropout = pytest.importorskip("keras_electra.backend.torch_dropout")
torch_layer = pytest.importorskip("keras_electra.backend.torch_layer")
pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="the torch backend's own layer"
)


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


def test_other_activations_get_the_plain_layer():
    layer, x = make_layer(), ops.ones((3, 7, 12))
    other = make_layer(activation="relu")
    assert torch_layer.can_run(layer, x, True) == (x.device.type == "cpu")
    assert not torch_layer.can_run(other, x, True)


def test_where_bfloat16_is_slow_a_layer_is_computed_in_float32(monkeypatch):
    layer = make_layer("mixed_bfloat16", dropout=0.0)
    x = torch.linspace(-2, 2, 3 * 7 * 12).view(3, 7, 12).bfloat16()
    x.requires_grad_()
    mask = torch.ones(3, 7, dtype=torch.int32)
    types, product = [], torch_layer.product
    monkeypatch.setattr(
        torch_layer, "type_to_compute_in", lambda dtype: torch.float32
    )
    monkeypatch.setattr(
        torch_layer,
        "product",
        lambda x, *rest: types.append(x.dtype) or product(x, *rest),
    )
    output = layer(x, mask, training=True)
    assert types == 4 * [torch.float32]
    assert output.dtype == torch.bfloat16
    exact = make_layer(dropout=0.0)(x.float(), mask, training=True)
    torch.testing.assert_close(output.float(), exact, atol=0.02, rtol=0.01)
    output.sum().backward()
    assert x.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("slow", [True, False])
def test_half_precision_is_float32_on_a_processor_that_is_slow(
    monkeypatch, slow
):
    dtype = torch.float32 if slow else torch.bfloat16
    monkeypatch.setattr(torch_layer, "type_to_compute_in", lambda _: dtype)
    on_cpu, elsewhere = torch.ones(1), torch.ones(1, device="meta")
    expected = "float32" if slow else "bfloat16"
    assert torch_layer.half_precision(on_cpu) == expected
    assert torch_layer.half_precision(elsewhere) == "bfloat16"
