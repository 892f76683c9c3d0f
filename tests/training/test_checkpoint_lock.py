"""What is not finite is passed over; two runs never share a folder."""

import os
import signal
import subprocess
import sys

import filelock
import numpy as np
import pytest

from keras_electra.training import checkpoint as module
from tests.training.test_checkpoint import begin
from tests.training.test_checkpoint import names
from tests.training.test_checkpoint import report
from tests.training.test_checkpoint import train

# What a run in another process does, without its minute of importing Keras.
HOLD = """
import sys, time, filelock
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def poison(checkpoint):
    weight = checkpoint.model.trainable_weights[-1]
    weight.assign(np.full(weight.shape, np.inf))


def test_not_finite_is_not_saved(tmp_path):
    checkpoint = begin(tmp_path, keep=1, monitor="val_loss")
    report(checkpoint, [2.0])
    for epoch in (1, 2):
        poison(checkpoint)
        with pytest.warns(UserWarning, match="epoch .*NaN.*learning rate"):
            logs = {"val_loss": 1.0}
            checkpoint.on_epoch_end(epoch, logs)
    assert names(tmp_path) == ["epoch-00001"]
    assert checkpoint.best.epoch == 1
    assert begin(tmp_path).model._initial_epoch == 1


def test_not_finite_on_the_disk_is_passed_over(tmp_path, monkeypatch):
    """As an earlier version has saved it."""
    checkpoint = begin(tmp_path, keep=1)
    report(checkpoint, [2.0])
    with monkeypatch.context() as patch:
        patch.setattr(module, "_check_finite", lambda *args: None)
        checkpoint.keep = 2
        poison(checkpoint)
        checkpoint.on_epoch_end(1)
    with pytest.warns(UserWarning, match="epoch-00002 .*NaN or infinity"):
        checkpoint = begin(tmp_path)
    assert checkpoint.model._initial_epoch == 1
    report(checkpoint, [1.0], first_epoch=1)
    assert begin(tmp_path).model._initial_epoch == 2


def test_second_run_is_refused_until_the_first_is_killed(tmp_path):
    folder, path = tmp_path / "run", str(tmp_path / ".run.lock")
    running = begin(folder)
    with pytest.raises(filelock.Timeout):  # as another process would see it
        filelock.FileLock(path, timeout=0, is_singleton=False).acquire()
    running.on_train_end()
    command = [sys.executable, "-c", HOLD, path]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(FileExistsError, match="Another run trains in"):
            train(folder)
        assert names(folder) == []
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    train(folder, epochs=1)
    assert names(folder) == ["epoch-00001"]
    # The lock ends with the training, not with the process.
    lock = filelock.FileLock(tmp_path / ".run.lock", timeout=0)
    with lock:
        assert os.path.exists(folder)
