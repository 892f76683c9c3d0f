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
SPECIAL = dict(mask_token_id=4, unselectable_token_ids=[*range(5)])


class Estimate(typing.NamedTuple):
    """What a pre-training will need, which prints itself.

    Attributes:
        steps: int, weight updates. `seconds`: float, of all of them.
        memory: int, bytes of the accelerator, or of this process with all that
            it has loaded; `None` where the system does not tell.
        timed_rows: tuple of ints, rows of the steps that were timed.
    """

    steps: int
    seconds: float
    memory: int | None
    timed_rows: tuple

    def __str__(self) -> str:
        text = f"{self.steps:,} steps, {self.seconds / self.steps:.3g} s each"
        text += f": {datetime.timedelta(seconds=round(self.seconds))}"
        if self.memory is not None:
            text += f", {self.memory / 2**30:.2f} GiB"
        rows = ", ".join(map(str, self.timed_rows))
        return f"{text} (from steps of {rows} rows)"


@known_keywords(ElectraPretrainer.from_size)
def estimate(size, tokens, batch_size=None, sequence_length=None, **kwargs):
    """Times steps of the real networks here, and says what a run will need.

    Full rows of random tokens, 2, 8, 32 and so on to `batch_size` a step, until
    a step takes a second; a straight line through the last two goes on from
    there. Reading data is not in it. On JAX and TensorFlow each compiles.

    Args:
        size: string, as of `ElectraPretrainer.from_size`.
        tokens: number, of all rows that will be trained on, with padding.
        batch_size, sequence_length: ints, by default of the size's recipe.
        **kwargs: as of `from_size`. `vocabulary_size` is by default 30522.

    Returns an `Estimate`.
    """
    get_size(size)
    check_number("tokens", tokens, above=0)
    batch_size = batch_size or RECIPES[size].batch_size
    length = sequence_length or RECIPES[size].sequence_length
    check_count("batch_size", batch_size)
    if kwargs.get("tokenizer") is None:
        kwargs = {"vocabulary_size": 30522, **SPECIAL, **kwargs}
    kwargs.setdefault("max_sequence_length", max(512, length))
    pretrainer = ElectraPretrainer.from_size(size, **kwargs)
    points, rows = [], 0
    while rows < batch_size and (len(points) < 2 or points[-1][1] < 1):
        rows = min(4 * rows or 2, batch_size)
        points.append((rows, *_measure(pretrainer, rows, length)))
    counts, seconds, peaks = zip(*points[-2:])
    most = peaks[-1]
    if keras.config.backend() == "jax" and peak_memory() is None:
        # Compiling takes most memory of the host: once more, without it.
        peaks = [_measure(pretrainer, rows, length)[1] for rows in counts]

    def extend(values):
        rise = max(0, values[-1] - values[0]) / max(1, counts[-1] - counts[0])
        return values[-1] + rise * (batch_size - counts[-1])

    steps = math.ceil(tokens / (batch_size * length))
    memory = None if None in peaks else max(most, int(extend(peaks)))
    return Estimate(steps, steps * extend(seconds), memory, counts)


def _measure(pretrainer, rows, length):
    """Median seconds of a step, and the most memory in bytes."""
    size, ends = pretrainer.backbone.vocabulary_size, []
    shape = rows * (STEPS + 2), length
    ids = np.random.default_rng(0).integers(5, size, shape, "int32")
    x = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    x["segment_ids"] = np.zeros_like(ids)

    def note(batch, logs):
        float(logs["loss"])  # waits for the device
        ends.append(time.perf_counter())

    clock = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    peak_memory(), _host_peak()
    pretrainer.fit(x, batch_size=rows, callbacks=[clock], verbose=0)
    host, own = _host_peak(), peak_memory()
    return np.median(np.diff(ends)[1:]), host if own is None else own


def _host_peak():
    """Most bytes of this process since the last call; `None` but on Linux."""
    folder = pathlib.Path("/proc/self")
    try:
        peak = re.search(r"VmHWM:\s+(\d+)", (folder / "status").read_text())
        (folder / "clear_refs").write_text("5")
    except OSError:
        return None
    return peak and int(peak[1]) * 1024
