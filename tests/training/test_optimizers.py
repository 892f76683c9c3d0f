"""The optimizer against the original's numbers, by hand, and in Keras."""

import contextlib
import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.backend.files import read_checkpoint
from keras_electra.training import optimizers
from keras_electra.training.optimizers import ElectraAdamW
from keras_electra.training.recipes import WarmupPolynomialDecay
from keras_electra.training.recipes import pretraining_optimizer


class LoopAdamW(ElectraAdamW):
    """Variable by variable in plain operations, on every backend."""

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        for gradient, variable in zip(grads, trainable_variables):
            self.update_step(gradient, variable, learning_rate)


def make_variable(value, path="dense/kernel"):
    *scopes, name = path.split("/")
    with contextlib.ExitStack() as stack:
        for scope in scopes:
            stack.enter_context(keras.name_scope(scope))
        return keras.Variable(np.asarray(value, "float32"), name=name)


def apply(optimizer, gradients, variables):
    """One step, the way each backend's `fit` takes it."""
    gradients = [ops.convert_to_tensor(g, "float32") for g in gradients]
    if keras.config.backend() == "torch":
        import torch

        with torch.no_grad():
            optimizer.apply(gradients, variables)
    elif keras.config.backend() == "jax":
        import jax

        if not optimizer.built:
            optimizer.build(variables)
        updated = jax.jit(optimizer.stateless_apply)(
            [v.value for v in optimizer.variables],
            gradients,
            [v.value for v in variables],
        )
        for variable, value in zip(variables, updated[0]):
            variable.assign(value)
        for variable, value in zip(optimizer.variables, updated[1]):
            variable.assign(value)
    else:
        optimizer.apply(gradients, variables)


def values(variables):
    return [ops.convert_to_numpy(ops.copy(v)) for v in variables]


# The original implementation, one step from a real checkpoint.


@pytest.fixture(scope="module")
def recorded(golden):
    settings = json.loads((golden / "tiny_grads.json").read_text())
    arrays = np.load(golden / "tiny_grads.npz")
    _, read = read_checkpoint(golden / "tiny_ckpt")
    names = list(settings["weight_decay_applied"])
    return settings, names, arrays, [read(name) for name in names]


@pytest.mark.parametrize("cls", [ElectraAdamW, LoopAdamW])
def test_one_step_of_the_original(recorded, cls):
    settings, names, arrays, start = recorded
    chosen = settings["optimizer"]
    optimizer = cls(
        WarmupPolynomialDecay(
            chosen["learning_rate"],
            chosen["num_train_steps"],
            chosen["warmup_steps"],
            chosen["lr_decay_power"],
        ),
        weight_decay=chosen["weight_decay_rate"],
        beta_1=chosen["beta_1"],
        beta_2=chosen["beta_2"],
        epsilon=chosen["epsilon"],
        global_clipnorm=chosen["clip_norm"],
    )
    variables = [make_variable(w, path) for w, path in zip(start, names)]
    optimizer.build(variables)
    optimizer.iterations.assign(settings["start_global_step"])
    np.testing.assert_allclose(
        float(ops.convert_to_numpy(optimizer.learning_rate)),
        settings["lr_used_at_each_of_the_3_steps"][0],
        rtol=3e-7,
    )
    apply(optimizer, [arrays[f"grad/{name}"] for name in names], variables)

    assert optimizer.variables[0].path.endswith("iteration")
    step = int(ops.convert_to_numpy(optimizer.iterations))
    assert step == settings["start_global_step"] + 1
    for name, got in zip(names, values(variables)):
        np.testing.assert_allclose(
            got, arrays[f"after1/{name}"], rtol=0, atol=2e-7, err_msg=name
        )


def test_which_variables_the_original_decays(recorded):
    settings, names, _, start = recorded
    rate = settings["optimizer"]["weight_decay_rate"]
    optimizer = ElectraAdamW(weight_decay=rate)
    optimizer.build([make_variable(w, path) for w, path in zip(start, names)])
    decayed = {n: decay == rate for n, decay in zip(names, optimizer._decays)}
    assert decayed == settings["weight_decay_applied"]


def test_global_norm_of_the_original(recorded):
    settings, names, arrays, _ = recorded
    gradients = [ops.convert_to_tensor(arrays[f"grad/{n}"]) for n in names]
    expected = settings["global_norm_before_clipping_at_step_1_2_3_and_after_3"]
    norm = optimizers.global_norm(gradients)
    np.testing.assert_allclose(float(norm), expected[0], rtol=1e-6)
    clipped = optimizers.clip_by_global_norm(gradients, 1.0)
    np.testing.assert_allclose(
        float(optimizers.global_norm(clipped)), 1.0, rtol=1e-6
    )


# By hand.


def by_hand(w, gradients, rate, decay, correct=False, epsilon=1e-6):
    """The rule in float64 NumPy, gradients already clipped."""
    w, m, v = np.array(w, "float64"), 0.0, 0.0
    for t, g in enumerate(np.array(gradients, "float64"), 1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        m_hat = m / (1 - 0.9**t) if correct else m
        v_hat = v / (1 - 0.999**t) if correct else v
        w = w - rate * (m_hat / (np.sqrt(v_hat) + epsilon) + decay * w)
    return w


@pytest.mark.parametrize("cls", [ElectraAdamW, LoopAdamW])
def test_first_step_in_plain_numbers(cls):
    # m = 0.1 * 0.5, v = 0.001 * 0.25, u = 0.05 / (0.0158114 + 0.000001)
    # = 3.1620777, and -3.1620777; plus 0.01 * 2; times the rate of 0.1.
    variable = make_variable([2.0, 2.0])
    apply(cls(0.1, global_clipnorm=None), [[0.5, -0.5]], [variable])
    np.testing.assert_allclose(
        values([variable])[0], [1.6817922, 2.3142078], atol=1e-6
    )


@pytest.mark.parametrize("cls", [ElectraAdamW, LoopAdamW])
@pytest.mark.parametrize("correct", [False, True])
def test_two_steps(cls, correct):
    gradients = [[0.3, -0.4], [0.1, 0.2]]
    variable = make_variable([1.0, -2.0])
    optimizer = cls(0.05, weight_decay=0.02, bias_correction=correct)
    for gradient in gradients:
        apply(optimizer, [gradient], [variable])
    expected = by_hand([1.0, -2.0], gradients, 0.05, 0.02, correct)
    np.testing.assert_allclose(values([variable])[0], expected, rtol=2e-6)


def test_bias_correction_is_keras_adamw():
    # Keras adds epsilon to the uncorrected root; without epsilon they agree.
    gradients = [[0.3, -0.4], [0.1, 0.2], [-0.5, 0.01]]
    ours, theirs = make_variable([1.0, -2.0]), make_variable([1.0, -2.0])
    optimizer = ElectraAdamW(0.01, bias_correction=True, epsilon=0.0)
    reference = keras.optimizers.AdamW(
        0.01, weight_decay=0.01, epsilon=1e-12, global_clipnorm=1.0
    )
    for gradient in gradients:
        apply(optimizer, [gradient], [ours])
        apply(reference, [gradient], [theirs])
    np.testing.assert_allclose(*values([ours, theirs]), rtol=3e-6)


@pytest.mark.parametrize("clip", [1.0, None])
def test_both_paths_agree(clip):
    rng = np.random.default_rng(0)
    shapes = {"a/kernel": (7, 5), "a/bias": (5,), "ln/gamma": (3,), "b/w": (2,)}
    start = [rng.normal(size=shape) for shape in shapes.values()]
    results = []
    for cls in (ElectraAdamW, LoopAdamW):
        variables = [make_variable(w, p) for w, p in zip(start, shapes)]
        optimizer = cls(0.01, global_clipnorm=clip, bias_correction=True)
        rng = np.random.default_rng(1)
        for _ in range(3):
            apply(
                optimizer, [rng.normal(size=w.shape) for w in start], variables
            )
        results.append(values(variables) + values(optimizer.variables))
    names = [v.path for v in variables + optimizer.variables]
    for name, ours, plain in zip(names, *results, strict=True):
        np.testing.assert_allclose(
            ours, plain, rtol=3e-6, atol=5e-7, err_msg=name
        )


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="torch's functions"
)
def test_torch_takes_the_fast_path(monkeypatch):
    from keras_electra.backend import torch as fused

    steps = []
    monkeypatch.setattr(
        fused, "adam_step", lambda *args: steps.append(len(args[0]))
    )
    variables = [make_variable([1.0]), make_variable([2.0])]
    apply(ElectraAdamW(0.1), [[1.0], [1.0]], variables)
    assert steps == [2]


@pytest.mark.skipif(keras.config.backend() != "torch", reason="torch's")
def test_torch_compiles_around_the_fast_path():
    """`jit_compile=True`, whose compiler does not know the fused update."""
    import torch

    from keras_electra.backend import torch as fused

    weight = torch.ones(3)
    row = weight, torch.ones(3), torch.zeros(3), torch.zeros(3), 0.0, 1.0

    @torch.compile(backend="aot_eager")
    def step(rate):
        fused.adam_step([row], rate, 0.9, 0.999, 1e-6)

    step(torch.tensor(0.5))
    assert float(weight.max()) < 1


# Clipping.


def test_clipping_by_hand():
    gradients = [ops.convert_to_tensor([3.0]), ops.convert_to_tensor([[4.0]])]
    assert float(optimizers.global_norm(gradients)) == 5.0
    clipped = values(optimizers.clip_by_global_norm(gradients, 1.0))
    np.testing.assert_allclose(clipped[0], [0.6], rtol=1e-6)
    np.testing.assert_allclose(clipped[1], [[0.8]], rtol=1e-6)
    short = values(optimizers.clip_by_global_norm(gradients, 6.0))
    np.testing.assert_array_equal(short[1], [[4.0]])
    zero = optimizers.clip_by_global_norm([ops.zeros((2,))], 1.0)
    np.testing.assert_array_equal(values(zero)[0], [0.0, 0.0])


def test_clipping_half_precision_is_measured_in_float32():
    gradients = [ops.full((300, 300), 1.0, "bfloat16")]
    norm = optimizers.global_norm(gradients)
    np.testing.assert_allclose(float(norm), 300.0, rtol=1e-6)
    clipped = optimizers.clip_by_global_norm(gradients, 3.0)[0]
    assert keras.backend.standardize_dtype(clipped.dtype) == "bfloat16"
    np.testing.assert_allclose(float(clipped[0, 0]), 0.01, rtol=1e-2)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_one_bad_gradient_spoils_all_visibly(bad):
    gradients = [ops.convert_to_tensor([1.0]), ops.convert_to_tensor([bad])]
    for clipped in values(optimizers.clip_by_global_norm(gradients, 1.0)):
        assert np.isnan(clipped).all()


def test_norm_is_in_float32():
    gradients = [ops.full((4,), 300.0, "float16")]  # squares overflow
    assert float(optimizers.global_norm(gradients)) == pytest.approx(600.0)


def test_rows_of_a_lookup_are_summed():
    if keras.config.backend() != "tensorflow":
        gradient = ops.ones((2,))
        assert optimizers.densify(gradient) is gradient
        return
    import tensorflow as tf

    rows = tf.IndexedSlices(
        tf.constant([[1.0], [2.0]]),
        tf.constant([1, 1]),
        tf.constant([3, 1]),
    )
    dense = optimizers.densify(rows)
    np.testing.assert_array_equal(dense.numpy(), [[0.0], [3.0], [0.0]])


def test_repeated_tokens_are_summed_before_clipping():
    # On TensorFlow the gradient of a lookup is a list of slices.
    layer = keras.layers.Embedding(3, 2, embeddings_initializer="zeros")
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layer])
    optimizer = ElectraAdamW(0.1, global_clipnorm=2.0)
    model.compile(optimizer, loss=lambda y, p: ops.sum(p) - ops.sum(y))
    model.fit(np.array([[1, 1, 2]]), np.zeros((1, 3, 2)), verbose=0)
    # Gradient: rows 0, [2 2], [1 1]; its norm is sqrt(10).
    momentum = values(optimizer.variables)[-2]
    row = 0.1 * 2.0 / np.sqrt(10)
    np.testing.assert_allclose(
        momentum, [[0, 0], [2 * row] * 2, [row] * 2], rtol=1e-6
    )


# Which variables are decayed.


def decays(optimizer, paths):
    optimizer.build([make_variable([1.0], path) for path in paths])
    return [decay > 0 for decay in optimizer._decays]


def test_decay_goes_by_the_own_name_and_the_layer():
    paths = {
        "model/dense/kernel": True,
        "model/dense/bias": False,
        "model/output_bias": False,
        "model/self_attention_layer_norm/gamma": False,
        "model/layer_normalization_3/scale": False,
        "electra/LayerNorm/scale": False,
        "debias_model/beta_head/kernel": True,
        "model/token_embedding/embeddings": True,
    }
    assert decays(ElectraAdamW(), paths) == list(paths.values())


def test_further_exclusions():
    optimizer = ElectraAdamW()
    optimizer.exclude_from_weight_decay(var_names=["embed"])
    paths = ["a/embeddings", "a/kernel", "a/bias"]
    assert decays(optimizer, paths) == [False, True, False]
    with pytest.raises(ValueError, match="before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])

    kernel, other = make_variable([1.0]), make_variable([1.0])
    optimizer = ElectraAdamW()
    optimizer.exclude_from_weight_decay(var_list=[kernel])
    optimizer.build([kernel, other])
    assert optimizer._decays == (0.0, 0.01)


def test_no_decay_at_all():
    assert decays(ElectraAdamW(weight_decay=None), ["a/kernel"]) == [False]
    assert decays(ElectraAdamW(weight_decay=0.0), ["a/kernel"]) == [False]


# In Keras' machinery.


def small_model():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="tanh"),
            keras.layers.LayerNormalization(),
            keras.layers.Dense(1),
        ]
    )


def small_data(n=16):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)).astype("float32"), rng.normal(size=(n, 1))


def fit(optimizer, batch_size=4, epochs=1, model=None, **compile_arguments):
    model = model or small_model()
    model.compile(optimizer, loss="mse", **compile_arguments)
    x, y = small_data()
    model.fit(x, y, batch_size, epochs, shuffle=False, verbose=0)
    return model


def test_compiled_equals_eager():
    schedule = WarmupPolynomialDecay(0.05, 20, 2.5)
    compiled = fit(ElectraAdamW(schedule))
    eager = fit(ElectraAdamW(schedule), run_eagerly=True)
    for ours, theirs in zip(values(compiled.weights), values(eager.weights)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="others have no such flag"
)
def test_tensorflow_xla():
    ours = fit(ElectraAdamW(0.05), jit_compile=True)
    theirs = fit(ElectraAdamW(0.05), jit_compile=False)
    for a, b in zip(values(ours.weights), values(theirs.weights)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_gradient_accumulation_equals_the_larger_batch():
    whole = fit(ElectraAdamW(0.05, bias_correction=True), batch_size=8)
    parts = fit(
        ElectraAdamW(0.05, bias_correction=True, gradient_accumulation_steps=2),
        batch_size=4,
    )
    for a, b in zip(values(whole.weights), values(parts.weights)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_moving_average():
    variable = make_variable([1.0, 2.0])
    optimizer = ElectraAdamW(0.1, use_ema=True, ema_momentum=0.5)
    average = np.zeros(2)
    for step in range(2):
        apply(optimizer, [[1.0, -1.0]], [variable])
        current = values([variable])[0]
        average = current if step == 0 else 0.5 * (average + current)
    optimizer.finalize_variable_values([variable])
    np.testing.assert_allclose(values([variable])[0], average, rtol=1e-6)


def test_loss_scale():
    plain, scaled = make_variable([1.0]), make_variable([1.0])
    apply(ElectraAdamW(0.1), [[0.5]], [plain])
    apply(ElectraAdamW(0.1, loss_scale_factor=64.0), [[32.0]], [scaled])
    np.testing.assert_allclose(*values([plain, scaled]), rtol=1e-6)


def test_loss_scale_optimizer_skips_what_is_not_finite():
    variable = make_variable([1.0])
    inner = ElectraAdamW(0.1)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0)
    optimizer.build([variable])
    apply(optimizer, [[np.inf]], [variable])
    assert values([variable])[0] == [1.0]
    apply(optimizer, [[0.5]], [variable])  # the scale is 1 by now
    expected = by_hand([1.0], [[0.5]], 0.1, 0.01)
    np.testing.assert_allclose(values([variable])[0], expected, rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16"])
def test_half_precision_trains(policy):
    keras.config.set_dtype_policy(policy)
    x, y = small_data()
    model = fit(ElectraAdamW(0.05), epochs=3)
    before = fit(ElectraAdamW(0.0)).evaluate(x, y, verbose=0)
    assert model.evaluate(x, y, verbose=0) < before


@pytest.mark.parametrize("scaled", [False, True])
def test_saved_model_goes_on_where_it_was(tmp_path, scaled):
    optimizer = ElectraAdamW(WarmupPolynomialDecay(0.05, 20, 2))
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model = fit(optimizer)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    pairs = zip(values(optimizer.variables), values(again.optimizer.variables))
    for ours, loaded in pairs:
        np.testing.assert_array_equal(ours, loaded)
    x, y = small_data()
    for one in (model, again):
        one.fit(x, y, 4, shuffle=False, verbose=0)
    for ours, loaded in zip(values(model.weights), values(again.weights)):
        np.testing.assert_allclose(ours, loaded, rtol=1e-6, atol=1e-7)


def test_round_trip():
    optimizer = ElectraAdamW(
        WarmupPolynomialDecay(1e-4, 77, 7.7),
        weight_decay=0.1,
        beta_1=0.8,
        beta_2=0.99,
        epsilon=1e-5,
        bias_correction=True,
        global_clipnorm=None,
        clipnorm=2.0,
        gradient_accumulation_steps=3,
        use_ema=True,
        name="mine",
    )
    config = json.loads(
        json.dumps(keras.saving.serialize_keras_object(optimizer))
    )
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, ElectraAdamW)
    assert again.get_config() == optimizer.get_config()
    assert again.bias_correction is True and again.clipnorm == 2.0


@pytest.mark.parametrize(
    "name, value",
    [
        ("weight_decay", -0.1),
        ("beta_1", 1.0),
        ("beta_2", -0.1),
        ("epsilon", -1e-6),
    ],
)
def test_bad_arguments_are_named(name, value):
    with pytest.raises(ValueError, match=f"`{name}`.*{name}={value}"):
        ElectraAdamW(**{name: value})


# The recipe.


def test_pretraining_optimizer_is_the_papers():
    optimizer = pretraining_optimizer("base")
    config = optimizer.get_config()
    assert config["learning_rate"]["config"] == {
        "learning_rate": 2e-4,
        "num_steps": 766_000,
        "warmup_steps": 10_000,
        "power": 1.0,
    }
    assert config["weight_decay"] == 0.01
    assert config["global_clipnorm"] == 1.0
    assert config["epsilon"] == 1e-6
    assert config["bias_correction"] is False


def test_pretraining_optimizer_for_a_short_run():
    optimizer = pretraining_optimizer(
        "small",
        num_steps=500,
        learning_rate=1e-3,
        gradient_accumulation_steps=4,
        weight_decay=0.0,
    )
    config = optimizer.get_config()
    assert config["learning_rate"]["config"] == {
        "learning_rate": 1e-3,
        "num_steps": 2000,
        "warmup_steps": 200,
        "power": 1.0,
    }
    assert config["weight_decay"] == 0.0
    own = pretraining_optimizer("small", num_steps=500, warmup_steps=7)
    assert own.get_config()["learning_rate"]["config"]["warmup_steps"] == 7
    with pytest.raises(ValueError, match="size='huge'"):
        pretraining_optimizer("huge")


@pytest.mark.parametrize(
    "arguments",
    [
        {"learning_rate": -1e-3},
        {"learning_rate": float("nan")},
        {"weight_decay": -0.1},
        {"global_clipnorm": -1.0},
        {"layer_rates": {"learning": -0.5}},
    ],
)
def test_negative_rates_are_errors(arguments):
    [(name, value)] = arguments.items()
    name = "learning" if isinstance(value, dict) else name
    with pytest.raises(ValueError, match=f"`{name}` must be a number >= 0"):
        ElectraAdamW(**arguments)
