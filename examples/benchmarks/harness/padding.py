"""How much grouping by length is worth, measured."""

import time

import keras

from harness.grouping import LENGTHS


def compare_padding(experiment, steps=40, repeats=3):
    """Trains on a part of the rows, grouped by length and padded in full.

    Both see the same rows in the same order of drawing; each is measured
    `repeats` times in turn after a first, unmeasured pass that compiles, and
    the fastest counts.

    Args:
        experiment: `GlueExperiment`.
        steps: int. Batches a pass. Defaults to `40`.
        repeats: int. Defaults to `3`.

    Returns:
        string, the report.
    """
    rows, labels = experiment.train
    size = min(steps * experiment.batch_size, len(labels))
    experiment.train = ({k: v[:size] for k, v in rows.items()}, labels[:size])
    speeds = {}
    fits = {}
    for name, lengths in (("grouped", LENGTHS), ("padded", None)):
        keras.utils.set_random_seed(0)
        experiment.lengths = lengths
        task, batches = experiment.build(), experiment.batches(seed=0)
        experiment.fit(task, batches, epochs=1)
        fits[name] = (task, batches)
        speeds[name] = 0.0
    for _ in range(repeats):
        for name, (task, batches) in fits.items():
            start = time.perf_counter()
            task.fit(batches.dataset(), verbose=0)
            seconds = time.perf_counter() - start
            speeds[name] = max(speeds[name], size / seconds)
    length = experiment.sequence_length
    return (
        f"{experiment.name}: {speeds['padded']:.0f} examples/s padded to "
        f"{length}, {speeds['grouped']:.0f} examples/s grouped by length: "
        f"{speeds['grouped'] / speeds['padded']:.2f} times as many"
    )
