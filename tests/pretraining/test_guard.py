import pytest

from keras_electra.pretraining.metrics import StopOnSkippedSteps


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
