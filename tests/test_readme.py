"""The snippets of each README run, in their order, in one session.

They train for days as they stand, so numbers that only say how long are made
small; everything else is run as it is written.
"""

import json
import pathlib
import re

import keras
import numpy as np
import pytest
from harness.runs import read_runs
from harness.runs import summary
from harness.statistics import summarize

import keras_electra

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "examples/benchmarks/results"
SHORTER = {
    "vocabulary_size=30522": "vocabulary_size=120",
    '    "small", tokenizer=tokenizer': '    "tiny", tokenizer=tokenizer',
    "num_steps=1_000_000": "num_steps=4",
    "batch_size=128": "batch_size=4",
    "steps_per_epoch=1000": "steps_per_epoch=2",
    "epochs=1000": "epochs=2",
}
ROWS = {
    "cola": "| CoLA",
    "conll2000": "| CoNLL-2000",
    "mrpc": "| MRPC",
    "rte": "| RTE",
    "squad-subset": "| XQuAD",
    "sst2": "| SST-2",
    "stsb": "| STS-B",
}
WORDS = "the cat sat on a mat and saw that rain fell over quiet hills".split()


def read(folder):
    return (ROOT / folder / "README.md").read_text(encoding="utf-8")


def run_snippets(folder, shorter, capsys):
    """What a README's snippets print, and the names they leave."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", read(folder), re.S))
    for long, short in shorter.items():
        assert long in code, f"{long!r} is no longer in the README"
        code = code.replace(long, short)
    names = {}
    exec(compile(code, f"{folder}/README.md", "exec"), names)
    return capsys.readouterr().out, names


def test_snippets(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "corpus")
    printed, names = run_snippets(".", SHORTER, capsys)
    assert re.search(r"^the 0 3 0\.\d+$", printed, re.MULTILINE)
    assert names["report"].train_examples > 0
    assert (tmp_path / "my_classifier" / "task.json").is_file()
    assert (tmp_path / "my_electra" / "task.weights.h5").is_file()


def test_snippets_of_the_examples(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _, names = run_snippets("examples", {}, capsys)
    assert (tmp_path / "my_classifier" / "task.json").is_file()
    optimizer = names["classifier"].optimizer
    assert int(keras.ops.convert_to_numpy(optimizer.iterations)) == 6


def test_snippets_of_the_benchmarks():
    """It needs the tokenizer of the one before; it makes one network."""
    (code,) = re.findall(
        r"```python\n(.*?)```", read("examples/benchmarks"), re.S
    )
    names = {
        "keras_electra": keras_electra,
        "tokenizer": keras_electra.ElectraTokenizer.from_preset(
            "electra_tiny_en"
        ),
    }
    exec(compile(code, "README.md", "exec"), names)
    assert len(names["layers"]) == 12 and names["frugal"].built


def test_readme_is_short():
    assert len(read(".").splitlines()) <= 240


def write_corpus(folder):
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name in ("one.txt", "two.txt"):
        lines = []
        for _ in range(30):
            words = generator.choice(WORDS, size=(6, 12))
            lines += [" ".join(sentence) + "." for sentence in words] + [""]
        (folder / name).write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize("preset", ["electra_small_en", "electra_tiny_en"])
def test_figures_of_fine_tuning(preset):
    """Those of the presets are the means of the runs in the repository."""
    readme = read("examples/benchmarks")
    runs = read_runs(RESULTS / preset)
    heads = [line for line in readme.splitlines() if "from random w" in line]
    (head,) = (line for line in heads if f"`{preset}`" in line)
    table = readme.split(head)[1].split("\n\n")[0].splitlines()
    for task in {run["task"] for run in runs}:
        own = [run for run in runs if run["task"] == task]
        (row,) = (line for line in table if line.startswith(ROWS[task]))
        both = [
            summary(own, weights)["metrics"][own[0]["main_metric"]]
            for weights in ("pretrained", "random")
        ]
        counts = dict.fromkeys(str(found["count"]) for found in both)
        assert row.split("|")[3].strip() == " / ".join(counts), task
        for found in both:
            figure = f"{found['mean']:.1f}"
            if found["ci"] is not None:  # one run has none
                figure += f" ± {found['ci']:.1f}"
            assert figure in row, task


@pytest.mark.parametrize("preset", ["electra_small_en", "electra_tiny_en"])
def test_number_of_parameters(preset):
    """The table of the presets and the model card tell the discriminator's."""
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(preset)
    figure = f" {detector.count_params() / 1e6:.1f} million"
    readme = read(".")
    card = (ROOT / "presets" / preset / "README.md").read_text(encoding="utf-8")
    for text in (readme, card):
        rows = text.splitlines()
        (row,) = (r for r in rows if r.startswith("| discriminator | "))
        assert figure in row


def test_average_of_glue():
    """Two metrics of one task count half each; the interval is over seeds."""
    readme = read("examples/benchmarks")
    shown = {"mrpc": ("accuracy", "f1"), "stsb": ("pearson", "spearman")}
    scores = {}
    for run in read_runs(RESULTS / "electra_tiny_en"):
        if run["weights"] == "pretrained" and run["task"] != "conll2000":
            names = shown.get(run["task"], (run["main_metric"],))
            score = np.mean([run["metrics"][name] for name in names])
            scores.setdefault(run["seed"], []).append(score)
    assert {len(found) for found in scores.values()} == {5}
    average = summarize([np.mean(found) for found in scores.values()])
    assert f"{average['mean']:.1f} ± {average['ci']:.1f}, that of" in readme


def test_figures_of_blimp():
    readme = read("examples/benchmarks")
    path = RESULTS / "blimp.json"
    found = json.loads(path.read_text(encoding="utf-8")).values()
    for phenomenon in next(iter(found))["phenomena"]:
        values = [of["phenomena"][phenomenon] for of in found]
        assert "| " + " | ".join(f"{v:.1f}" for v in values) + " |" in readme
    overall = " | ".join(f"{of['overall']:.1f}" for of in found)
    assert f"| mean of all sets | {overall} |" in readme


def test_figures_of_both_objectives():
    """Means over two pre-trainings with each, and the two themselves."""
    readme = read("examples/benchmarks")
    head = "| | metric | masked language modelling | replaced-token detection |"
    table = readme.split(head)[1].split("\n\n")[0].splitlines()
    found = [scores_of("masking"), scores_of("replaced")]
    assert len(found[1]) == 9
    for name in found[1]:
        (row,) = (line for line in table if line.startswith(name))
        shown = [cell.strip() for cell in row.split("|")[3:5]]
        assert shown == [describe(scores.get(name, [])) for scores in found]


def scores_of(objective):
    """Rows of the table, each with the scores of both pre-trainings."""
    found = {}
    for seed in (1, 2):
        folder = RESULTS / f"{objective}-{seed}"
        for run in read_runs(folder):
            value = run["metrics"][run["main_metric"]]
            found.setdefault(ROWS[run["task"]], []).append(value)
        blimp = json.loads((folder / "blimp.json").read_text(encoding="utf-8"))
        for name, of in blimp.items():
            row = f"| BLiMP, {name.split(', ')[1]}"
            found.setdefault(row, []).append(of["overall"])
    of_glue = [found[ROWS[t]] for t in ("cola", "mrpc", "rte", "sst2", "stsb")]
    return {**found, "| mean of the five": np.mean(of_glue, axis=0)}


def describe(values):
    each = ", ".join(f"{value:.1f}" for value in values)
    return f"{np.mean(values):.1f} ({each})" if each else ""
