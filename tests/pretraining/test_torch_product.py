"""Products by oneDNN are those of numpy, on torch."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch_product = pytest.importorskip("keras_electra.backend.torch_product")
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
        (torch_product.product(t(x), t(kernel)), x @ kernel),
        (
            torch_product.product(t(x), t(kernel), t(bias)),
            x @ kernel + bias,
        ),
        (
            torch_product.input_gradient(t(gradient), t(kernel)),
            gradient @ kernel.T,
        ),
        (
            torch_product.input_gradient(t(gradient), t(kernel), t(x.copy())),
            gradient @ kernel.T + x,
        ),
        (torch_product.kernel_gradient(t(x), t(gradient)), x.T @ gradient),
    ]:
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_no_rows_at_all():
    nothing, kernel = torch.zeros(0, 5), torch.ones(5, 3)
    assert torch_product.product(nothing, kernel).shape == (0, 3)
    gradient = torch_product.kernel_gradient(nothing, torch.zeros(0, 3))
    assert (gradient == torch.zeros(5, 3)).all()


def test_bfloat16_as_the_processor_can():
    dtype = torch_product.type_to_compute_in(torch.bfloat16)
    assert dtype in (torch.bfloat16, torch.float32)
    assert torch_product.type_to_compute_in(torch.float32) == torch.float32
    x, kernel, bias = torch.ones(7, 5), torch.full((5, 9), 0.5), torch.ones(9)
    half = [tensor.bfloat16() for tensor in (x, kernel, bias)]
    found = torch_product.product(*half)
    assert found.dtype == torch.bfloat16
    assert (found == 3.5).all()


@pytest.mark.parametrize("supported", [True, False])
def test_bfloat16_is_computed_in_float32_where_it_is_slow(
    monkeypatch, supported
):
    compute = torch_product.type_to_compute_in.__wrapped__
    monkeypatch.setattr(
        torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported
    )
    expected = torch.bfloat16 if supported else torch.float32
    assert compute(torch.bfloat16) == expected
