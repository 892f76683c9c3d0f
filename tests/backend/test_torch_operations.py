"""Products by oneDNN are those of numpy, draws those of `HashDropout`."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.model.layers import HashDropout

torch = pytest.importorskip("torch")
operations = pytest.importorskip("keras_electra.backend.torch_operations")
pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="the torch backend's own products"
)


@pytest.mark.parametrize("rows, inputs, outputs", [(7, 5, 9), (6, 8, 4)])
def test_products(rows, inputs, outputs):
    random = np.random.default_rng(0)
    x, kernel, gradient, bias = (
        random.normal(size=shape).astype("float32")
        for shape in [
            (rows, inputs),
            (inputs, outputs),
            (rows, outputs),
            (outputs,),
        ]
    )
    t = torch.from_numpy
    for found, expected in [
        (operations.product(t(x), t(kernel)), x @ kernel),
        (
            operations.product(t(x), t(kernel), t(bias)),
            x @ kernel + bias,
        ),
        (
            operations.input_gradient(t(gradient), t(kernel), t(x.copy())),
            gradient @ kernel.T + x,
        ),
        (operations.weight_gradients(t(x), t(gradient))[0], x.T @ gradient),
    ]:
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_no_rows_at_all():
    nothing, kernel = torch.zeros(0, 5), torch.ones(5, 3)
    assert operations.product(nothing, kernel).shape == (0, 3)
    gradient, _ = operations.weight_gradients(nothing, torch.zeros(0, 3))
    assert (gradient == torch.zeros(5, 3)).all()


def test_bfloat16_as_the_processor_can():
    dtype = operations.type_to_compute_in(torch.bfloat16)
    assert dtype in (torch.bfloat16, torch.float32)
    assert operations.type_to_compute_in(torch.float32) == torch.float32
    x, kernel, bias = torch.ones(7, 5), torch.full((5, 9), 0.5), torch.ones(9)
    half = [tensor.bfloat16() for tensor in (x, kernel, bias)]
    found = operations.product(*half)
    assert found.dtype == torch.bfloat16
    assert (found == 3.5).all()


@pytest.mark.parametrize("supported", [True, False])
def test_bfloat16_is_computed_in_float32_where_it_is_slow(
    monkeypatch, supported
):
    compute = operations.type_to_compute_in.__wrapped__
    monkeypatch.setattr(
        torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported
    )
    expected = torch.bfloat16 if supported else torch.float32
    assert compute(torch.bfloat16) == expected


@pytest.mark.parametrize("shape", [(2, 3, 8), (5, 7), (4, 1)])
def test_the_draws_are_those_of_the_layer(shape):
    layer, same = HashDropout(0.3, seed=5), HashDropout(0.3, seed=5)
    expected = layer(ops.ones(shape), training=True)
    mask = operations.keep_mask(shape, 0.3, same.seed_generator.next())
    assert ((expected != 0) == (mask == -1)).all()
    assert ((expected == 0) == (mask == 0)).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_sign_says_what_is_dropped(dtype):
    shape, seed = (5, 7), torch.tensor([3, 4])
    keep = operations.keep_mask(shape, 0.3, seed)
    signs = operations.sign_mask(shape, 0.3, seed)
    x = torch.rand(shape).to(getattr(torch, dtype)) + 0.1
    signed = operations.sign_(x.clone(), signs)
    assert (signed.abs() == x).all()
    assert ((signed > 0) == (keep == -1)).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dropping_sets_to_zero(dtype):
    x = torch.tensor([[1.5, -2.0, float("inf")]], dtype=getattr(torch, dtype))
    mask = torch.tensor([[-1, 0, 0]], dtype=torch.int16)
    assert operations.drop_(x, mask).tolist() == [[1.5, 0.0, 0.0]]
