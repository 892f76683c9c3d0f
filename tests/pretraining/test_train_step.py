"""What the training step does beyond the sum of the losses."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.training.optimizers import ElectraAdamW
from tests.pretraining.conftest import FAST


def values(variables):
    return [np.array(ops.convert_to_numpy(v.value)) for v in variables]


def poison(pretrainer):
    """Makes every loss NaN through the bias of the discriminator's head."""
    bias = pretrainer.discriminator_head.output_dense.bias
    bias.assign(ops.full(bias.shape, np.nan))
    return bias


def test_a_step_that_is_not_finite_changes_nothing(make_pretrainer, rows):
    pretrainer = make_pretrainer()
    pretrainer.compile(optimizer=keras.optimizers.Adam(1e-2), **FAST)
    pretrainer.train_on_batch(rows)
    bias = poison(pretrainer)
    before = values(pretrainer.trainable_variables)
    slots = values(pretrainer.optimizer.variables)
    logs = pretrainer.train_on_batch(rows, return_dict=True)
    assert float(logs["skipped_steps"]) == 1
    assert float(logs["gradient_norm"]) == 0  # of no step
    for old, new in zip(before, values(pretrainer.trainable_variables)):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(slots, values(pretrainer.optimizer.variables)):
        np.testing.assert_array_equal(old, new)

    bias.assign(ops.zeros(bias.shape))
    logs = pretrainer.train_on_batch(rows, return_dict=True)
    assert float(logs["skipped_steps"]) == 0
    assert np.isfinite(float(logs["loss"]))
    changed = [
        np.any(old != new)
        for old, new in zip(slots, values(pretrainer.optimizer.variables))
    ]
    assert any(changed)


def test_fit_stops_after_too_many_skipped_steps(make_pretrainer, rows):
    pretrainer = make_pretrainer()
    pretrainer.max_skipped_steps = 3
    poison(pretrainer)
    with pytest.raises(FloatingPointError, match="last 3 steps"):
        pretrainer.fit(rows, batch_size=8, verbose=0)


def test_gradient_norms(make_pretrainer, rows):
    """Both norms from the change that plain gradient descent makes."""
    pretrainer = make_pretrainer()
    pretrainer.compile(optimizer=keras.optimizers.SGD(1e-2), **FAST)
    before = values(pretrainer.trainable_variables)
    logs = pretrainer.train_on_batch(rows, return_dict=True)
    after = values(pretrainer.trainable_variables)
    squares = {
        v.path: np.sum((new - old).astype("float64") ** 2) / 1e-4
        for v, old, new in zip(pretrainer.trainable_variables, before, after)
    }
    norm = np.sqrt(sum(squares.values()))
    own = np.sqrt(sum(v for k, v in squares.items() if k[:9] == "generator"))
    assert float(logs["gradient_norm"]) == pytest.approx(norm, rel=1e-3)
    assert float(logs["generator_gradient_norm"]) == pytest.approx(
        own, rel=1e-3
    )


def test_an_optimizer_each(make_pretrainer, rows, tmp_path):
    pretrainer = make_pretrainer()
    pretrainer.compile(
        optimizer=keras.optimizers.SGD(0.0),
        generator_optimizer=ElectraAdamW(1e-2),
        **FAST,
    )
    before = values(pretrainer.trainable_variables)
    pretrainer.train_on_batch(rows)
    for variable, old in zip(pretrainer.trainable_variables, before):
        moved = np.any(ops.convert_to_numpy(variable.value) != old)
        mine = variable.path.startswith(("generator/", "generator_head/"))
        if "key" not in variable.path:
            assert moved == mine, variable.path
    path = str(tmp_path / "model.keras")
    pretrainer.save(path)
    loaded = keras.saving.load_model(path)
    for ours, theirs in zip(
        values(loaded.optimizer.variables),
        values(pretrainer.optimizer.variables),
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_gradient_accumulation(make_pretrainer, rows):
    """Weights move at every second batch only."""
    pretrainer = make_pretrainer()
    pretrainer.compile(
        optimizer=ElectraAdamW(1e-2, gradient_accumulation_steps=2),
        **FAST,
    )
    before = values(pretrainer.trainable_variables)
    pretrainer.train_on_batch(rows)
    for old, new in zip(before, values(pretrainer.trainable_variables)):
        np.testing.assert_array_equal(old, new)
    pretrainer.train_on_batch(rows)
    after = values(pretrainer.trainable_variables)
    assert any(np.any(old != new) for old, new in zip(before, after))


def test_average_of_weights(make_pretrainer, rows):
    pretrainer = make_pretrainer()
    pretrainer.compile(
        optimizer=ElectraAdamW(1e-2, use_ema=True, ema_momentum=0.5),
        **FAST,
    )
    weights = [values(pretrainer.trainable_variables)]
    for _ in range(2):
        pretrainer.train_on_batch(rows)
        weights.append(values(pretrainer.trainable_variables))
    pretrainer.optimizer.finalize_variable_values(
        pretrainer.trainable_variables
    )
    mean = values(pretrainer.trainable_variables)
    for i in range(0, len(mean), 7):
        # Keras starts the average at the first weights it sees.
        low = np.minimum.reduce([w[i] for w in weights])
        high = np.maximum.reduce([w[i] for w in weights])
        assert (mean[i] >= low - 1e-6).all() and (mean[i] <= high + 1e-6).all()
        if np.abs(weights[1][i] - weights[2][i]).max() > 1e-4:
            assert np.any(mean[i] != weights[2][i])


def test_loss_scaling_finds_its_scale(make_pretrainer, rows):
    """Overflowing steps are counted, and the scale falls until none does."""
    pretrainer = make_pretrainer(dtype="mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(
        ElectraAdamW(1e-3), initial_scale=2.0**30
    )
    pretrainer.compile(optimizer=optimizer, **FAST)
    skipped = [
        float(
            pretrainer.train_on_batch(rows, return_dict=True)["skipped_steps"]
        )
        for _ in range(24)
    ]
    assert skipped[0] == 1 and skipped[-1] == 0
    assert float(optimizer.dynamic_scale) == 2.0 ** (30 - sum(skipped))
    assert int(optimizer.iterations) == 24 - sum(skipped)


def test_steps_per_execution(make_pretrainer, rows):
    """Two steps in one call give the weights of two calls."""
    if keras.config.backend() == "torch":
        pretrainer = make_pretrainer()
        pretrainer.compile(steps_per_execution=2)
        with pytest.raises(ValueError, match="steps_per_execution"):
            pretrainer.fit(rows, batch_size=16, verbose=0)
        return
    results, start = [], make_pretrainer().get_weights()
    for steps in (1, 2):
        pretrainer = make_pretrainer()
        pretrainer.set_weights(start)
        pretrainer.compile(
            optimizer=ElectraAdamW(1e-3), steps_per_execution=steps
        )
        pretrainer.fit(rows, batch_size=16, shuffle=False, verbose=0)
        results.append(pretrainer.get_weights())
    for one, two in zip(*results):
        np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.skipif(
    keras.config.backend() == "torch", reason="Torch compiles no step."
)
def test_the_step_is_traced_once(make_pretrainer, rows, monkeypatch):
    """A second trace doubles the time to the first step."""
    pretrainer, traces = make_pretrainer(), []
    step = type(pretrainer).train_step
    monkeypatch.setattr(
        type(pretrainer),
        "train_step",
        lambda self, *args: traces.append(1) or step(self, *args),
    )
    pretrainer.compile(optimizer=ElectraAdamW(1e-3), **FAST)
    for _ in range(2):
        pretrainer.train_on_batch(rows)
    assert len(traces) == 1


def test_compiled_and_eager_agree(make_pretrainer, rows):
    """XLA on TensorFlow draws other numbers; `test_original_numbers` has it."""
    results, start = [], make_pretrainer().get_weights()
    for arguments in (
        dict(run_eagerly=True),
        dict(jit_compile=keras.config.backend() == "jax"),
    ):
        pretrainer = make_pretrainer()
        pretrainer.set_weights(start)
        pretrainer.compile(optimizer=ElectraAdamW(1e-3), **arguments)
        pretrainer.train_on_batch(rows)
        results.append(pretrainer.get_weights())
    for one, two in zip(*results):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_dropout_and_masks_differ_between_steps(make_pretrainer, rows):
    pretrainer = make_pretrainer(dropout=0.1)
    pretrainer.compile(optimizer=keras.optimizers.SGD(0.0), **FAST)
    losses = {float(pretrainer.train_on_batch(rows)[0]) for _ in range(4)}
    assert len(losses) == 4


def test_same_seed_same_run(make_pretrainer, rows):
    losses = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        pretrainer = make_pretrainer(seed=5, dropout=0.1)
        history = pretrainer.fit(rows, batch_size=16, epochs=2, verbose=0)
        losses.append(history.history["loss"])
    assert losses[0] == losses[1]
