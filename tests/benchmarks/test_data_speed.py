"""The benchmark of the data pipeline runs and prints its table."""

import pathlib
import runpy
import sys

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples/benchmarks"


def test_benchmark(golden, monkeypatch, capsys):
    arguments = ["--corpus", str(golden / "corpus.txt"), "--repeats", "1"]
    arguments += ["--vocabulary", str(golden / "vocab.txt")]
    monkeypatch.setattr(sys, "argv", ["data_speed.py", *arguments])
    path = EXAMPLES / "data_speed.py"
    runpy.run_path(str(path), run_name="__main__")
    printed = capsys.readouterr().out
    for row in ("build, 1 process ", "build, 2 processes", "load, shuffled"):
        assert row in printed
