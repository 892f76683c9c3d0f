"""Save after every epoch; go on after any interruption as if there was none.

Saved is all that decides how training continues: weights and seeds, the
optimizer, the backend's own random numbers, the epoch, and the position in
the data. So a resumed run gives the weights of an uninterrupted one bit for
bit, where the backend itself gives the same result twice. Keras'
`BackupAndRestore` keeps one file, does not write it atomically, and starts
the data anew.
"""

import math
import pathlib
import types
import warnings

import keras

from keras_electra.arguments import check_count
from keras_electra.arguments import check_option
from keras_electra.training import checkpoint_files as files

if keras.config.backend() == "torch":
    # Keras draws dropout without a fixed seed from torch's own generators.
    from keras_electra.backend import torch as backend_random
else:  # all is drawn from seeds, which are variables of layers
    backend_random = types.SimpleNamespace(
        get_states=list, set_states=lambda states: None
    )
# Metrics of which more is better; of all others, such as losses, less is.
RISING = ("acc", "auc", "precision", "recall", "f1")


class ResumableCheckpoint(keras.callbacks.Callback):
    """Saves the whole training state after every epoch, and resumes from it.

    Run the same program again after an interruption: `fit` goes on after the
    last finished epoch, in the data too if the data has a position. If the
    run was finished already, `fit` trains nothing.

    ```python
    model.fit(data, epochs=100, callbacks=[ResumableCheckpoint("run/")])
    ```

    The model must be built and compiled before `fit`, as it was the first
    time. The position is kept for data with an integer attribute `position`
    (batches consumed; the next `iter()` starts there) that the model knows as
    `model.training_data`, which `ElectraPretrainer.fit` sees to. It counts
    on over passes, or within the pass of data whose `endless` is false. Other
    data starts anew at the restart, as Keras does it. The state of other
    callbacks is not saved.

    Args:
        directory: str or path, folder for the checkpoints of this run only.
        keep: int > 0, how many of the newest to keep. Defaults to `3`. The
            disk needs room for one more.
        monitor: str, name of a metric such as `"val_loss"`. The checkpoint
            where it was best is kept too; see `restore_best()`. Defaults to
            `None`.
        mode: `"min"`, `"max"` or `"auto"`: which is best. `"auto"` takes the
            greatest accuracy, AUC, precision, recall or F1, and the smallest
            of everything else. Defaults to `"auto"`.
        verbose: 0 or 1, whether to print where training resumes. Defaults to
            `1`.

    Raises:
        ValueError: an argument is out of its range; or in `fit`, when the
            checkpoints are another model's (the model is left as it was), or
            none of them can be read.
    """

    def __init__(self, directory, keep=3, monitor=None, mode="auto", verbose=1):
        super().__init__()
        check_count("keep", keep)
        check_option("mode", mode, ("auto", "min", "max"))
        if mode == "auto":
            rises = any(name in (monitor or "") for name in RISING)
            mode = "max" if rises else "min"
        self.directory = pathlib.Path(directory).expanduser().absolute()
        self.keep = keep
        self.monitor = monitor
        self.mode = mode
        self.best = types.SimpleNamespace(epoch=None, value=None)
        self.verbose = verbose

    def on_train_begin(self, logs=None):
        self.directory.mkdir(parents=True, exist_ok=True)
        files.remove_unfinished(self.directory)
        self._batches = 0
        self._random_states = None  # of the last batch that was trained on
        data = getattr(self.model, "training_data", None)
        self._start = getattr(data, "position", None)
        epochs = files.list_epochs(self.directory)
        if not epochs:
            return
        epoch, state = self._restore(epochs)
        self._batches = state["batches"]
        if state["monitor"] == self.monitor:
            self.best.epoch = state["best_epoch"]
            self.best.value = state["best_value"]
        if self._start is not None and state["position"] is not None:
            data.position = state["position"]
            self._start = state["position"] - self._batches
        # Where Keras' own callback says it, and `fit` looks for it.
        self.model._initial_epoch = epoch
        if self.verbose:
            print(f"Resuming after epoch {epoch}, from {self.directory}")

    def on_epoch_begin(self, epoch, logs=None):
        self._before_epoch = self._batches
        self.model._initial_epoch = None  # a later `fit` is not concerned

    def on_train_batch_begin(self, batch, logs=None):
        # Torch's data loaders draw when they are opened, which a resumed run
        # does once more, for training and for validation. So every epoch
        # trains on from where the training of the last one ended.
        if batch == 0 and self._random_states is not None:
            backend_random.set_states(self._random_states)

    def on_train_batch_end(self, batch, logs=None):
        # `self.model` would make JAX move all weights: not to be used here.
        self._batches = self._before_epoch + batch + 1
        self._random_states = backend_random.get_states()

    def on_epoch_end(self, epoch, logs=None):
        done = epoch + 1
        if self._random_states is None:
            self._random_states = backend_random.get_states()
        before = self.best
        self.best = self._best_with(done, logs or {})
        try:
            self._save(done)
        except OSError as error:
            self.best = before
            warnings.warn(
                f"The checkpoint after epoch {done} could not be saved in "
                f"{self.directory}: {error}. Training goes on, and earlier "
                "checkpoints are whole. Make room on the disk, or lower "
                f"`keep` ({self.keep}).",
                stacklevel=2,
            )
            return
        epochs = files.list_epochs(self.directory)
        # Newer ones were damaged, or the run would have resumed from them.
        older = [epoch for epoch in epochs if epoch <= done]
        for epoch in set(epochs) - {*older[: self.keep], self.best.epoch}:
            files.remove(self.directory, epoch)

    def on_train_end(self, logs=None):
        self.model._initial_epoch = None

    def restore_best(self, model=None):
        """Sets the weights to those of the best checkpoint.

        Args:
            model: `keras.Model`. Defaults to the one that was trained.

        Returns:
            int, the number of epochs after which it was saved.

        Raises:
            ValueError: nothing was monitored yet, or the model is another.
        """
        model = model or self.model
        epochs = files.list_epochs(self.directory)
        state = files.read_state(self.directory, epochs[0]) if epochs else {}
        if state.get("best_epoch") is None:
            raise ValueError(
                f"There is no best checkpoint in {self.directory}: give a "
                "`monitor` before training. Received: "
                f"monitor={self.monitor!r}."
            )
        groups = {"model": files.variables(model)["model"]}
        self._read(state["best_epoch"], model, groups)
        return state["best_epoch"]

    def _best_with(self, epoch, logs):
        """The best epoch so far, this one included. NaN is never best."""
        if self.monitor is not None and self.monitor not in logs:
            warnings.warn(
                f"`monitor` is {self.monitor!r}, which epoch {epoch} does not "
                f"report. It reports: {sorted(logs)}.",
                stacklevel=3,
            )
        sign = 1.0 if self.mode == "max" else -1.0
        value, best = float(logs.get(self.monitor, math.nan)), self.best.value
        if math.isnan(value) or best is not None and sign * (value - best) <= 0:
            return self.best
        return types.SimpleNamespace(epoch=epoch, value=value)

    def _save(self, epoch):
        data, position = getattr(self.model, "training_data", None), None
        if self._start is not None:
            position = int(self._start) + self._batches
            if not getattr(data, "endless", True):
                position %= len(data)
        state = {
            "format": 1,
            "epoch": epoch,
            "batches": self._batches,
            "position": position,
            "monitor": self.monitor,
            "best_epoch": self.best.epoch,
            "best_value": self.best.value,
            "model": type(self.model).__name__,
            "optimizer": type(self.model.optimizer).__name__,
            "random_states": len(self._random_states),
        }
        groups = files.variables(self.model)
        files.write(self.directory, epoch, state, groups, self._random_states)

    def _restore(self, epochs):
        """Restores the newest checkpoint that can be read."""
        groups = files.variables(self.model)
        for epoch in epochs:
            try:
                state, states = self._read(epoch, self.model, groups)
            except _AnotherModel:
                raise
            except files.DAMAGE as error:
                warnings.warn(
                    f"The checkpoint {files.folder_name(epoch)} in "
                    f"{self.directory} is damaged ({error!r}); trying the one "
                    "before.",
                    stacklevel=2,
                )
                continue
            self._random_states = states
            backend_random.set_states(states)
            return epoch, state
        raise ValueError(
            f"None of the {len(epochs)} checkpoints in {self.directory} can "
            "be read. Restore the folder, or move it away to start anew."
        )

    def _read(self, epoch, model, groups):
        """Reads all, then assigns all: nothing changes if a file is bad."""
        state = files.read_state(self.directory, epoch)
        difference = files.first_difference(state["variables"], groups)
        for key, own in (("optimizer", model.optimizer), ("model", model)):
            here = type(own).__name__
            if key in groups and state[key] != here:
                difference = f"{key} {state[key]} there, {here} here"
        if difference is not None:
            where = self.directory / files.folder_name(epoch)
            raise _AnotherModel(
                f"The checkpoint {where} is another model's: {difference}. "
                "Nothing was restored. Build and compile the model as it was, "
                "or give another `directory`."
            )
        arrays = files.read_arrays(self.directory, epoch, state, groups)
        for group, variables in groups.items():
            for variable, array in zip(variables, arrays[group]):
                variable.assign(array)
        return state, arrays["random"]


class _AnotherModel(ValueError):
    """Apart from the other `ValueError`s, which a damaged file raises too."""
