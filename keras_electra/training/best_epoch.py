"""Which epoch was best so far, by one metric."""

import math
import warnings

# Metrics of which more is better; of all others, such as losses, less is.
_RISING = ("acc", "auc", "precision", "recall", "f1")


class BestEpoch:
    """Remembers the epoch at which a metric was best.

    Args:
        monitor: str, name of the metric; `None` to remember nothing.
        mode: `"min"`, `"max"` or `"auto"`: which is best. `"auto"` takes the
            greatest accuracy, AUC, precision, recall or F1, and the smallest
            of everything else.

    Attributes:
        epoch: int, number of epochs finished at the best; `None` before.
        value: float, the metric then; `None` before.

    Raises:
        ValueError: there is no such mode.
    """

    def __init__(self, monitor, mode="auto"):
        if mode not in ("auto", "min", "max"):
            raise ValueError(
                "`mode` must be 'auto', 'min' or 'max'. "
                f"Received: mode={mode!r}."
            )
        if mode == "auto":
            rises = any(name in (monitor or "") for name in _RISING)
            mode = "max" if rises else "min"
        self.monitor = monitor
        self.sign = 1.0 if mode == "max" else -1.0
        self.epoch = None
        self.value = None

    def update(self, epoch, logs):
        """Takes the metrics of an epoch into account. NaN is never best.

        Args:
            epoch: int, number of epochs finished.
            logs: dict from metric to value, as Keras reports them. A warning
                is given if the metric is not among them.
        """
        if self.monitor is None:
            return
        if self.monitor not in logs:
            warnings.warn(
                f"`monitor` is {self.monitor!r}, which epoch {epoch} does not "
                f"report. It reports: {sorted(logs)}.",
                stacklevel=3,
            )
            return
        value = float(logs[self.monitor])
        if math.isnan(value):
            return
        if self.value is None or self.sign * (value - self.value) > 0:
            self.epoch, self.value = epoch, value
