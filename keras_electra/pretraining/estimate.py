"""How long a pre-training will take and how much memory, before one starts."""

import datetime
import math
import pathlib
import re
import time
import typing

import keras
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_number
from keras_electra.arguments import known_keywords
from keras_electra.backend import peak_memory
from keras_electra.model.sizes import get_size
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.training.recipes import RECIPES

STEPS = 3  # that are timed, after two others


class Estimate(typing.NamedTuple):
    """What a pre-training will need; it prints itself in words.

    Attributes:
        title: string, what was asked for.
        steps: int, weight updates.
        seconds: float, of all of them.
        tokens_per_second: float.
        memory: int, bytes at most: of the accelerator, or else of this process
            with all that is loaded; `None` where the system does not tell.
        parameters: int, weights of both networks.
        timed_rows: tuple of two ints, rows of the steps that were timed.
    """

    title: str
    steps: int
    seconds: float
    tokens_per_second: float
    memory: int | None
    parameters: int
    timed_rows: tuple

    def __str__(self):
        taken = datetime.timedelta(seconds=round(self.seconds))
        memory = "memory unknown on this system"
        if self.memory is not None:
            memory = f"{self.memory / 2**30:.2f} GiB of memory"
        return (
            f"{self.title}: {self.steps:,} steps in {taken} "
            f"({self.tokens_per_second:,.0f} tokens/s), {memory}, "
            f"{self.parameters:,} weights; measured on steps of "
            f"{' and '.join(map(str, self.timed_rows))} rows"
        )


@known_keywords(ElectraPretrainer.from_size)
def estimate(size, tokens, batch_size=None, sequence_length=None, **kwargs):
    """Times steps of the real networks here, and says what a run will need.

    Full rows of random tokens, 2, 8, 32 and so on to `batch_size` a step, until
    a step takes a second. The last two numbers of rows give a straight line,
    time and memory of what comes with the step and of each row. Reading the
    data is not in it. Compiling, on JAX and TensorFlow, takes longest.

    Args:
        size: string, as of `ElectraPretrainer.from_size`.
        tokens: number, of all rows that will be trained on, padding included.
        batch_size, sequence_length: ints; by default the recipe's of the size.
        **kwargs: as of `ElectraPretrainer.from_size`; `vocabulary_size` is by
            default `30522`.

    Returns an `Estimate`.
    """
    get_size(size)
    check_number("tokens", tokens, above=0)
    batch_size = batch_size or RECIPES[size].batch_size
    length = sequence_length or RECIPES[size].sequence_length
    check_count("batch_size", batch_size)
    if kwargs.get("tokenizer") is None:
        special = dict(mask_token_id=4, unselectable_token_ids=[0, 1, 2, 3, 4])
        kwargs = {"vocabulary_size": 30522, **special, **kwargs}
    kwargs.setdefault("max_sequence_length", max(512, length))
    pretrainer = ElectraPretrainer.from_size(
        size, sequence_length=length, **kwargs
    )
    vocabulary_size = pretrainer.backbone.vocabulary_size
    found, rows = [], min(2, batch_size)
    while True:
        shape = rows * (STEPS + 2), length
        ids = np.random.default_rng(0).integers(5, vocabulary_size, shape)
        found.append((rows, *_measure(pretrainer, ids.astype("int32"), rows)))
        if rows == batch_size or found[-1][1] > 1 and len(found) > 1:
            break
        rows = min(4 * rows, batch_size)
    few, many = found[-2:] if len(found) > 1 else found * 2
    beyond = (batch_size - many[0]) / max(1, many[0] - few[0])
    step, memory = (
        None if b is None else b + beyond * max(0, b - a)
        for a, b in zip(few[1:], many[1:])
    )
    steps = math.ceil(tokens / (batch_size * length))
    policy = pretrainer.dtype_policy.name
    return Estimate(
        f"{size}, {batch_size} rows of {length} tokens, {policy}, "
        f"{keras.config.backend()}",
        steps,
        steps * step,
        batch_size * length / step,
        memory and int(memory),
        pretrainer.count_params(),
        (few[0], many[0]),
    )


def _measure(pretrainer, ids, rows):
    """Median seconds of a step of some rows, and the most memory in bytes."""
    x = {"token_ids": ids, "segment_ids": np.zeros_like(ids)}
    x["padding_mask"] = np.ones_like(ids)
    ends = []

    def note(batch, logs):
        float(logs["loss"])  # waits for the device
        ends.append(time.perf_counter())

    clock = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    peak_memory()
    _host_peak(restart=True)
    pretrainer.fit(x, batch_size=rows, callbacks=[clock], verbose=0)
    peak = peak_memory()
    return np.median(np.diff(ends)[1:]), _host_peak() if peak is None else peak


def _host_peak(restart=False):
    """The most memory of this process so far, or since a restart; Linux."""
    folder = pathlib.Path("/proc/self")
    try:
        if restart:
            (folder / "clear_refs").write_text("5")
        peak = re.search(r"VmHWM:\s+(\d+)", (folder / "status").read_text())
    except OSError:
        return None
    return peak and int(peak[1]) * 1024
