"""Steps whose gradients are not finite change nothing, and are counted.

One NaN in a gradient would make every weight NaN. Of several replicas all skip.
"""

import contextlib
import types
from typing import Any

import keras
from keras import ops

from keras_electra.backend import TrainStep
from keras_electra.backend import replicas
from keras_electra.training.optimizers import global_norm

NAMES = "CSVLogger", "ModelCheckpoint", "RemoteMonitor", "TensorBoard"
WRITERS = tuple(getattr(keras.callbacks, name) for name in NAMES)


class GuardedSteps(TrainStep):
    """What the training steps of all backends, in `backend/`, do alike."""

    max_skipped_steps = 25  # in a row; then `fit` ends
    step_metrics = types.SimpleNamespace(all=[], gradients=[])  # by default

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        # Keras builds its metrics by a call on a batch as it comes.
        inputs = replicas.without_filler(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def join_processes(self, kwargs: object, callbacks: Any = None) -> list:
        """Begins alike in all processes, of which the first writes and shows.

        Changes `kwargs` of `fit`; returns `callbacks` without those that write.
        """
        (index, count), callbacks = replicas.processes(), [*(callbacks or [])]
        if count == 1:
            return callbacks
        apart = keras.callbacks.BackupAndRestore
        if any(isinstance(c, apart) for c in callbacks):
            raise ValueError(
                "`BackupAndRestore` would restore each process apart. Pass "
                "`keras_electra.ResumableCheckpoint` in `callbacks`."
            )
        slots = getattr(self.optimizer, "variables", [])
        replicas.begin([*self.variables, *slots])
        if index:
            kwargs["verbose"] = 0
            callbacks = [c for c in callbacks if not isinstance(c, WRITERS)]
        return callbacks

    def scales_loss(self) -> bool:
        """Whether the optimizer scales the loss, as it does for float16."""
        return isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)

    def gradient_norms(self, gradients, scaled_loss, loss):
        """Norms of gradients of the scaled loss, of all first, as of `loss`."""
        scale = ops.where(loss == 0, 1.0, loss / scaled_loss)
        return (global_norm(gradients) * scale,)

    def finish_step(self, data, outputs, loss, norms, finite):
        """Updates all metrics; returns their values."""
        results = self.step_metrics.update_gradients(*norms, finite)
        return {**self.update_metrics(data, outputs, loss), **results}

    def update_metrics(self, data: Any, outputs: Any, loss: Any) -> Any:
        """Updates those of evaluation too; returns their values."""
        x, y, sample_weight = data
        rows = ops.shape(keras.tree.flatten(x)[0])[0]
        self._loss_tracker.update_state(loss, sample_weight=rows)
        return self.compute_metrics(x, y, outputs, sample_weight)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [*super().metrics, *self.step_metrics.all]

    def get_metrics_result(self) -> dict[str, object]:
        # Those of gradients are reported by the training step alone.
        alone = [id(metric) for metric in self.step_metrics.gradients]
        metrics = [m for m in self.metrics if id(m) not in alone]
        results, scope = {}, contextlib.nullcontext()
        if replicas.count() > 1:  # each has seen its own rows
            variables = [v for metric in metrics for v in metric.variables]
            sums = replicas.summed([v.value for v in variables])
            scope = keras.StatelessScope(list(zip(variables, sums)))
        with scope:
            for metric in metrics:
                found = metric.result()
                is_many = isinstance(found, dict)
                results |= found if is_many else {metric.name: found}
        return results


class StepMetrics:
    """Metrics of training steps: means of norms, and how many were skipped."""

    def __init__(self, norms: Any = ()):
        means = [keras.metrics.Mean(name, "float32") for name in norms]
        self.gradients = [*means, keras.metrics.Sum("skipped_steps", "float32")]
        self.all: Any = self.gradients

    def update_gradients(self, *values: Any) -> dict[str, Any]:
        """Adds norms before clipping, and if a step was applied: results."""
        *norms, applied = values
        applied = ops.cast(applied, "float32")
        for metric, value in zip(self.gradients[:-1], norms):
            # A weight of 0 would not take a NaN out.
            metric.update_state(ops.where(applied > 0, value, 0.0), applied)
        self.gradients[-1].update_state(1.0 - applied)
        # A sum is its variable itself, on torch, which evaluation sets to zero.
        return {metric.name: metric.result() + 0.0 for metric in self.gradients}


class StopOnSkippedSteps(keras.callbacks.Callback):
    """Raises a `FloatingPointError` when `limit` steps in a row were skipped.

    Loss scaling for float16 may take 15 to find its scale, from 2^15 down.
    """

    # Keras may then go on to the next step before this one's logs are here.
    async_safe = True

    def __init__(self, limit: Any = 25):
        super().__init__()
        self.limit, self.in_a_row = limit, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.seen, self.skipped = -1, 0  # index of the last batch; so far

    def on_train_batch_end(self, batch: Any, logs: Any = None) -> None:
        if batch <= self.seen:
            return  # overtaken by a later one
        skipped = int(logs.get("skipped_steps", 0))
        steps = batch - self.seen  # more than one with steps_per_execution
        are_all = skipped - self.skipped == steps
        self.in_a_row = (self.in_a_row + steps) * are_all
        self.seen, self.skipped = batch, skipped
        if self.in_a_row >= self.limit:
            raise FloatingPointError(
                f"The gradients of the last {self.limit} steps were not "
                "finite, so no weight changed. Lower the learning rate, warm "
                "up longer, use `mixed_bfloat16` instead of `mixed_float16`, "
                "or look for NaN in weights that were loaded."
            )
