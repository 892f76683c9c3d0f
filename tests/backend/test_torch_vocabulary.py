"""Loss and draw by blocks of rows on torch, against the plain operations."""

import keras
import numpy as np
import pytest

from keras_electra.pretraining.sampling import SampleTokens

torch = pytest.importorskip("torch")
torch_operations = pytest.importorskip("keras_electra.backend.torch_operations")
pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="the torch backend's own way"
)


def results(monkeypatch, fast, dtype, training):
    """Outputs and the gradient of the logits, of 14 rows in three blocks."""
    monkeypatch.setattr(torch_operations, "BYTES_AT_ONCE", 4 * 768 * 5)
    used = []
    monkeypatch.setattr(
        torch_operations, "can_predict", lambda logits: used.append(1) or fast
    )
    random = np.random.default_rng(0)
    logits = torch.tensor(random.normal(0, 3, (2, 7, 700)), dtype=dtype)
    logits.requires_grad_()
    ids = torch.tensor(random.integers(0, 700, (2, 7)), dtype=torch.int32)
    weights = torch.tensor(random.random((2, 7)), dtype=torch.float32)
    outputs = SampleTokens(seed=3)(logits, ids, training=training)
    (outputs["token_loss"] * weights).sum().backward()
    assert used
    return {**outputs, "gradient": logits.grad}


@pytest.mark.parametrize("training", [False, True])
def test_equals_the_plain_operations(monkeypatch, training):
    plain, fast = (
        results(monkeypatch, fast, torch.float32, training)
        for fast in (False, True)
    )
    for name, expected in plain.items():
        assert fast[name].dtype == expected.dtype
        np.testing.assert_allclose(
            fast[name].detach(), expected.detach(), atol=1e-5, rtol=1e-5
        )


def test_half_precision_rounds_the_gradient_only(monkeypatch):
    exact, half = (
        results(monkeypatch, fast, torch.bfloat16, True)
        for fast in (False, True)
    )
    for name in ("token_loss", "predicted_ids", "sampled_ids"):
        np.testing.assert_allclose(
            half[name].detach(), exact[name].detach(), rtol=1e-5
        )
    gradient = exact["gradient"].float()
    error = half["gradient"].float() - gradient
    assert error.norm() < 0.003 * gradient.norm()  # a bit of 8 is 0.004


def test_another_draw_takes_the_plain_operations(monkeypatch):
    monkeypatch.setattr(torch_operations, "predict", None)  # not to be called
    logits, ids = torch.zeros(1, 2, 9), torch.zeros(1, 2, dtype=torch.int32)
    for settings in ({"temperature": 0.5}, {"disallow_correct": True}):
        outputs = SampleTokens(seed=3, **settings)(logits, ids, training=True)
        assert outputs["sampled_ids"].shape == (1, 2)
