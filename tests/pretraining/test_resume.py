"""A pre-training run that is killed goes on as if it had not been."""

import os
import pathlib
import signal
import subprocess
import sys

import numpy as np

from tests.pretraining import resume_program

ROOT = pathlib.Path(__file__).parents[2]


def test_killed_run_ends_with_the_same_weights(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = resume_program.train(whole)
    program = [
        sys.executable,
        "-m",
        "tests.pretraining.resume_program",
        str(broken),
    ]
    # As many threads as here: sums in another order are other sums.
    settings = {"cwd": ROOT, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    killed = subprocess.run([*program, "1", "2"], **settings)
    assert killed.returncode == -signal.SIGKILL
    assert not (broken / "weights.npz").exists()
    resumed = subprocess.run(
        program, capture_output=True, text=True, check=True, **settings
    )
    assert "Resuming after epoch 1" in resumed.stdout
    assert resumed.stdout.endswith("done\n")
    found = np.load(broken / "weights.npz")
    assert len(found.files) == len(expected)
    for name, array in zip(found.files, expected):
        np.testing.assert_array_equal(found[name], array)
