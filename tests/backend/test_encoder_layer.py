"""The encoder layer as each backend has it written out, and the plain one."""

import functools
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.backend import encoder_layer
from keras_electra.model.transformer import TransformerLayer
from tests.checks import tiny_backbone

ROWS, LENGTH, WIDTH = 3, 7, 12
SHAPE = (ROWS, LENGTH, WIDTH)


def make_layer(
    dtype="float32", activation="gelu", dropout=0.1, name=None, epsilon=1e-12
):
    keras.utils.set_random_seed(3)
    layer = TransformerLayer(
        num_heads=3,
        intermediate_dim=24,
        dropout=dropout,
        attention_dropout=2 * dropout,
        activation=activation,
        initializer_range=0.3,
        layer_norm_epsilon=epsilon,
        dtype=dtype,
        name=name,
    )
    layer.build(SHAPE, SHAPE[:2])
    for weight in layer.trainable_variables:  # biases are zero at first
        noise = keras.random.normal(weight.shape, stddev=0.1, seed=1)
        weight.assign(weight + noise)
    return layer


def compute(layer, fast, training=True, padded=True):
    """Output and all gradients, in float32."""
    random = np.random.default_rng(0)
    x, factor = (
        ops.convert_to_tensor(random.normal(size=SHAPE), layer.compute_dtype)
        for _ in range(2)
    )
    mask = np.ones((ROWS, LENGTH), "int32")
    if padded:
        mask[1, 3:], mask[2, 5:] = 0, 0
    tokens = mask[..., None]
    mask = ops.convert_to_tensor(mask)
    factor = factor * ops.cast(tokens, factor.dtype)
    if not encoder_layer.can_run(layer, x, training):
        pytest.skip("Here the plain layer is the only one.")
    run, used = encoder_layer.run, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_layer, "can_run", lambda *_: fast)
        patch.setattr(
            encoder_layer, "run", lambda *args: used.append(1) or run(*args)
        )
        found = differentiate(layer, x, mask, factor, training)
    assert bool(used) == fast
    found = [ops.convert_to_numpy(ops.cast(t, "float32")) for t in found]
    found[0] = found[0] * tokens  # nothing reads what padding gives
    return found


@functools.cache  # compiling takes most of the time
def results(fast, training=True, padded=True, **kwargs):
    return compute(make_layer(**kwargs), fast, training, padded)


def differentiate(layer, x, mask, factor, training):
    """Output, and gradients of its product with `factor`."""
    backend = keras.config.backend()
    weights = [variable.value for variable in layer.trainable_variables]
    if backend == "torch":
        x.requires_grad_()
        layer.zero_grad()
        output = layer(x, mask, training=training)
        output.backward(factor)
        weights = [variable.value for variable in layer.trainable_variables]
        return [output.detach(), x.grad, *[weight.grad for weight in weights]]
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function
        def step(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                output = layer(x, mask, training=training)
            return output, *tape.gradient(output, [x, *weights], factor)

        return step(x)
    import jax

    others = [variable.value for variable in layer.non_trainable_variables]

    def product(x, weights):
        output, _ = layer.stateless_call(
            weights, others, x, mask, training=training
        )
        return (output * factor).astype("float32").sum(), output

    step = jax.jit(jax.grad(product, argnums=(0, 1), has_aux=True))
    (d_x, d_weights), output = step(x, weights)
    return [output, d_x, *d_weights]


def check_same(plain, fast):
    for expected, received in zip(plain, fast, strict=True):
        np.testing.assert_allclose(received, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"activation": "gelu_approximate", "padded": False},
        {"training": False},
        {"dropout": 0.0},
    ],
)
def test_equals_the_plain_layer(settings):
    check_same(results(False, **settings), results(True, **settings))


def test_half_precision_is_as_exact_as_in_the_plain_layer():
    exact, half = results(False), {"dtype": "mixed_bfloat16"}
    plain, fast = (results(fast, **half) for fast in (False, True))
    for truth, theirs, ours in zip(exact, plain, fast, strict=True):
        scale = np.linalg.norm(truth)
        error, usual = (np.linalg.norm(a - truth) for a in (ours, theirs))
        assert error < 1.5 * usual + 0.002 * scale


def test_epsilon_reaches_the_kernels():
    plain, fast = (results(fast, epsilon=0.3) for fast in (False, True))
    check_same(plain, fast)
    assert np.abs(fast[0] - results(True)[0]).max() > 0.01


def test_it_is_used_where_it_computes_the_same():
    layer, x = make_layer(), ops.ones(SHAPE)
    usual = encoder_layer.can_run(layer, x, True)
    on_cpu = "cpu" in str(getattr(x, "device", "cpu")).lower()
    assert usual == on_cpu
    assert not encoder_layer.can_run(layer, ops.cast(x, "float16"), True)
    layer.output_dense.enable_lora(2)
    assert not encoder_layer.can_run(layer, x, True)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("mode", ["full", "list_of_layers"])
def test_rematerialized_it_drops_the_same_twice(monkeypatch, mode, fast):
    if (keras.config.backend(), mode, fast) == ("tensorflow", "full", False):
        pytest.skip("Keras rematerializes Dense in no graph of TensorFlow.")
    expected = results(fast)
    calls = []
    with keras.RematScope(mode, layer_names=["the_layer"]):
        layer = make_layer(name="the_layer")
        call = layer.call
        monkeypatch.setattr(
            layer, "call", lambda *a, **k: calls.append(1) or call(*a, **k)
        )
        found = compute(layer, fast)
    if keras.config.backend() == "torch":  # the others trace the two at once
        assert len(calls) == 2
    for one, other in zip(expected, found):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


# What JAX makes of the layers of a network: one function, called by each.


@pytest.mark.skipif(
    keras.config.backend() != "jax", reason="It is JAX's own form of a layer."
)
def test_layers_share_their_functions():
    import jax

    num_layers = 3
    backbone = tiny_backbone(num_layers=num_layers)
    ids = np.ones((2, 6), "int32")
    x = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": ids}
    trainable = [v.value for v in backbone.trainable_variables]
    rest = [v.value for v in backbone.non_trainable_variables]

    def loss(trainable):
        y, _ = backbone.stateless_call(trainable, rest, x, training=True)
        return (y["sequence_output"] ** 2).sum()

    # The program of the gradient, before XLA has it.
    lowered = jax.jit(jax.grad(loss)).lower(trainable).as_text()
    functions = re.findall(r"func private @_layer\w*", lowered)
    assert len(functions) == 2  # forward and backward
    calls = re.findall(r"call @_layer", lowered)
    assert len(calls) == num_layers * len(functions)
