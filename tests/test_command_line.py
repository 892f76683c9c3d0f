"""What is used from outside: the shell, the type checker, pre-commit, CI."""

import ast
import io
import json
import pathlib
import re
import sys

import keras
import pytest

import keras_electra
from keras_electra import __main__ as shell
from keras_electra import arguments
from tests import checks

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """A classifier of the words that the tests share."""
    folder = tmp_path_factory.mktemp("shell") / "preset"
    keras_electra.ElectraTextClassifier(
        checks.tiny_backbone(),
        labels=["bad", "good"],
        preprocessor=keras_electra.ElectraTextClassifierPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        compile=False,
    ).save_to_preset(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _interactive(monkeypatch):
    monkeypatch.setattr("keras.config.disable_interactive_logging", int)


def test_classify_reads_arguments_and_lines(preset, capsys, monkeypatch):
    shell.main(["classify", preset, "the cat", "a dog"])
    printed = capsys.readouterr().out
    assert len(re.findall(r"^(bad|good)\t0\.\d{4}$", printed, re.M)) == 4
    monkeypatch.setattr(sys, "stdin", io.StringIO("the cat\na dog\n"))
    shell.main(["classify", preset])
    assert capsys.readouterr().out == printed


def test_info_convert_export_and_use(preset, tmp_path, capsys):
    shell.main(["info", preset])
    printed = capsys.readouterr().out
    assert "class\tElectraTextClassifier" in printed
    assert "labels\tbad, good" in printed
    other, again = str(tmp_path / "other"), str(tmp_path / "again")
    shell.main(["convert", preset, other, "--to", "transformers"])
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "good"}
    shell.main(["convert", other, again])
    capsys.readouterr()
    shell.main(["classify", again, "the cat"])
    first = capsys.readouterr().out
    shell.main(["classify", preset, "the cat"])
    assert capsys.readouterr().out == first


def test_detect_and_fill_mask(capsys):
    shell.main(["detect", "electra_tiny_en", "The chef."])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("the\t0\t3\t0.")
    shell.main(["fill-mask", "electra_tiny_en", "A [MASK].", "--top-k", "2"])
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "electra_tiny_en", "a"], "ElectraTextClassifier"),
        (["info", "nowhere"], "nowhere"),
        (["fill-mask", "electra_tiny_en", "no mask"], "MASK"),
    ],
)
def test_errors_are_lines(arguments, message):
    with pytest.raises(SystemExit, match=message):
        shell.main(arguments)


def test_version_is_that_of_the_distribution(capsys):
    with pytest.raises(SystemExit):
        shell.main(["--version"])
    assert capsys.readouterr().out.strip() == keras_electra.__version__
    assert (ROOT / "keras_electra" / "py.typed").is_file()


def test_logs_of_keras(preset, tmp_path):
    """What Keras logs with: a CSV file, and TensorBoard."""
    task = keras_electra.ElectraTextClassifier.from_preset(preset)
    callbacks = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TensorBoard(tmp_path / "logs", write_graph=False),
    ]
    x, y = ["the cat", "a dog"] * 2, ["good", "bad"] * 2
    task.fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert len(lines) == 3 and "loss" in lines[0]
    assert list((tmp_path / "logs").glob("*/events*"))


@pytest.mark.parametrize("loud", [True, False])
def test_bars_are_for_terminals(monkeypatch, capsys, loud):
    """After three seconds, unless output is a file or unwanted."""
    times = iter(range(0, 100, 2))
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(
        "keras.config.is_interactive_logging_enabled", lambda: loud
    )
    assert list(arguments.progress("abc", 3)) == [*"abc"]
    assert ("3/3" in capsys.readouterr().out) == loud


def test_public_functions_are_annotated():
    """Every parameter and result of functions that many programs call."""
    functions = {"train_vocabulary", "build_examples", "merge_examples"}
    functions |= {"load_examples", "pretraining_optimizer", "upload_preset"}
    for path in (ROOT / "keras_electra").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if getattr(node, "name", "") in functions:
                arguments = [*node.args.args, *node.args.kwonlyargs]
                assert node.returns and all(a.annotation for a in arguments)


def test_workflow_runs_the_command_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [command] = re.findall(r"\n(.*tests/run\.py)\n", readme)
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert command in " ".join(workflow.split())
