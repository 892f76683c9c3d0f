"""Trains a task as a protocol says, and measures what grouping is worth."""

import time

import keras

from keras_electra.training.recipes import finetuning_optimizer


def num_steps(data, batch_size, epochs=1):
    """Steps of a training on `(x, y, ...)`, one label a row."""
    return -(-len(data[1]) // batch_size) * epochs


def prepare(task, steps, protocol="paper", jit_compile="auto", **arguments):
    """Compiles a task for a training.

    Args:
        task: a task of this package.
        steps: int, of all epochs.
        protocol: string, `"paper"` (the default) or `"google"`. The loss is
            the task's own in the reduction of the protocol.
        jit_compile: as in `keras.Model.compile`. Defaults to `"auto"`.
        **arguments: of `keras_electra.finetuning_optimizer`, e.g.
            `learning_rate`.
    """
    optimizer = finetuning_optimizer(
        task.backbone, steps, protocol, **arguments
    )
    loss = task.loss  # a mean, as in the paper
    if protocol == "google":
        loss = with_reduction(loss, "sum")
    task.compile(
        optimizer,
        loss=loss,
        metrics=None,
        jit_compile=jit_compile,
    )


def with_reduction(loss, reduction):
    """The same loss with another reduction.

    Args:
        loss: `keras.losses.Loss`, or a dict or list of them.
        reduction: string, e.g. `"sum"`.

    Returns:
        As `loss`.
    """
    return keras.tree.map_structure(
        lambda part: type(part).from_config(
            {**part.get_config(), "reduction": reduction}
        ),
        loss,
    )


def compare_padding(experiment, steps=40, repeats=3):
    """Trains on a part of the rows, grouped by length and padded in full.

    Keras' own `fit` takes rows as they are. Each is measured `repeats` times
    in turn after a first, unmeasured pass that compiles, and the fastest
    counts.

    Args:
        experiment: `GlueExperiment`.
        steps: int. Batches a pass. Defaults to `40`.
        repeats: int. Defaults to `3`.

    Returns:
        string, the report.
    """
    batch_size = experiment.batch_size
    x, labels = experiment.train
    rows = experiment.preprocessor(x)
    size = min(steps * batch_size, len(labels))
    rows = {name: array[:size] for name, array in rows.items()}
    speeds, tasks = {}, {}
    for _ in range(repeats + 1):
        for name in ("grouped", "padded"):
            first = name not in tasks
            if first:
                keras.utils.set_random_seed(0)
                tasks[name] = experiment.build()
                experiment.prepare(tasks[name])
            task = tasks[name]
            fit = type(task).fit if name == "grouped" else keras.Model.fit
            start = time.perf_counter()
            fit(task, rows, labels[:size], batch_size=batch_size, verbose=0)
            seconds = time.perf_counter() - start
            if not first:
                speeds[name] = max(speeds.get(name, 0.0), size / seconds)
    length = experiment.sequence_length
    return (
        f"{experiment.name}: {speeds['padded']:.0f} examples/s padded to "
        f"{length}, {speeds['grouped']:.0f} examples/s grouped by length: "
        f"{speeds['grouped'] / speeds['padded']:.2f} times as many"
    )
