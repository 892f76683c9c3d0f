"""Steps that are not finite are skipped, by every task and optimizer."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.tasks.text_classifier import ElectraTextClassifier
from keras_electra.tasks.text_classifier import (
    ElectraTextClassifierPreprocessor,
)
from keras_electra.training.optimizers import ElectraAdamW
from keras_electra.training.steps import StopOnSkippedSteps
from tests import checks

# When `fit` ends.


def run(guard, skipped):
    guard.on_epoch_begin(0)
    total = 0
    for batch, skip in enumerate(skipped):
        total += skip
        guard.on_train_batch_end(batch, {"skipped_steps": float(total)})


def test_stops_after_a_row_of_skipped_steps():
    run(StopOnSkippedSteps(3), [1, 1, 0, 1, 1, 0])
    with pytest.raises(FloatingPointError, match="last 3 steps"):
        run(StopOnSkippedSteps(3), [0, 1, 1, 1])


def test_counts_on_across_epochs():
    guard = StopOnSkippedSteps(3)
    run(guard, [0, 1, 1])
    with pytest.raises(FloatingPointError):
        run(guard, [1])


def test_several_steps_at_once():
    guard = StopOnSkippedSteps(4)
    guard.on_epoch_begin(0)
    guard.on_train_batch_end(1, {"skipped_steps": 2.0})
    assert guard.in_a_row == 2
    guard.on_train_batch_end(0, {"skipped_steps": 1.0})  # overtaken
    assert guard.in_a_row == 2
    with pytest.raises(FloatingPointError):
        guard.on_train_batch_end(3, {"skipped_steps": 4.0})


def test_names_its_limit_where_a_later_batch_comes_first():
    guard = StopOnSkippedSteps(3)
    guard.on_epoch_begin(0)
    guard.on_train_batch_end(1, {"skipped_steps": 2.0})
    with pytest.raises(FloatingPointError, match="last 3 steps"):
        guard.on_train_batch_end(3, {"skipped_steps": 4.0})


# What a skipped step leaves alone.

TEXTS = ["the chef ate", "a meal", "the the", "chef"] * 4
LABELS = [0, 1, 1, 0] * 4


def build(dtype=None):
    backbone = checks.tiny_backbone(dtype=dtype)
    tokenizer = checks.tiny_tokenizer()
    preprocessor = ElectraTextClassifierPreprocessor(tokenizer, 8)
    return ElectraTextClassifier(backbone, 2, preprocessor)


def values(variables):
    return [np.array(ops.convert_to_numpy(v.value)) for v in variables]


def accumulating():
    return ElectraAdamW(1e-2, gradient_accumulation_steps=2)


def scaling():
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-2))


def one_for_each_layer():
    by_path = keras.optimizers.OptimizerMap(
        keras.optimizers.Adam(1e-2), {".*bias": keras.optimizers.SGD(1e-2)}
    )
    return keras.optimizers.MultiOptimizer(by_path)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: "auto",
        lambda: keras.optimizers.SGD(1e-2, momentum=0.9, weight_decay=0.1),
        accumulating,
        scaling,
        one_for_each_layer,
    ],
)
def test_a_step_that_is_not_finite_changes_nothing(optimizer):
    task = build()
    checks.compile_quickly(task, optimizer=optimizer())
    logs = task.train_on_batch(TEXTS, LABELS, return_dict=True)
    assert sorted(logs) == ["accuracy", "loss", "skipped_steps"]
    assert float(logs["skipped_steps"]) == 0
    bias = task.output_dense.bias
    bias.assign(ops.full(bias.shape, np.nan))
    before = values(task.trainable_variables)
    slots = values(task.optimizer.variables)
    logs = task.train_on_batch(TEXTS, LABELS, return_dict=True)
    assert float(logs["skipped_steps"]) == 1
    for old, new in zip(before, values(task.trainable_variables)):
        np.testing.assert_array_equal(old, new)
    if not task.scales_loss():  # else its scale falls
        for old, new in zip(slots, values(task.optimizer.variables)):
            np.testing.assert_array_equal(old, new)

    bias.assign(ops.zeros(bias.shape))
    for _ in range(2):
        logs = task.train_on_batch(TEXTS, LABELS, return_dict=True)
    assert float(logs["skipped_steps"]) == 0
    moved = zip(before[:-1], values(task.trainable_variables)[:-1])
    assert any(np.any(old != new) for old, new in moved)
    for value in values(task.trainable_variables):
        assert np.isfinite(value).all()


def test_fit_ends_with_advice():
    task = build()
    checks.compile_quickly(task)
    task.max_skipped_steps = 3
    bias = task.output_dense.bias
    bias.assign(ops.full(bias.shape, np.nan))
    with pytest.raises(FloatingPointError, match="last 3 steps.*learning rate"):
        task.fit(TEXTS, LABELS, batch_size=4, verbose=0)


def test_evaluation_skips_nothing():
    task = build()
    checks.compile_quickly(task)
    history = task.fit(TEXTS, LABELS, verbose=0, validation_split=0.5).history
    assert history["skipped_steps"] == [0.0]
    assert "val_skipped_steps" not in history
    logs = task.evaluate(TEXTS, LABELS, verbose=0, return_dict=True)
    assert sorted(logs) == ["accuracy", "loss"]


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD(-0.1),
        ElectraAdamW(keras.optimizers.schedules.CosineDecay(-1e-3, 9)),
    ],
)
def test_fit_refuses_a_negative_rate(optimizer):
    task = build()
    checks.compile_eagerly(task, optimizer=optimizer)
    with pytest.raises(ValueError, match="`learning_rate` must be a number"):
        task.fit(TEXTS, LABELS, verbose=0)
