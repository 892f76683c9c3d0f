"""The programs that write, on a few sentences and with a tiny network."""

import gzip
import lzma
import sys

import keras
import pytest

import keras_electra
from tests import checks

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="The same on every backend."
)
SENTENCES = ["The chef cooked a meal.", "A chef ate the meal."]
LETTERS = list("abcdefghijklmnopqrstuvwxyz[],.0123456789")
VALUES = [f"name[Cocum], area[riverside], food[{i}]" for i in range(10)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data of all programs, and a pre-trainer to start with."""
    folder = tmp_path_factory.mktemp("writing")
    captions = folder / "multi30k" / "captions"
    jfleg = folder / "ged" / "jfleg"
    for path in (captions, jfleg):
        path.mkdir(parents=True)
    for split in ("train", "val", "test_2016_first_half"):
        for i in range(1, 6):
            with gzip.open(captions / f"{split}.{i}.en.gz", "wt") as file:
                file.write("\n".join(SENTENCES * 3))
    for name in ("dev.src", "test.src", *(f"test.ref{i}" for i in range(4))):
        (jfleg / name).write_text("\n".join(SENTENCES * 2))
    with gzip.open(folder / "devset.csv.gz", "wt") as file:
        file.write("mr,ref\n")
        for value in VALUES:
            file.write(f'"{value}","Cocum by the river has {value[-2]}"\n')
    article = "A title\n" + "The chef has cooked a very good meal. " * 10
    for name in ("wiki-train-00", "wiki-test"):
        with lzma.open(folder / f"{name}.txt.xz", "wt") as file:
            file.write(f"{article}\n\n" * 6)
    vocabulary = [*checks.VOCABULARY, *LETTERS]
    vocabulary += [f"##{letter}" for letter in LETTERS]
    vocabulary = list(dict.fromkeys(vocabulary))
    tokenizer = keras_electra.ElectraTokenizer(vocabulary, lowercase=True)
    backbone = checks.tiny_backbone(
        vocabulary_size=len(vocabulary), max_sequence_length=512
    )
    keras_electra.ElectraPretrainer(
        backbone,
        backbone,
        keras_electra.ElectraPretrainerPreprocessor(tokenizer),
    ).save_to_preset(folder / "start")
    return folder


def run(monkeypatch, program, *arguments):
    module = __import__(program)
    monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
    module.main()


def test_programs(folder, monkeypatch, capsys):
    def options(name):
        common = ("--start", folder / "start", "--preset", folder / name)
        return *common, "--quick", "--batch-size=2", "--dtype=float32"

    captions = folder / "multi30k" / "captions"
    run(monkeypatch, "generate_captions", "--data", captions, *options("one"))
    found = capsys.readouterr().out
    assert "Epoch 1/4" in found and "by five references, joined" in found
    run(monkeypatch, "revise", "--data", folder, *options("one"))
    found = capsys.readouterr().out  # trained already
    assert "Epoch" not in found and "right words of unseen" in found
    assert "<table>" in (folder / "one.html").read_text()
    run(monkeypatch, "dialogue", "--data", folder, *options("two"))
    found = capsys.readouterr().out
    assert "nearest example copied" in found and "values said" in found
    lines = iter([VALUES[3], "by the river?", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    run(monkeypatch, "dialogue", "--data", folder, *options("two"), "--chat")
    assert capsys.readouterr().out.count("writer:") == 2
    run(monkeypatch, "summarise", "--data", folder, *options("three"))
    found = capsys.readouterr().out
    assert "lead sentence of the rest" in found and "chosen" in found

    monkeypatch.setattr(__import__("generation"), "FILLS", 2)

    def measure(what, data, preset, *more):
        few = "--count=2", "--passes=2", "--temperatures", "0.5", "1.0"
        given = what, "--data", data, "--presets", folder / preset, *few
        given = *given, "--dtype=float32", *more
        run(monkeypatch, "generation", *given)
        return capsys.readouterr().out

    assert "BLEU above confidence" in measure("captions", captions, "one")
    found = measure("repair", captions, "one")
    assert "words, random places" in found and "draws, revise" in found
    assert "GLEU" in measure("jfleg", folder / "ged" / "jfleg", "one")
    assert "e2e: BLEU" in measure("e2e", folder, "two")
    more = "--articles=2", "--start", folder / "start"
    assert "ROUGE-L" in measure("summaries", folder, "three", *more)


def test_metrics():
    import dialogue
    import generation_metrics as metrics

    texts = ["a b c", "a b d"]
    assert metrics.distinct(texts) == 75.0
    same = metrics.self_bleu([["a b c d e"] * 3])
    assert same == pytest.approx(100.0)
    assert metrics.self_bleu([["a b c d e", "v w x y z"]]) < 10
    source, gold = "he go to the big school", "he goes to the big school"
    score = [metrics.gleu([source], [t], [[gold]]) for t in (source, gold)]
    assert score[0] < score[1] == pytest.approx(100.0)
    assert dialogue.said("name[Cocum], area[riverside]", "cocum is here") == 0.5
