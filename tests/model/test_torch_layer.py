"""The draws of torch's encoder layer, and what it leaves to the plain one."""

import keras
import pytest
from keras import ops

from keras_electra.model.dropout import HashDropout
from tests.model.test_encoder_layer import make_layer

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
