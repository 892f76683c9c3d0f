"""The default optimizer: every `fit` is a run with its own schedule."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_electra
from keras_electra.training.recipes import FinetuningAdamW
from keras_electra.training.recipes import finetuning_rate
from tests import checks
from tests.tasks.test_text_classifier import LABELS
from tests.tasks.test_text_classifier import TEXTS
from tests.tasks.test_text_classifier import build

ROWS = dict(zip(("x", "y"), (TEXTS[:2] * 5, LABELS[1:3] * 5)))  # 5 steps of 2


def rate_of(task):
    return float(ops.convert_to_numpy(task.optimizer.learning_rate))


class Rates(keras.callbacks.Callback):
    """The rate of the first step of each epoch; may break a run off."""

    def __init__(self, stop=None):
        super().__init__()
        self.rates, self.stop = [], stop

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.stop:
            raise KeyboardInterrupt
        self.rates.append(rate_of(self.model))


def rates(task, *callbacks, **kwargs):
    seen = Rates()
    kwargs = {**ROWS, "batch_size": 2, "epochs": 4, "verbose": 0, **kwargs}
    task.fit(callbacks=[*callbacks, seen], **kwargs)
    return seen.rates


@pytest.fixture(scope="module")
def task():
    task = build(dropout=0.0)
    checks.compile_quickly(task)
    return task


def planned(epochs=4, first=0):
    """Rates of the first steps of epochs, of ten steps and more in all."""
    at = np.arange(first, epochs) / epochs
    expected = 1e-3 * np.minimum(1, 10 * at) * (1 - at)
    return pytest.approx(expected.tolist(), abs=1e-8)


def test_each_fit_is_a_run(task, tmp_path):
    assert rates(task) == planned()
    assert int(task.optimizer.iterations) == 20
    # Outside of it there is none: nothing has a rate of 0.
    assert rate_of(task) == pytest.approx(1e-3)
    optimizer, weights = task.optimizer, task.get_weights()
    keras.utils.set_random_seed(1)
    assert rates(task, class_weight={0: 1.0, 1: 2.0}) == planned()
    first = task.get_weights()
    task.set_weights(weights)
    keras.utils.set_random_seed(1)
    assert rates(task, class_weight={0: 1.0, 1: 2.0}) == planned()
    for one, other in zip(first, task.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # nothing was left behind
    assert rates(task, steps_per_epoch=3, epochs=4) == planned()
    assert int(task.optimizer.iterations) == 12
    assert rates(task, initial_epoch=2) == planned(first=2)
    assert int(task.optimizer.iterations) == 20
    stream = (pair for pair in zip(*ROWS.values()))
    kwargs = dict(x=stream, y=None, epochs=2)
    assert rates(task, **kwargs) == pytest.approx([0.0, 1.5e-5])  # warms up
    kwargs["x"] = (pair for pair in zip(*ROWS.values()))
    assert rates(task, **kwargs, steps_per_epoch=5) == planned(2)
    # Without a warm-up, which would lose one of few steps.
    weights = task.output_dense.get_weights()[0]
    assert rates(task, batch_size=10, epochs=1) == pytest.approx([1e-3])
    assert np.abs(task.output_dense.get_weights()[0] - weights).max() > 5e-4
    assert task.optimizer is optimizer
    task.save(tmp_path / "task.keras")
    opened = keras.saving.load_model(tmp_path / "task.keras")
    assert isinstance(opened.optimizer, FinetuningAdamW)
    assert rates(opened, initial_epoch=2) == planned(first=2)


def test_rates_that_are_set(task):
    schedule = keras.callbacks.ReduceLROnPlateau(
        "loss", patience=0, min_delta=10
    )
    assert rates(task, schedule) == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])
    checks.compile_quickly(task)
    schedule = keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: rate / 2
    )
    assert rates(task, schedule) == pytest.approx(
        [5e-4, 2.5e-4, 1.25e-4, 6.25e-5]
    )
    assert rates(task, epochs=2) == pytest.approx([6.25e-5] * 2)
    checks.compile_quickly(task)
    task.optimizer.learning_rate = 2e-3
    assert rates(task, epochs=2) == pytest.approx([2e-3] * 2)
    checks.compile_quickly(task)
    assert rates(task, epochs=2) == planned(2)


def test_an_optimizer_of_ones_own_is_untouched(task):
    optimizer = keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)
    checks.compile_quickly(task, optimizer=optimizer)
    assert rates(task, epochs=2) == pytest.approx([0.01] * 2)
    assert rates(task, epochs=1) == pytest.approx([0.01])
    assert task.optimizer is optimizer and int(optimizer._iterations) == 15
    checks.compile_quickly(task)


def test_resumed_runs_go_on(tmp_path):
    """Equal bit for bit; of more epochs along the schedule of these."""

    def run(epochs=4, stop=None, **kwargs):
        keras.utils.set_random_seed(0)
        task = build(dropout=0.5, **kwargs)
        checks.compile_quickly(task)
        seen, folder = Rates(stop), tmp_path / (kwargs["name"])
        checkpoint = keras_electra.ResumableCheckpoint(folder, verbose=0)
        given = dict(epochs=epochs, batch_size=2, verbose=0)
        try:
            task.fit(**ROWS, **given, callbacks=[checkpoint, seen])
        except KeyboardInterrupt:
            checkpoint.on_train_end()  # the program has ended
        return task.get_weights(), seen.rates

    whole, _ = run(name="whole")
    run(name="parts", stop=2)
    resumed, seen = run(name="parts")
    assert seen == planned(first=2)
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one, other)
    _, seen = run(name="parts", epochs=8)
    assert seen == planned(8, 4)


def test_scaled_losses(tmp_path):
    task = build("mixed_float16")
    checks.compile_quickly(task)
    inner = task.optimizer.inner_optimizer
    assert isinstance(inner, FinetuningAdamW)
    late = rates(task)[1:]  # by the few steps that have found the scale
    assert late == pytest.approx([7.5e-4, 5e-4, 2.5e-4], abs=2e-4)
    assert task.optimizer.inner_optimizer is inner
    assert int(inner.iterations) + int(task.optimizer.step_counter) >= 15
    task.save(tmp_path / "task.keras")
    opened = keras.saving.load_model(tmp_path / "task.keras")
    assert rates(opened)[1:] == pytest.approx(late, abs=2e-4)


def test_rate_follows_the_size():
    widths = (128, 256, 768, 1024)
    assert [*map(finetuning_rate, widths)] == [3e-4, 3e-4, 1e-4, 5e-5]
    optimizer = build().optimizer
    assert float(optimizer.learning_rate) == pytest.approx(3e-4)
    assert optimizer.weight_decay == 0.01
    assert optimizer.layer_rates["embeddings"] == pytest.approx(0.8**2)
