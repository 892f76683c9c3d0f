"""Save after every epoch; go on after an interruption, equal bit for bit.

Keras' `BackupAndRestore` does not write atomically, and starts the data anew.
"""

import itertools
import json
import math
import re
import shutil
import types
import warnings
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
from keras_electra.backend.files import write_json

if keras.config.backend() == "torch":  # has generators of its own
    from keras_electra.backend import torch as backend_random
else:  # all is drawn from seeds of layers, which are variables
    backend_random = types.SimpleNamespace(get_states=list, set_states=list)
# Metrics of which more is better; of all others, such as losses, less is.
RISING = ("acc", "auc", "precision", "recall", "f1")
UNFINISHED = ".unfinished-"
# What reading a damaged or cut off file raises, or finds.
DAMAGE = OSError, EOFError, KeyError, ValueError, BadZipFile, FloatingPointError


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
        self.directory: Any = local_folder("directory", directory)
        self.keep, self.monitor, self.verbose = keep, monitor, verbose
        self.best = types.SimpleNamespace(epoch=None, value=None)
        rises = any(name in (monitor or "") for name in RISING)
        self._sign = 1 if mode == "max" or mode == "auto" and rises else -1

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
            best = state["best_epoch"], state["best_value"]
            self.best.epoch, self.best.value = best
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
        done, before = epoch + 1, self.best
        self.best = self._best_with(done, logs or {})
        try:
            if self._is_first:
                self._save(done)
        except (OSError, FloatingPointError) as error:
            self.best: Any = before
            warnings.warn(
                f"The checkpoint after epoch {done} could not be saved: "
                f"{error}. Make room or lower `keep` ({self.keep}), or, if it "
                "is not finite, the learning rate."
            )
        replicas.everyone(epoch)  # the others wait

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.model._initial_epoch = None
        self._run_lock.release(force=True)

    def restore_best(self, model: keras.Model | None = None) -> int:
        """Sets weights to the best; returns after how many epochs they were."""
        states = [self._folder(n) / "state.json" for n in self._epochs()[:1]]
        best = read_json(*states or [None]).get("best_epoch")
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
            names = sorted(logs)
            warnings.warn(f"`monitor`={self.monitor!r} is not among {names}.")
        value, best = float(logs.get(self.monitor, math.nan)), self.best.value
        worst = -self._sign * math.inf if best is None else best
        if self._sign * (value - worst) > 0:
            return types.SimpleNamespace(epoch=epoch, value=value)
        return self.best

    def _folder(self, epoch):
        return self.directory / f"epoch-{epoch:05d}"

    def _epochs(self):
        """Epochs that have a checkpoint, the newest first."""
        numbers = [path.name[6:] for path in self.directory.glob("epoch-*")]
        return sorted(map(int, filter(str.isdecimal, numbers)), reverse=True)

    def _save(self, epoch):
        """Writes a checkpoint: all of it, or an `OSError` and nothing."""
        position, data = self._start, getattr(self.model, "training_data", None)
        if position is not None:
            position += self._batches
            if not getattr(data, "endless", True):
                position %= len(data)
        groups = {n: o.variables for n, o in _owners(self.model).items()}
        state = {
            "epoch": epoch,
            "batches": self._batches,
            "position": position,
            "batch_size": getattr(data, "batch_size", None),
            "monitor": self.monitor,
            "best_epoch": self.best.epoch,
            "best_value": self.best.value,
            "model": type(self.model).__name__,
            "optimizer": type(self.model.optimizer).__name__,
            "variables": {n: [*map(_describe, v)] for n, v in groups.items()},
        }
        # The state is among the arrays too, which have checksums.
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
            write_json(temporary / "state.json", state)
            flush(*temporary.iterdir(), temporary)
            shutil.rmtree(folder, ignore_errors=True)  # if it was damaged
            temporary.rename(folder)
            flush(self.directory)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        epochs = self._epochs()
        # Newer ones were damaged, or the run would have resumed from them.
        older = [n for n in epochs if n <= epoch]
        for n in set(epochs) - {*older[: self.keep], self.best.epoch}:
            shutil.rmtree(self._folder(n), ignore_errors=True)

    def _read(self, epoch):
        """All of a checkpoint, a dict of arrays, and its state."""
        path = self._folder(epoch) / "variables.npz"
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
            except DAMAGE as error:
                name = self._folder(epoch).name
                what = f"{name} in {self.directory} is damaged: {error!r}."
                warnings.warn(what, stacklevel=2)
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
        rows = state["variables"][group], map(_describe, owner.variables)
        old, new = ([_words(row, group) for row in each] for each in rows)
        pairs = (
            (state[group], type(owner).__name__),
            *itertools.zip_longest(old, new, fillvalue="missing"),
        )
        for i, (there, here) in enumerate(pairs):
            if there != here:
                what = f"variable {i - 1} of the {group} is" if i else group
                raise ValueError(
                    f"The checkpoint {folder} is another model's: {what} "
                    f"{there} there, {here} here. Build and compile the model "
                    "as it was, or give another `directory`."
                )


def _describe(variable):
    shape = [*variable.shape]
    return dict(path=variable.path, shape=shape, dtype=variable.dtype)


def _words(row, group):
    # Keras numbers names anew within a process; the order is fixed anyway.
    path = re.sub(r"_\d+(?=[_/]|$)", "", row["path"])
    if group == "optimizer":  # its scopes depend on where it was built
        path = path.split("/")[-1]
    return f"{path!r} {tuple(row['shape'])} {row['dtype']}"
