"""The programs that measure calibration and the order of explanations."""

import gzip
import pathlib
import runpy
import sys

import pytest

pytest.importorskip("sklearn")
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples/benchmarks"


def run(monkeypatch, name, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_calibration(preset, tmp_path, monkeypatch, capsys):
    (tmp_path / "conll2000").mkdir()
    lines = ["the DT B-NP", "chef NN I-NP", "ate VB B-VP", ""] * 16
    for split in ("train", "test"):
        path = tmp_path / "conll2000" / f"{split}.txt.gz"
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
    arguments = ["--task", "conll2000", "--divide", 500, "--preset", preset]
    arguments += ["--data", tmp_path, "--pictures", tmp_path / "pictures"]
    run(monkeypatch, "calibration.py", *arguments, "--save", tmp_path)
    rows = capsys.readouterr().out.splitlines()[-3:]
    for row, method in zip(rows, ("none", "temperature", "vector")):
        assert row.startswith(f"| conll2000 | 48 | {method} | ")
        assert (tmp_path / "pictures" / f"conll2000-{method}.html").is_file()
    assert (tmp_path / "conll2000" / "task.json").is_file()


def test_deletion(preset, tmp_path, monkeypatch, capsys):
    rows = ["sentence\tlabel"]
    rows += [f"{'the chef ate a meal ' * 2}\t{i % 2}" for i in range(4)]
    for split in ("train", "dev"):
        path = tmp_path / f"{split}.tsv"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    arguments = ["--data", tmp_path, "--preset", preset, "--texts", 2]
    run(monkeypatch, "deletion.py", *arguments)
    rows = capsys.readouterr().out.splitlines()[-3:]
    for row, method in zip(rows, ("integrated_grad", "leave_out", "random")):
        assert row.startswith(f"| {method}") and "; 100% |" in row
