"""The examples run, on a small corpus and for a few steps."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_electra

# The quick start and pre-training run on all; the rest differs in no program.
on_one_backend = pytest.mark.skipif(
    keras.config.backend() != "torch",
    reason="The program runs on any backend; one shows it, torch the fastest.",
)
ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = "the cat sat on a mat and saw that rain fell over quiet hills".split()
OTHERS = (
    "ships sail far when winds blow hard from north across cold sea".split()
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two files with words of their own, 400 documents each."""
    folder = tmp_path_factory.mktemp("corpus")
    generator = np.random.default_rng(0)
    for name, words in (("cats.txt", WORDS), ("voyages.txt", OTHERS)):
        lines = []
        for _ in range(400):
            for sentence in generator.choice(words, size=(3, 14)):
                lines.append(" ".join(sentence).capitalize() + ".")
            lines.append("")
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return [str(folder / "cats.txt"), str(folder / "voyages.txt")]


def run(*arguments):
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout


def test_quickstart(corpus, tmp_path):
    output = run(
        "examples/quickstart.py",
        "--corpus",
        *corpus,
        "--steps",
        "8",
        "--output",
        str(tmp_path),
    )
    for heading in ("1. A preset", "2. Fine-tuning", "3. Pre-training"):
        assert heading in output
    assert "accuracy of the classifier, counts of words" in output
    assert "discriminator_auc" in output and "Summary" in output
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(
        str(tmp_path / "preset")
    )
    assert len(detector.detect("The cat sat.")) > 3


def test_pretrain_goes_on(corpus, tmp_path):
    arguments = [
        "examples/pretrain.py",
        *corpus,
        "--size=tiny",
        "--vocabulary-size=60",
        "--sequence-length=16",
        "--positions=16",
        "--batch-size=4",
        "--steps=2",
        "--steps-per-epoch=1",
        "--validation-fraction=0.01",
        f"--run={tmp_path / 'run'}",
        f"--preset={tmp_path / 'preset'}",
    ]
    assert "preset is in" in run(*arguments)
    again = run(*arguments)  # finished already: nothing is trained
    assert "Resuming after epoch 2" in again and "Epoch 1/2" not in again
    filler = keras_electra.ElectraMaskedLM.from_preset(str(tmp_path / "preset"))
    assert len(filler.fill_mask("the [MASK] sat", top_k=2)[0]) == 2


@on_one_backend
def test_tiny_preset_goes_on(corpus, tmp_path):
    arguments = [
        "examples/preset_training/train_tiny_preset.py",
        *corpus,
        "--vocabulary-size=60",
        "--masking-steps=2",
        "--steps=2",
        "--late-steps=2",
        "--pair-steps=2",
        "--steps-per-epoch=1",
        f"--run={tmp_path / 'run'}",
        f"--preset={tmp_path / 'preset'}",
    ]
    assert "preset is in" in run(*arguments)
    for name in ("masking.csv", "electra.csv", "late.csv", "pairs.csv"):
        lines = (tmp_path / "run" / name).read_text().splitlines()
        assert len(lines) == 3 and "val_generator_loss" in lines[0]
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000
    again = run(*arguments)  # finished already: nothing is trained
    assert "Epoch 1/2" not in again
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(
        str(tmp_path / "preset")
    )
    assert len(detector.detect("the cat sat")) >= 3


@on_one_backend
def test_trials_of_the_tiny_preset(corpus, tmp_path):
    output = run(
        "examples/preset_training/tiny_preset_trials.py",
        *corpus,
        "--vocabulary-size=60",
        "--seconds=0.2",
        "--shapes",
        "1x64",
        "1x128",
        f"--run={tmp_path / 'run'}",
    )
    rows = [line.split() for line in output.splitlines()[-2:]]
    assert [row[0] for row in rows] == ["1x64", "1x128"]
    assert 0.0 < float(rows[0][-1]) < 10.0
    lines = (tmp_path / "run" / "trials.jsonl").read_text().splitlines()
    assert len(lines) == 2 and "learning_rate" in lines[0]


@on_one_backend
def test_gpu_benchmark_takes_turns():
    output = run(
        "examples/benchmarks/gpu.py",
        *("--sizes", "tiny", "--lengths", "32", "--tokens", "256"),
        *("--steps", "1", "--rounds", "2", "--dropout", "0"),
        *("--programs", f"keras_electra {keras.config.backend()}"),
        *("--paths", "torchrun"),
    )
    assert output.startswith("path torchrun: works, "), output
    row = output.splitlines()[-1].split()
    assert row[:2] == ["tiny", "32"]
    assert float(row[4].replace(",", "")) > 0 and row[5].endswith("%")
    assert row[6].endswith("%")


@on_one_backend
def test_blimp_has_a_column_for_each_network(tmp_path):
    pair = {
        "sentence_good": "The cats sleep.",
        "sentence_bad": "The cats sleeps.",
        "linguistics_term": "agreement",
        "UID": "one",
    }
    (tmp_path / "one.jsonl").write_text(json.dumps(pair))
    output = run(
        "examples/benchmarks/blimp.py",
        f"--blimp={tmp_path}",
        f"--output={tmp_path / 'found.json'}",
    )
    found = json.loads((tmp_path / "found.json").read_text())
    assert list(found) == [
        "electra_tiny_en, discriminator",
        "electra_tiny_en, generator",
    ]
    for of in found.values():
        assert of["phenomena"]["agreement"] in (0.0, 50.0, 100.0)
    assert "| mean of all sets |" in output


@on_one_backend
def test_benchmark_takes_turns(tmp_path):
    other = tmp_path / "other.py"
    other.write_text(
        'print(\'{"median_step_s": 1, "first_step_s": 2, \''
        "'\"tokens_per_s\": 0.5}')"
    )
    output = run(
        "examples/benchmarks/speed.py",
        "--size=tiny",
        "--batch=2",
        "--seq=16",
        "--ragged",
        "--rounds=1",
        "--steps=2",
        "--backends=torch",
        "--dtypes=float32",
        f"--against={other}",
        "--peers=hf",
    )
    rows = {line.split()[0]: line.split() for line in output.splitlines()[-5:]}
    assert rows["hf"][2:5] == ["float32", "0", "1.00"]
    ours = rows["keras_electra"]
    assert float(ours[3].replace(",", "")) > 1  # tokens a second
    assert float(ours[4].replace(",", "")) > 2  # times the other


@on_one_backend
def test_finetuning_benchmark(tmp_path):
    folder = tmp_path / "SST-2"
    folder.mkdir()
    rows = [f"a fine day {'again ' * i}\t{i % 2}\n" for i in range(6)]
    (folder / "train.tsv").write_text("sentence\tlabel\n" + "".join(rows))
    output = run(
        "examples/benchmarks/finetuning_speed.py",
        f"--data={tmp_path}",
        "--preset=electra_tiny_en",
        "--texts=6",
        "--batch=2",
        "--backends=torch",
        "--peers",
        "--dtypes=bfloat16",
        "--rounds=1",
    )
    row = next(r for r in output.splitlines() if r.startswith("keras_electra"))
    assert all(float(n.replace(",", "")) > 1 for n in row.split()[3:5])
