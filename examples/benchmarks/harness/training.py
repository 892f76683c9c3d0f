"""Trains a task as a protocol says, and runs it, on batches grouped by length.

Rows are made once, before the first epoch; the price is memory for all of
them, 12 bytes a token of their full length.
"""

import keras
import numpy as np
from keras import ops

from harness.grouping import LENGTHS
from harness.grouping import bucket_lengths
from keras_electra.training.recipes import finetuning_optimizer
from keras_electra.training.recipes import finetuning_protocol


def fine_tune(
    task,
    batches,
    epochs,
    protocol="paper",
    callbacks=(),
    jit_compile="auto",
    **optimizer_arguments,
):
    """Trains a task.

    Args:
        task: a task of this package. It is compiled anew, with its own loss
            in the reduction of the protocol.
        batches: `GroupedBatches`.
        epochs: int.
        protocol: string, `"paper"` (the default) or `"google"`.
        callbacks: sequence of callbacks of Keras.
        jit_compile: as in `keras.Model.compile`. Defaults to `"auto"`.
        **optimizer_arguments: of `keras_electra.finetuning_optimizer`, e.g.
            `learning_rate`.

    Returns:
        A `keras.callbacks.History`.
    """
    optimizer = finetuning_optimizer(
        task.backbone, len(batches) * epochs, protocol, **optimizer_arguments
    )
    reduction = finetuning_protocol(protocol)["loss_reduction"]
    task.compile(
        optimizer=optimizer,
        loss=with_reduction(task.loss, reduction),
        metrics=None,
        jit_compile=jit_compile,
    )
    return task.fit(
        batches.dataset(), epochs=epochs, callbacks=list(callbacks), verbose=0
    )


def with_reduction(loss, reduction):
    """The same loss with another reduction.

    Args:
        loss: `keras.losses.Loss`, or a dict or list of them.
        reduction: string, e.g. `"sum"`.

    Returns:
        As `loss`.
    """
    if isinstance(loss, dict):
        return {k: with_reduction(v, reduction) for k, v in loss.items()}
    if isinstance(loss, (list, tuple)):
        return [with_reduction(part, reduction) for part in loss]
    return type(loss).from_config({**loss.get_config(), "reduction": reduction})


def encode(preprocessor, x, chunk=4096):
    """Texts to rows.

    Args:
        preprocessor: a preprocessor of this package.
        x: list of texts, or a tuple of lists.
        chunk: int. Texts at a time. Defaults to `4096`.

    Returns:
        A dict of arrays of shape `(texts, length)`.
    """
    parts = x if isinstance(x, tuple) else (x,)
    rows = []
    for first in range(0, len(parts[0]), chunk):
        few = tuple(part[first : first + chunk] for part in parts)
        few = preprocessor(few if isinstance(x, tuple) else few[0], y=None)
        few = keras.utils.unpack_x_y_sample_weight(few)[0]
        rows.append({k: ops.convert_to_numpy(v) for k, v in few.items()})
    return {
        name: np.concatenate([part[name] for part in rows]) for name in rows[0]
    }


def outputs_of(task, x, batch_size=32, lengths=LENGTHS):
    """Runs rows through the network of a task, the short ones together.

    Args:
        task: a task of this package.
        x: dict of arrays of shape `(rows, length)`.
        batch_size: int. Rows at a time. Defaults to `32`.
        lengths: as in `GroupedBatches`.

    Returns:
        float32 array `(rows, ...)` of one output a row.
    """
    mask = np.asarray(x["padding_mask"])
    used = mask.shape[1] - np.argmax(mask[:, ::-1] != 0, axis=1)
    lengths = bucket_lengths(mask.shape[1], lengths)
    order = np.argsort(used, kind="stable")
    outputs = [None] * len(order)
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        length = lengths[np.searchsorted(lengths, used[rows].max())]
        # The last batch is filled up: no further shape is compiled.
        filled = np.resize(rows, batch_size)
        few = {
            name: ops.convert_to_tensor(array[filled][:, :length])
            for name, array in x.items()
        }
        # Keras' own method: the task's would run the preprocessor.
        few = keras.Model.predict_on_batch(task, few)
        for row, output in zip(rows, np.asarray(few, "float32")):
            outputs[row] = output
    return np.stack(outputs)
