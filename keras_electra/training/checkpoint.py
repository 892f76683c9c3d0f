"""Save after every epoch; go on after an interruption, equal bit for bit.

Keras' `BackupAndRestore` does not write atomically, and starts the data anew.
"""

import functools
import itertools
import json
import math
import re
import shutil
import types
import warnings
import zlib
from typing import Any
from zipfile import BadZipFile

import keras
import ml_dtypes  # noqa: F401  (teaches NumPy "bfloat16" and its like)
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_option
from keras_electra.arguments import local_folder
from keras_electra.backend import replicas
from keras_electra.backend.files import flush
from keras_electra.backend.files import read_json

if keras.config.backend() == "torch":  # has generators of its own
    from keras_electra.backend import torch as backend_random
else:  # all is drawn from seeds of layers, which are variables
    backend_random = types.SimpleNamespace(get_states=list, set_states=list)
# Metrics of which more is better; of all others, such as losses, less is.
RISING = ("acc", "auc", "precision", "recall", "f1")
UNFINISHED = ".unfinished-"
# What reading a damaged or cut off file raises.
DAMAGE = OSError, EOFError, KeyError, ValueError, zlib.error, BadZipFile
_warn = functools.partial(warnings.warn, stacklevel=2)


class ResumableCheckpoint(keras.callbacks.Callback):
    """Saves the whole training state after every epoch, and resumes from it.

    Run the same program, `fit(..., callbacks=[ResumableCheckpoint("run/")])`,
    again: it goes on after the last finished epoch, in the data too. Build and
    compile the model as it was: checkpoints of another one are a `ValueError`;
    those with NaN are neither written nor read. The folder is locked meanwhile.
    Several processes must share it: the first writes, and the others wait.
    Data of your own is gone on with if it is `model.training_data` and has an
    integer `position` (batches; the next `iter()` starts there).

    Args:
        directory: str or path, folder for the checkpoints of this run only.
        keep: int > 0, how many of the newest stay, by default `3`.
        monitor: str, a metric such as `"val_loss"`, whose best checkpoint stays
            for `restore_best()`; or `None`, the default.
        mode: `"min"`, `"max"` or `"auto"`, the default, which maximizes
            accuracy, AUC, precision, recall and F1, and minimizes all else.
        verbose: 0 or 1, the default: whether to print where it resumes.
    """

    def __init__(self, directory, keep=3, monitor=None, mode="auto", verbose=1):
        super().__init__()
        check_count("keep", keep)
        check_option("mode", mode, ("auto", "min", "max"))
        if mode == "auto":
            rises = any(name in (monitor or "") for name in RISING)
            mode = "max" if rises else "min"
        self.directory = local_folder("directory", directory)
        self.keep = keep
        self.monitor = monitor
        self.mode = mode
        self.best = types.SimpleNamespace(epoch=None, value=None)
        self.verbose = verbose

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._is_first = replicas.processes()[0] == 0
        self._run_lock = replicas.lock_folder(self.directory.resolve())
        self._batches, self._random_states = 0, None  # of the last batch
        data = getattr(self.model, "training_data", None)
        self._start = getattr(data, "position", None)  # of the whole run
        epochs = self._epochs()
        if not epochs:
            return
        state = self._restore_newest(epochs)
        self._batches = state["batches"]
        if state["monitor"] == self.monitor:
            self.best.epoch = state["best_epoch"]
            self.best.value = state["best_value"]
        size = getattr(data, "batch_size", None)
        if state.get("batch_size", size) != size:
            raise ValueError(
                "`batch_size`, of all devices together, must stay that of "
                f"{self.directory}, {state['batch_size']}. Received: {size}."
            )
        if self._start is not None and state["position"] is not None:
            data.position = state["position"]
            self._start = state["position"] - self._batches
        self.model._initial_epoch = epoch = state["epoch"]
        loud = self.verbose and keras.config.is_interactive_logging_enabled()
        if loud and self._is_first:
            print(f"Resuming after epoch {epoch}, from {self.directory}")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._before_epoch = self._batches
        self.model._initial_epoch = None  # a later `fit` is not concerned

    def on_train_batch_begin(self, batch: Any, logs: Any = None) -> None:
        # Torch's data loaders draw when they are opened, which a resumed run
        # does once more: an epoch trains on from where the last one ended.
        if batch == 0 and self._random_states is not None:
            backend_random.set_states(self._random_states)

    def on_train_batch_end(self, batch: Any, logs: Any = None) -> None:
        # `self.model` would make JAX move all weights: not to be used here.
        self._batches = self._before_epoch + batch + 1
        self._random_states = backend_random.get_states()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.best, before = self._best_with(epoch + 1, logs or {}), self.best
        if self._is_first:
            self._save_and_remove(epoch + 1, before)
        replicas.everyone(epoch)  # the others wait

    def _save_and_remove(self, done, before):
        try:
            self._save(done)
        except (OSError, FloatingPointError) as error:
            self.best = before
            _warn(
                f"The checkpoint after epoch {done} could not be saved: "
                f"{error}. Make room or lower `keep` ({self.keep}), or, if it "
                "is not finite, the learning rate."
            )
            return
        epochs = self._epochs()
        # Newer ones were damaged, or the run would have resumed from them.
        older = [epoch for epoch in epochs if epoch <= done]
        for epoch in set(epochs) - {*older[: self.keep], self.best.epoch}:
            shutil.rmtree(self._folder(epoch), ignore_errors=True)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.model._initial_epoch = None
        self._run_lock.release(force=True)

    def restore_best(self, model: keras.Model | None = None) -> int:
        """Sets weights to the best; returns after how many epochs they were."""
        best = None
        for epoch in self._epochs()[:1]:
            state = read_json(self._folder(epoch) / "state.json")
            best = state.get("best_epoch")
        if best is None:
            raise ValueError(
                f"There is no best checkpoint in {self.directory}: train with "
                f"a `monitor`. Received: monitor={self.monitor!r}."
            )
        self._assign(best, {"model": model or self.model}, *self._read(best))
        return best

    def _best_with(self, epoch, logs):
        """The best epoch so far, this one included. NaN is never best."""
        if self.monitor and self.monitor not in logs:
            _warn(f"`monitor`={self.monitor!r} is not among {sorted(logs)}.")
        value, best = float(logs.get(self.monitor, math.nan)), self.best.value
        sign = 1.0 if self.mode == "max" else -1.0
        if math.isnan(value) or best is not None and sign * (value - best) <= 0:
            return self.best
        return types.SimpleNamespace(epoch=epoch, value=value)

    def _folder(self, epoch):
        return self.directory / f"epoch-{epoch:05d}"

    def _epochs(self):
        """Epochs that have a checkpoint, the newest first."""
        numbers = [path.name[6:] for path in self.directory.glob("epoch-*")]
        return sorted(map(int, filter(str.isdecimal, numbers)), reverse=True)

    def _save(self, epoch):
        """Writes a checkpoint: all of it, or an `OSError` and nothing."""
        position, data = self._start, getattr(self.model, "training_data", None)
        size = getattr(data, "batch_size", None)
        if position is not None:
            position += self._batches
            if not getattr(data, "endless", True):
                position %= len(data)
        groups = {n: o.variables for n, o in _owners(self.model).items()}
        state = {
            "epoch": epoch,
            "batches": self._batches,
            "position": position,
            "batch_size": size,
            "monitor": self.monitor,
            "best_epoch": self.best.epoch,
            "best_value": self.best.value,
            "model": type(self.model).__name__,
            "optimizer": type(self.model.optimizer).__name__,
            "variables": {n: [*map(_describe, v)] for n, v in groups.items()},
        }
        # The state is among the arrays too, so that checksums cover it.
        arrays = {"state": json.dumps(state)}
        states = self._random_states or backend_random.get_states()
        for group, own in (*groups.items(), ("random", states)):
            values = map(keras.ops.convert_to_numpy, own)
            arrays |= {f"{group}/{i:05d}": v for i, v in enumerate(values)}
        _check_finite(arrays, state)
        folder = self._folder(epoch)
        temporary = self.directory / (UNFINISHED + folder.name)
        for path in self.directory.glob(UNFINISHED + "*"):  # of a killed run
            shutil.rmtree(path, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            np.savez(temporary / "variables.npz", **arrays)
            file = np.memmap(temporary / "variables.npz", mode="r")
            text = json.dumps({**state, "crc32": zlib.crc32(file)}, indent=1)
            (temporary / "state.json").write_text(text + "\n")
            flush(*temporary.iterdir(), temporary)
            shutil.rmtree(folder, ignore_errors=True)  # if it was damaged
            temporary.rename(folder)
            flush(self.directory)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _read(self, epoch):
        """All of a checkpoint, a dict of arrays, and its state."""
        path = self._folder(epoch) / "variables.npz"
        state = read_json(path.with_name("state.json"))
        crc32 = zlib.crc32(np.memmap(path, mode="r"))
        if state.get("crc32", crc32) != crc32:
            raise ValueError("the checksum of the file is another")
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        state = json.loads(str(arrays["state"]))
        _check_finite(arrays, state)
        return arrays, state

    def _restore_newest(self, epochs):
        """Restores the newest checkpoint that can be read; gives its state."""
        for epoch in epochs:
            try:
                arrays, state = self._read(epoch)
            except (*DAMAGE, FloatingPointError) as error:
                name = self._folder(epoch).name
                _warn(f"{name} in {self.directory} is damaged: {error!r}.")
                continue
            self._assign(epoch, _owners(self.model), arrays, state)
            names = sorted(name for name in arrays if "random/" in name)
            self._random_states = [arrays[name] for name in names]
            backend_random.set_states(self._random_states)
            return state
        raise ValueError(
            f"None of the {len(epochs)} checkpoints in {self.directory} can "
            "be gone on with. Restore the folder, or move it away."
        )

    def _assign(self, epoch, owners, arrays, state):
        _check_same(self._folder(epoch), owners, state)
        for group, owner in owners.items():
            for i, variable in enumerate(owner.variables):
                # NumPy's format forgets what a bfloat16 is.
                dtype = np.dtype(state["variables"][group][i]["dtype"])
                variable.assign(arrays[f"{group}/{i:05d}"].view(dtype))


def _owners(model):
    """Whose variables are saved; not metrics, which every epoch resets."""
    if not model.built:
        raise ValueError(
            f"The model {model.name!r} is not built. Call it before `fit`."
        )
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return {"model": model, "optimizer": model.optimizer}


def _check_finite(arrays, state):
    for group, rows in state["variables"].items():
        for i, row in enumerate(rows):
            array = arrays[f"{group}/{i:05d}"].view(np.dtype(row["dtype"]))
            if not np.isfinite(array).all():
                raise FloatingPointError(f"{row['path']!r} has NaN or infinity")


def _check_same(folder, owners, state):
    for group, owner in owners.items():
        there = [state[group], *map(_words, state["variables"][group])]
        own = map(_words, map(_describe, owner.variables))
        here = [type(owner).__name__, *own]
        rows = itertools.zip_longest(there, here, fillvalue="missing")
        for i, (old, new) in enumerate(rows):
            if _identity(old, group) != _identity(new, group):
                what = f"variable {i - 1} of the {group} is" if i else group
                raise ValueError(
                    f"The checkpoint {folder} is another model's: {what} "
                    f"{old} there, {new} here. Build and compile the model as "
                    "it was, or give another `directory`."
                )


def _describe(variable):
    shape = [*variable.shape]
    return dict(path=variable.path, shape=shape, dtype=variable.dtype)


def _words(row):
    return f"{row['path']!r} {tuple(row['shape'])} {row['dtype']}"


def _identity(words, group):
    if group == "optimizer":  # its scopes depend on where it was built
        words = re.sub("'.*/", "'", words)
    # Keras numbers names anew within a process; the order is fixed anyway.
    return re.sub(r"_\d+(?=[_/'])", "", words)
