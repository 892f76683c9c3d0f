"""Killed runs go on bit for bit; what cannot be gone on with is said.

Run as a program, this file trains and is killed: `FOLDER batch EPOCH` in the
middle of an epoch, `FOLDER save EPOCH` in the middle of saving.
"""

import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from keras_electra.training.checkpoint import ResumableCheckpoint
from keras_electra.training.optimizers import ElectraAdamW
from keras_electra.training.recipes import WarmupPolynomialDecay

EPOCHS, STEPS = 5, 3


class Batches(keras.utils.PyDataset):
    """Endless batches that depend on their number only."""

    position = 0
    num_batches = None

    def __getitem__(self, index):
        rng = np.random.default_rng(self.position + index)
        x = rng.normal(size=(4, 6)).astype("float32")
        return x, x[:, :1] * 2.0


def make_model(units=5, optimizer=None, dtype="bfloat16"):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(units, activation="tanh", dtype=dtype),
            keras.layers.Dropout(0.3, dtype="float32"),
            keras.layers.Dense(1, dtype="float32"),
        ]
    )
    schedule = WarmupPolynomialDecay(0.05, EPOCHS * STEPS, 2)
    model.compile(optimizer or ElectraAdamW(schedule), loss="mse")
    return model


def train(folder, *callbacks, epochs=EPOCHS, model=None, **kwargs):
    """The program that is started again after every interruption."""
    if model is None:
        keras.utils.set_random_seed(1)
        model = make_model()
    model.training_data = Batches()
    kwargs = {"keep": 3, "verbose": 0, **kwargs}
    history = model.fit(
        model.training_data,
        steps_per_epoch=STEPS,
        epochs=epochs,
        callbacks=[ResumableCheckpoint(folder, **kwargs), *callbacks],
        shuffle=False,
        verbose=0,
    )
    return model, history


def numbers(model):
    variables = model.variables + model.optimizer.variables
    return [keras.ops.convert_to_numpy(keras.ops.copy(v)) for v in variables]


def check_equal(model, other):
    for ours, theirs in zip(numbers(model), numbers(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def kill_at(what, epoch):
    """A callback that kills this process, as losing the machine would."""

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, now, logs=None):
            self.now = now
            if what == "save" and now == epoch:
                write = np.lib.format.write_array
                arrays = []

                def write_some(file, array, **kwargs):
                    arrays.append(array)
                    write(file, array, **kwargs)
                    if len(arrays) == 4:
                        die()

                np.lib.format.write_array = write_some

        def on_train_batch_end(self, batch, logs=None):
            if what == "batch" and self.now == epoch and batch == 1:
                die()

    return Kill()


def names(folder):
    return sorted(os.listdir(folder))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three epochs, to be copied and damaged, and its last model."""
    folder = tmp_path_factory.mktemp("run")
    model, _ = train(folder, epochs=3)
    return folder, model


def begin(folder, model=None, **kwargs):
    """A callback after the begin of a training that goes no further."""
    checkpoint = ResumableCheckpoint(folder, **{"verbose": 0, **kwargs})
    checkpoint.set_model(model or make_model())
    checkpoint.on_train_begin()
    return checkpoint


def report(checkpoint, values, first_epoch=0):
    """Ends epochs that reported `values`; the weights are the epoch's."""
    for epoch, value in enumerate(values, first_epoch):
        for weight in checkpoint.model.weights:
            weight.assign(keras.ops.full(weight.shape, epoch + 1.0))
        logs = {"val_loss": value, "val_accuracy": value}
        checkpoint.on_epoch_end(epoch, logs)


# Interrupted and resumed.


def test_killed_twice_equals_never_killed(tmp_path):
    expected, _ = train(tmp_path / "whole")

    folder = tmp_path / "run"
    for what, epoch in (("save", 1), ("batch", 3)):
        command = [sys.executable, __file__, str(folder), what, str(epoch)]
        killed = subprocess.run(command, capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        if what == "save":  # after epoch 1, while saving epoch 2
            assert names(folder) == [".unfinished-epoch-00002", "epoch-00001"]
    assert names(folder) == ["epoch-00001", "epoch-00002", "epoch-00003"]

    model, history = train(folder)
    assert history.epoch == [3, 4]
    assert names(folder) == ["epoch-00003", "epoch-00004", "epoch-00005"]
    check_equal(model, expected)


def test_finished_run_trains_nothing(run):
    model, history = train(run[0], epochs=3)
    assert history.epoch == []
    check_equal(model, run[1])


def test_longer_run_goes_on(tmp_path, run):
    train(tmp_path, epochs=2)
    model, history = train(tmp_path, epochs=3)
    assert history.epoch == [2]
    check_equal(model, run[1])


def test_another_fit_of_the_model_is_not_concerned(run):
    model, _ = train(run[0], epochs=3)
    history = model.fit(
        Batches(), steps_per_epoch=2, epochs=1, shuffle=False, verbose=0
    )
    assert history.epoch == [0]


def loss_scaled():
    inner = ElectraAdamW(0.05, use_ema=True, gradient_accumulation_steps=2)
    return keras.optimizers.LossScaleOptimizer(inner)


def one_for_each_layer():
    by_path = keras.optimizers.OptimizerMap(
        ElectraAdamW(0.05), {".*bias": ElectraAdamW(0.01)}
    )
    return keras.optimizers.MultiOptimizer(by_path)


@pytest.mark.parametrize("optimizer", [loss_scaled, one_for_each_layer])
def test_optimizers_that_hold_others(tmp_path, optimizer):
    def make():
        keras.utils.set_random_seed(1)
        return make_model(optimizer=optimizer(), dtype="float32")

    expected, _ = train(tmp_path / "whole", epochs=3, model=make())
    interrupted = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: 1 / 0 if epoch == 2 else None
    )
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "parts", interrupted, epochs=3, model=make())
    model, history = train(tmp_path / "parts", epochs=3, model=make())
    assert history.epoch == [2]
    check_equal(model, expected)


def test_position_and_state_are_written(run):
    state = json.loads((run[0] / "epoch-00002/state.json").read_text())
    assert state["epoch"] == 2
    assert state["position"] == state["batches"] == 2 * STEPS
    assert state["model"] == "Sequential"
    dtypes = {row["dtype"] for row in state["variables"]["model"]}
    assert {"bfloat16", "float32"} < dtypes  # and the seed of the dropout

    model = make_model()
    model.training_data = Batches()
    begin(run[0], model)
    assert model.training_data.position == 3 * STEPS


def test_position_within_a_pass(tmp_path):
    class Passes(Batches):
        endless = False

        def __len__(self):
            return STEPS

    for steps, expected in ((STEPS, 0), (1, 1), (2, 0)):
        model = make_model()
        model.training_data = Passes()
        checkpoint = begin(tmp_path, model)
        epoch = model._initial_epoch or 0
        checkpoint.on_epoch_begin(epoch)
        checkpoint.on_train_batch_end(steps - 1)
        checkpoint.on_epoch_end(epoch)
        begin(tmp_path, model)
        assert model.training_data.position == expected


def test_data_without_a_position(tmp_path):
    for epochs in (1, 2):
        keras.utils.set_random_seed(1)
        model = make_model()
        history = model.fit(
            np.ones((8, 6)),
            np.ones((8, 1)),
            epochs=epochs,
            callbacks=[ResumableCheckpoint(tmp_path)],
            verbose=0,
        )
    assert history.epoch == [1]
    state = json.loads((tmp_path / "epoch-00002/state.json").read_text())
    assert state["position"] is None


def test_says_where_it_resumes(run, tmp_path, capsys):
    begin(tmp_path, verbose=1)
    assert "Resuming" not in capsys.readouterr().out
    begin(run[0], verbose=1)
    assert "Resuming after epoch 3" in capsys.readouterr().out


# What is kept.


def test_the_best_is_kept_and_restored(tmp_path):
    kwargs = {"keep": 1, "monitor": "val_loss"}
    report(begin(tmp_path, **kwargs), [3.0, 1.0, 2.0])
    assert names(tmp_path) == ["epoch-00002", "epoch-00003"]
    # Known after a restart too.
    checkpoint = begin(tmp_path, **kwargs)
    report(checkpoint, [float("nan"), 4.0], first_epoch=3)
    assert names(tmp_path) == ["epoch-00002", "epoch-00005"]
    assert (checkpoint.best.epoch, checkpoint.best.value) == (2, 1.0)
    assert checkpoint.restore_best() == 2
    for weight in checkpoint.model.get_weights():
        assert (weight == 2.0).all()


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({"monitor": "val_loss"}, 2),
        ({"monitor": "val_accuracy"}, 1),
        ({"monitor": "val_loss", "mode": "max"}, 1),
        ({"monitor": "val_accuracy", "mode": "min"}, 2),
    ],
)
def test_which_is_best(tmp_path, arguments, expected):
    checkpoint = begin(tmp_path, **arguments)
    report(checkpoint, [3.0, 1.0])
    assert checkpoint.best.epoch == expected


def test_monitor_that_is_not_reported(tmp_path):
    checkpoint = begin(tmp_path, monitor="val_los")
    with pytest.warns(UserWarning, match="'val_los'.*'val_loss'"):
        report(checkpoint, [1.0])
    with pytest.raises(ValueError, match="no best checkpoint.*monitor"):
        checkpoint.restore_best()


# Damage.


def damage(folder, how):
    path = pathlib.Path(folder) / "variables.npz"
    data = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "cut off":
        path.write_bytes(data[: len(data) // 2])
    else:
        with zipfile.ZipFile(path) as archive:  # not of what zip never reads
            member = max(archive.infolist(), key=lambda info: info.file_size)
        middle = member.header_offset + member.file_size // 2
        data[middle if how == "middle" else 200] ^= 1
        path.write_bytes(data)


def test_what_is_restored(run):
    checkpoint = begin(run[0])
    check_equal(checkpoint.model, run[1])
    assert checkpoint.model._initial_epoch == 3


@pytest.mark.parametrize("how", ["missing", "cut off", "middle", "start"])
def test_damaged_newest_falls_back_to_the_one_before(run, tmp_path, how):
    folder = shutil.copytree(run[0], tmp_path / "run")
    damage(folder / "epoch-00003", how)
    with pytest.warns(UserWarning, match="epoch-00003 .* is damaged"):
        checkpoint = begin(folder)
    assert checkpoint.model._initial_epoch == 2
    steps = keras.ops.convert_to_numpy(checkpoint.model.optimizer.iterations)
    assert steps == 2 * STEPS
    report(checkpoint, [0.0], first_epoch=2)
    assert names(folder) == ["epoch-00001", "epoch-00002", "epoch-00003"]
    assert begin(folder).model._initial_epoch == 3  # whole again


def test_two_damaged_ones_do_not_push_out_the_good(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    damage(folder / "epoch-00003", "cut off")
    damage(folder / "epoch-00002", "cut off")
    with pytest.warns(UserWarning, match="is damaged"):
        checkpoint = begin(folder, keep=1)
    report(checkpoint, [0.0], first_epoch=1)
    assert names(folder) == ["epoch-00002"]
    assert begin(folder).model._initial_epoch == 2


def test_all_damaged_is_an_error(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    for name in names(folder):
        damage(folder / name, "cut off")
    with pytest.warns(UserWarning, match="is damaged"):
        with pytest.raises(ValueError, match="None of the 3 checkpoints"):
            begin(folder)


@pytest.mark.parametrize("where", ["write_array", "fsync"])
def test_full_disk_leaves_earlier_ones(tmp_path, monkeypatch, where):
    checkpoint = begin(tmp_path, keep=1, monitor="val_loss")
    report(checkpoint, [2.0])

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    module = np.lib.format if where == "write_array" else os
    with monkeypatch.context() as patch:
        patch.setattr(module, where, full)
        with pytest.warns(UserWarning, match="epoch 2 .*No space left"):
            report(checkpoint, [1.0], first_epoch=1)  # and training goes on
    assert names(tmp_path) == ["epoch-00001"]
    assert checkpoint.best.epoch == 1  # the better one was lost
    report(checkpoint, [3.0], first_epoch=2)
    assert names(tmp_path) == ["epoch-00001", "epoch-00003"]


# Another model's checkpoint.


@pytest.mark.parametrize(
    "make, difference",
    [
        (lambda: make_model(units=7), r"'.*kernel' \(6, 5\).*\(6, 7\)"),
        (
            lambda: make_model(optimizer=keras.optimizers.SGD(0.1)),
            "optimizer ElectraAdamW there, SGD here",
        ),
        (
            lambda: make_model(optimizer=ElectraAdamW(0.1, use_ema=True)),
            "of the optimizer",
        ),
    ],
)
def test_another_model_is_an_error_and_left_alone(run, make, difference):
    model = make()
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"another model's.*{difference}"):
        begin(run[0], model)
    for ours, theirs in zip(model.get_weights(), before):
        np.testing.assert_array_equal(ours, theirs)
    assert names(run[0]) == ["epoch-00001", "epoch-00002", "epoch-00003"]


def test_another_class_is_an_error(run):
    sequential = make_model()
    model = keras.Model(sequential.inputs, sequential.outputs)
    model.compile(sequential.optimizer, loss="mse")
    with pytest.raises(ValueError, match="Sequential there, Functional here"):
        begin(run[0], model)


def test_unbuilt_model_is_an_error(run, tmp_path):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="not built.*before `fit`"):
        begin(run[0], model)


@pytest.mark.parametrize("arguments", [{"keep": 0}, {"mode": "largest"}])
def test_bad_arguments_are_named(arguments):
    [(name, value)] = arguments.items()
    with pytest.raises(ValueError, match=f"`{name}`.*{name}={value!r}"):
        ResumableCheckpoint("run", **arguments)


if __name__ == "__main__":
    train(sys.argv[1], kill_at(sys.argv[2], int(sys.argv[3])))
