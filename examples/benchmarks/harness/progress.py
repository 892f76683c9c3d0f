"""What one sees of a training: one line, a curve, and an error on NaN.

The loss is read every few steps only, because reading it waits for the
device.
"""

import math
import time

import keras


class TrainingProgress(keras.callbacks.Callback):
    """Shows one line of progress and keeps the curve of the loss.

    Args:
        title: string, at the beginning of the line.
        num_steps: int, steps of all epochs.
        batch_size: int, examples a step, for the speed.
        points: int. How often in a training the loss is read. Defaults to
            `30`.
        stream: where the line goes, e.g. `sys.stderr`, or `None`, the
            default, for nowhere. On a terminal the line is written over,
            elsewhere every tenth of the training has a line of its own.

    Attributes:
        curve: list of `[steps, loss]`: the mean of the loss since the point
            before.
        seconds: float, of the training so far.

    Raises:
        FloatingPointError: when the loss is not finite.
    """

    def __init__(self, title, num_steps, batch_size, points=30, stream=None):
        super().__init__()
        self.title = title
        self.num_steps = num_steps
        self.batch_size = batch_size
        self.every = max(1, num_steps // points)
        self.stream = stream
        self.curve = []
        self.seconds = 0.0
        self._steps = 0
        self._shown = -1

    def on_train_begin(self, logs=None):
        self._start = time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        # Keras' loss is the mean since the beginning of the epoch.
        self._sum, self._seen, self._batches = 0.0, 0, 0

    def on_train_batch_end(self, batch, logs=None):
        self._steps += 1
        self._batches += 1
        if self._steps % self.every == 0:
            self._read(logs)

    def on_epoch_end(self, epoch, logs=None):
        if self._batches > self._seen:
            self._read(logs)

    def on_train_end(self, logs=None):
        self.seconds = time.perf_counter() - self._start
        if self.stream is not None and self.stream.isatty():
            print(file=self.stream)

    def _read(self, logs):
        mean = float(logs["loss"])
        if not math.isfinite(mean):
            raise FloatingPointError(
                f"The loss is {mean} after {self._steps} of {self.num_steps} "
                "steps. Expected a finite loss. Lower the learning rate, "
                "lengthen the warm-up, or compute in `mixed_bfloat16` instead "
                "of `mixed_float16`; if it is so from the first step, look "
                "for NaN in the weights that were loaded."
            )
        total = mean * self._batches
        loss = (total - self._sum) / (self._batches - self._seen)
        self._sum, self._seen = total, self._batches
        self.curve.append([self._steps, loss])
        self._show(loss)

    def _show(self, loss):
        if self.stream is None:
            return
        self.seconds = time.perf_counter() - self._start
        speed = self._steps * self.batch_size / max(self.seconds, 1e-9)
        left = self.seconds * (self.num_steps / self._steps - 1)
        line = (
            f"{self.title}: step {self._steps}/{self.num_steps}, "
            f"loss {loss:.3f}, {speed:.0f} examples/s, {left:.0f} s left"
        )
        if self.stream.isatty():
            print(f"\r{line:<78}", end="", file=self.stream, flush=True)
        elif 10 * self._steps // self.num_steps > self._shown:
            self._shown = 10 * self._steps // self.num_steps
            print(line, file=self.stream, flush=True)
