"""Curves of `train_tiny_preset.py`: seconds in its logs, and a PNG."""

import csv
import time

import keras


class EpochSeconds(keras.callbacks.Callback):
    """Adds the time of training, without that of evaluation, to the logs."""

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.end = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = self.end - self.begin


def draw_curves(run, stages=("masking", "electra", "late", "pairs")):
    """Draws what the CSV files of the stages hold."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = {
        "generator_loss": "loss of the masked tokens, nats",
        "discriminator_loss": "loss of the discriminator, nats",
        "discriminator_auc": "AUC of the discriminator",
    }
    figure, axes = pyplot.subplots(1, len(panels), figsize=(12, 3.6))
    for name in stages:
        if not (run / f"{name}.csv").exists():
            continue
        rows = list(csv.DictReader((run / f"{name}.csv").open()))
        for (metric, title), axis in zip(panels.items(), axes):
            axis.set(title=title, xlabel="epoch")
            for prefix, style in (("", "-"), ("val_", ":")):
                if metric in rows[0]:
                    axis.plot(
                        [int(row["epoch"]) + 1 for row in rows],
                        [float(row[prefix + metric]) for row in rows],
                        style,
                        label=f"{name}, {'held out' if prefix else 'training'}",
                    )
    axes[0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(run / "curves.png", dpi=110)
