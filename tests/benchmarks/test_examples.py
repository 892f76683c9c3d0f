"""The examples on a tiny network: from the command line to the table."""

import json
import pathlib
import runpy
import sys

import keras
import pytest

from tests.benchmarks.test_squad import write as write_questions
from tests.benchmarks.test_tagging import write as write_sentences

pytest.importorskip("sklearn")
pytest.importorskip("seqeval")
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples/benchmarks"
pytestmark = pytest.mark.skipif(
    keras.config.backend() == "jax",
    reason="what is more than the other tests have is the same on it, and slow",
)


@pytest.fixture
def run(preset, tmp_path, monkeypatch, capsys):
    """Runs an example and returns what it prints."""

    def run(name, *arguments):
        common = ["--preset", preset, "--no-jit", "--output", str(tmp_path)]
        arguments = [str(argument) for argument in (*arguments, *common)]
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr()

    return run


def test_glue(run, glue, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    arguments = ("--task", "sst2", "--data", glue, "--epochs", 1, "--seeds", 1)
    arguments += ("--random-weights", "--submissions", "--plot")
    shown = run("glue.py", *arguments)
    assert "| sst2 | pretrained | accuracy | 1 |" in shown.out
    assert "| sst2 | random | accuracy | 1 |" in shown.out
    assert "sst2, pretrained, seed 1: step 1/1, loss" in shown.err
    results = json.loads((tmp_path / "sst2.json").read_text())
    assert len(results["runs"]) == 2 and len(results["summary"]) == 2
    assert (tmp_path / "sst2.png").is_file()
    assert (tmp_path / "submissions" / "seed-1" / "SST-2.tsv").is_file()
    monkeypatch.setattr(sys, "argv", ["report.py", str(tmp_path)])
    runpy.run_path(str(EXAMPLES / "report.py"), run_name="__main__")
    assert "| sst2 | accuracy | 1 |" in capsys.readouterr().out
    # Nothing is run again, and the table is the same.
    again = run("glue.py", *arguments)
    assert "step" not in again.err and again.out == shown.out
    with pytest.raises(ValueError, match="Unknown task 'sst'"):
        run("glue.py", "--task", "sst2", "sst", "--data", glue)


def test_tagging(run, tmp_path):
    sentences = ["the NP-B", "ate VP-B"], ["the"]
    path = write_sentences(tmp_path / "some.txt", *sentences)
    arguments = ["tagging.py", "--train", path, "--dev", path]
    arguments += ["--seeds", 1, "--epochs", 1, "--name", "mine"]
    with pytest.raises(ValueError, match="2 bad rows.*\n.*txt, line 4: exp"):
        run(*arguments)
    shown = run(*arguments, "--skip-bad-rows")
    assert "| mine | pretrained | f1 | 1 |" in shown.out
    assert "mine, pretrained: 2 bad rows of the data were skipped" in shown.out
    results = json.loads((tmp_path / "mine-pretrained-1.json").read_text())
    assert results["settings"]["skipped_rows"] == 2


def test_squad(run, tmp_path):
    path = write_questions(tmp_path / "some.json", [("the meal", "chef")])
    shown = run(
        *("squad.py", "--train", path, "--dev", path),
        *("--seeds", 1, "--epochs", 1),
    )
    assert "| squad | pretrained | exact | 1 |" in shown.out
    assert (tmp_path / "answers" / "seed-1" / "some.json").is_file()


def test_search(run, glue, tmp_path):
    pytest.importorskip("matplotlib")
    shown = run(
        *("search.py", "--task", "sst2", "--data", glue),
        *("--trials", 1, "--epochs", 1, "--batch-sizes", 16),
    )
    header = "| accuracy | learning_rate | layer_decay | epochs | batch_size |"
    assert header in shown.out
    assert (tmp_path / "sst2-grid.png").stat().st_size > 1000
