"""Save after every epoch; go on after any interruption as if there was none.

Saved is all that decides how training continues: weights, the optimizer, all
random numbers, the epoch, and the position in the data. So a resumed run
gives the weights of an uninterrupted one bit for bit, where the backend itself
gives the same result twice. Keras' `BackupAndRestore` keeps one file, does
not write it atomically, and starts the data anew.
"""

import os
import warnings

import keras

from keras_electra.training import checkpoint_files as files
from keras_electra.training import model_state
from keras_electra.training.best_epoch import BestEpoch


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
        if not isinstance(keep, int) or keep < 1:
            raise ValueError(
                f"`keep` must be an integer >= 1. Received: keep={keep!r}."
            )
        self.directory = os.path.abspath(os.path.expanduser(directory))
        self.keep = keep
        self.best = BestEpoch(monitor, mode)
        self.verbose = verbose

    def on_train_begin(self, logs=None):
        os.makedirs(self.directory, exist_ok=True)
        files.remove_unfinished(self.directory)
        self._batches = 0
        self._random_states = None  # of the last batch that was trained on
        self._start = self._position()
        epochs = files.list_epochs(self.directory)
        if not epochs:
            return
        epoch, state = self._restore(epochs)
        self._batches = state["batches"]
        if state["monitor"] == self.best.monitor:
            self.best.epoch = state["best_epoch"]
            self.best.value = state["best_value"]
        if self._start is not None and state["position"] is not None:
            self.model.training_data.position = state["position"]
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
            model_state.set_random_states(self._random_states)

    def on_train_batch_end(self, batch, logs=None):
        # `self.model` would make JAX move all weights: not to be used here.
        self._batches = self._before_epoch + batch + 1
        self._random_states = model_state.random_states()

    def on_epoch_end(self, epoch, logs=None):
        done = epoch + 1
        if self._random_states is None:
            self._random_states = model_state.random_states()
        best = self.best.epoch, self.best.value
        self.best.update(done, logs or {})
        try:
            self._save(done)
        except OSError as error:
            self.best.epoch, self.best.value = best
            warnings.warn(
                f"The checkpoint after epoch {done} could not be saved in "
                f"{self.directory}: {error}. Training goes on, and earlier "
                "checkpoints are whole. Make room on the disk, or lower "
                f"`keep` ({self.keep}).",
                stacklevel=2,
            )
            return
        self._remove_old(done)

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
        best = state.get("best_epoch")
        if best is None:
            raise ValueError(
                f"There is no best checkpoint in {self.directory}: give a "
                f"`monitor` before training. Received: "
                f"monitor={self.best.monitor!r}."
            )
        state = files.read_state(self.directory, best)
        weights = {"model": model_state.collect(model)["model"]}
        self._check_same(best, state, model, weights)
        self._assign(best, state, weights)
        return best

    def _save(self, epoch):
        model = self.model
        groups = model_state.collect(model)
        position = None
        if self._start is not None:
            position = self._start + self._batches
            if not getattr(model.training_data, "endless", True):
                position %= len(model.training_data)
        state = {
            "format": 1,
            "epoch": epoch,
            "batches": self._batches,
            "position": position,
            "monitor": self.best.monitor,
            "best_epoch": self.best.epoch,
            "best_value": self.best.value,
            "random_states": len(self._random_states),
            "model": type(model).__name__,
            "optimizer": type(model.optimizer).__name__,
            "variables": model_state.describe(groups),
        }
        arrays = model_state.to_arrays(groups, self._random_states)
        files.write(self.directory, epoch, state, arrays)

    def _restore(self, epochs):
        """Restores the newest checkpoint that can be read."""
        model = self.model
        own = model_state.collect(model)
        for epoch in epochs:
            try:
                state = files.read_state(self.directory, epoch)
                self._check_same(epoch, state, model, own)
                states = self._assign(epoch, state, own)
            except _AnotherModel:
                raise
            except files.DAMAGE as error:
                name = files.folder_name(epoch)
                warnings.warn(
                    f"The checkpoint {name} in {self.directory} is damaged "
                    f"({error!r}); trying the one before.",
                    stacklevel=2,
                )
                continue
            self._random_states = states
            model_state.set_random_states(states)
            return epoch, state
        raise ValueError(
            f"None of the {len(epochs)} checkpoints in {self.directory} can "
            "be read. Restore the folder, or move it away to start anew."
        )

    def _check_same(self, epoch, state, model, own):
        difference = model_state.first_difference(state["variables"], own)
        for key, mine in (
            ("optimizer", type(model.optimizer).__name__),
            ("model", type(model).__name__),
        ):
            if key in own and state[key] != mine:
                difference = f"{key} {state[key]} there, {mine} here"
        if difference is not None:
            where = os.path.join(self.directory, files.folder_name(epoch))
            raise _AnotherModel(
                f"The checkpoint {where} is another model's: {difference}. "
                "Nothing was restored. Build and compile the model as it was, "
                "or give another `directory`."
            )

    def _assign(self, epoch, state, own):
        """Reads all, then assigns all: nothing changes if a file is bad."""
        saved = {group: state["variables"][group] for group in own}
        dtypes = model_state.dtypes(saved, state["random_states"])
        arrays = files.read_arrays(self.directory, epoch, dtypes)
        return model_state.assign(own, arrays)

    def _position(self):
        data = getattr(self.model, "training_data", None)
        position = getattr(data, "position", None)
        return None if position is None else int(position)

    def _remove_old(self, newest):
        epochs = files.list_epochs(self.directory)
        # Newer ones were damaged, or the run would have resumed from them.
        older = [epoch for epoch in epochs if epoch <= newest]
        for epoch in epochs:
            if epoch not in older[: self.keep] and epoch != self.best.epoch:
                files.remove(self.directory, epoch)


class _AnotherModel(ValueError):
    """Apart from the other `ValueError`s, which a damaged file raises too."""
