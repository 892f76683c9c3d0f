"""Objectives and recipes at equal time: both programs, from text to table."""

import json
import pathlib
import runpy
import sys

import pytest
from harness import pretraining

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples/benchmarks"


@pytest.fixture
def run(glue, tmp_path, monkeypatch, capsys):
    """Runs a program for two steps a stage, and returns what it prints."""
    corpus = tmp_path / "text.txt"
    meals = (
        f"the chef ate {n} meals. a meal the chef ate." for n in range(1000)
    )
    corpus.write_text("\n\n".join(meals))
    monkeypatch.setattr(pretraining, "FIVE", ("sst2", "stsb"))
    monkeypatch.setattr(pretraining, "TIMED_STEPS", 1)
    monkeypatch.setattr(pretraining, "LENGTH", 16)
    # Put back by pytest: the programs add a folder and a number of threads.
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(name, *arguments):
        common = [corpus, "--data", glue, "--output", tmp_path / "out"]
        common += ["--minutes", 1e-6, "--batch-size", 4, "--epochs", 1]
        common += ["--vocabulary-size", 60, "--num-processes", 1]
        arguments = [str(argument) for argument in (*common, *arguments)]
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_objectives(run, tmp_path):
    arguments = ("objectives.py", "--objectives", "random", "rtd")
    printed = run(*arguments)
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == [
        "| ",
        "| ---",
        "| bag of words",
        "| random",
        "| rtd",
    ]
    assert " | 1 | 4 | " in rows[-1]
    # All is in files: what a second call prints is read from them.
    (tmp_path / "out/rtd-1/few.json").write_text("12.5")
    assert "| 12.5 |" in run(*arguments)


def test_time_to_quality(run, tmp_path):
    printed = run("time_to_quality.py", "--points", 3)
    assert printed.count("five tasks") == 7  # and the comparison
    assert "ours: " in printed and "AUC -" in printed
    assert (tmp_path / "out/curves.png").is_file()
    seconds = [
        json.loads((tmp_path / f"out/ours/{i}.json").read_text())
        for i in (1, 2, 3)
    ]
    assert 0 < seconds[0] < seconds[1] < seconds[2]
