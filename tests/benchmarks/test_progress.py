import io

import pytest
from harness.progress import TrainingProgress


def run(losses, epochs=1, **kwargs):
    """Calls it as `fit` does, with the running mean of each epoch."""
    progress = TrainingProgress(
        "rte", epochs * len(losses), batch_size=2, **kwargs
    )
    progress.on_train_begin()
    for epoch in range(epochs):
        progress.on_epoch_begin(epoch)
        for i in range(len(losses)):
            mean = sum(losses[: i + 1]) / (i + 1)
            progress.on_train_batch_end(i, {"loss": mean})
        progress.on_epoch_end(epoch, {"loss": mean})
    progress.on_train_end()
    return progress


def test_curve_has_the_mean_since_the_point_before():
    progress = run([4.0, 2.0, 1.0, 3.0, 5.0], epochs=2, points=5)
    steps, losses = zip(*progress.curve)
    assert steps == (2, 4, 5, 6, 8, 10)
    # Step 6 is the first of the second epoch.
    assert losses == pytest.approx((3.0, 2.0, 5.0, 4.0, 1.5, 4.0))
    assert progress.seconds >= 0


def test_lines_in_a_file():
    stream = io.StringIO()
    run([1.0] * 40, points=40, stream=stream)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[-1].startswith("rte: step 40/40, loss 1.000, ")
    assert "examples/s" in lines[0] and "s left" in lines[0]


def test_one_line_on_a_terminal():
    stream = io.StringIO()
    stream.isatty = lambda: True
    run([1.0] * 40, points=4, stream=stream)
    assert stream.getvalue().count("\r") == 4
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite(loss):
    with pytest.raises(FloatingPointError, match="after 2 of 3.*learning rate"):
        run([1.0, loss, 1.0], points=3)
