import keras
import muon
import numpy as np
import pytest
from keras import ops
from muon import HalfPrecisionMuon
from muon import short_run_optimizer

from keras_electra.model.embeddings import ReplacedTokenHead


def test_orthogonalizes_in_half_precision():
    """As Keras' own class does, to the precision of bfloat16."""
    x = np.random.default_rng(0).normal(size=(8, 24)).astype("float32")
    x = ops.convert_to_tensor(x)
    half = HalfPrecisionMuon().zeropower_via_newtonschulz5(x, 5)
    whole = keras.optimizers.Muon().zeropower_via_newtonschulz5(x, 5)
    assert keras.backend.standardize_dtype(half.dtype) == "float32"
    half, whole = ops.convert_to_numpy(half), ops.convert_to_numpy(whole)
    cosine = (half * whole).sum() / (half**2).sum() ** 0.5
    assert cosine / (whole**2).sum() ** 0.5 > 0.99
    values = np.linalg.svd(half, compute_uv=False)
    assert 0.6 < values.min() and values.max() < 1.3


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_orthogonalizes_in_the_type_that_is_fast_here(dtype, monkeypatch):
    types, x = [], ops.ones((2, 3))
    assert muon.half_precision(x) in ("bfloat16", "float32")
    monkeypatch.setattr(muon, "half_precision", lambda x: dtype)
    monkeypatch.setattr(
        keras.optimizers.Muon,
        "zeropower_via_newtonschulz5",
        lambda self, x, steps: (
            types.append(keras.backend.standardize_dtype(x.dtype)) or x
        ),
    )
    found = HalfPrecisionMuon().zeropower_via_newtonschulz5(x, 5)
    assert types == [dtype]
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="Compilers see to it themselves."
)
@pytest.mark.parametrize("slow", [True, False])
def test_half_precision_is_float32_on_a_processor_that_is_slow(
    monkeypatch, slow
):
    import torch

    from keras_electra.backend import torch_operations

    dtype = torch.float32 if slow else torch.bfloat16
    monkeypatch.setattr(torch_operations, "type_to_compute_in", lambda _: dtype)
    on_cpu, elsewhere = torch.ones(1), torch.ones(1, device="meta")
    expected = "float32" if slow else "bfloat16"
    assert muon.half_precision(on_cpu) == expected
    assert muon.half_precision(elsewhere) == "bfloat16"


@pytest.mark.parametrize("nesterov", [True, False])
def test_all_matrices_of_a_shape_at_once(nesterov, monkeypatch):
    """Variables go where Keras' own class takes them, one by one."""
    random = np.random.default_rng(0)
    shapes = [(4, 12), (4, 12), (12, 4), (12, 4), (5, 5), (7,)]
    start = [random.normal(size=shape).astype("float32") for shape in shapes]
    monkeypatch.setattr(
        HalfPrecisionMuon,
        "zeropower_via_newtonschulz5",
        keras.optimizers.Muon.zeropower_via_newtonschulz5,
    )
    ends = []
    for optimizer_class in (HalfPrecisionMuon, keras.optimizers.Muon):
        optimizer = optimizer_class(0.1, nesterov=nesterov)
        variables = [keras.Variable(value) for value in start]
        for step in range(1, 4):
            gradients = [ops.convert_to_tensor(step - x) for x in start]
            optimizer.apply(gradients, variables)
        ends.append([ops.convert_to_numpy(v) for v in variables])
    for ours, theirs, before in zip(*ends, start):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
        assert np.abs(ours - before).mean() > 1e-2


def test_which_variables_take_which_step():
    model = keras.Sequential(
        [
            keras.layers.Embedding(7, 4, name="token_embedding"),
            keras.layers.Dense(4, name="dense"),
            ReplacedTokenHead(name="discriminator_head"),
        ]
    )
    model.build((None, 3))
    optimizer = short_run_optimizer(100, learning_rate=0.1)
    optimizer.build(model.trainable_variables)
    by_muon = {
        variable.path
        for variable, velocity in zip(
            model.trainable_variables, optimizer.adam_velocities
        )
        if velocity is None
    }
    head = model.layers[2]
    assert by_muon == {model.layers[1].kernel.path, head.dense.kernel.path}
    decayed = [
        variable.path
        for variable in model.trainable_variables
        if optimizer._use_weight_decay(variable)
    ]
    assert not any("bias" in path for path in decayed)
    assert model.layers[1].kernel.path in decayed


def test_warm_up_and_decay():
    rate = short_run_optimizer(100, learning_rate=0.1)._learning_rate
    values = [float(rate(step)) for step in (0, 5, 50, 100)]
    np.testing.assert_allclose(values, [0, 0.095, 0.05, 0], atol=1e-6)


def test_config():
    optimizer = short_run_optimizer(100)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, HalfPrecisionMuon)
    assert again.get_config() == optimizer.get_config()
