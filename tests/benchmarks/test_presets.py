"""The table of the presets: what it is made of, and rows of a tiny one."""

import gzip
import lzma
import runpy
import sys

import pytest
from harness import cloze
from harness import probes

from tests.benchmarks.test_examples import EXAMPLES

pytest.importorskip("sklearn")


def test_order_pairs(tmp_path):
    rows = "the DT,big JJ,dog NN,ate VBD,a DT,red JJ,bone NN,. .".split(",")
    path = tmp_path / "test.txt.gz"
    text = "\n".join(f"{row} O" for row in rows)
    path.write_bytes(gzip.compress(f"{text}\n\nIt PRP O\n".encode()))
    kept, swapped = probes.order_pairs(path)
    assert kept[0] == swapped[0] == ["the big dog ate a red bone ."]
    assert kept[1][0] in (
        "the dog ate a red bone .",
        "the big dog ate a bone .",
    )
    assert swapped[1] == ["the big bone ate a red dog ."]


def test_changed_words(tmp_path):
    files = ["He go home .", "He goes home .", "he went home ."]
    files += ["He go home .", "He go to house ."]
    names = ["src", "ref0", "ref1", "ref2", "ref3"]
    for name, text in zip(names, files):
        (tmp_path / f"test.{name}").write_text(f"{text}\n", encoding="utf-8")
    texts, labels = probes.changed_words(tmp_path)
    assert texts == ["He go home ."]
    assert labels == [[False, True, False, False]]


def test_articles_and_counts(tmp_path):
    rest = "It goes on. " * 20
    text = f"Bee\nA bee is a small insect. {rest}\n\nAnt\nShort.\n"
    path = tmp_path / "wiki.txt.xz"
    path.write_bytes(lzma.compress(text.encode()))
    [(title, first, found)] = probes.articles(path)
    assert (title, first) == ("Bee", "A bee is a small insect.")
    assert found.startswith("It goes on.")
    assert probes.word_counts(path)["bee"] == 2


def test_frequent_labels():
    train = [["a", "bee", "sees"], ["a"]], [["X", "Y", "Z"], ["X"]]
    found = probes.frequent_labels(train, [["bee", "trees", "flees", "tops"]])
    assert found == [["Y", "Z", "Z", "X"]]


def test_cloze_sentences():
    assert len(cloze.SENTENCES) == 30
    for text, answers in cloze.SENTENCES:
        assert text.count("[MASK]") == 1
        assert answers == [answer.lower() for answer in answers]


def test_rows(preset, glue, tmp_path, monkeypatch, capsys):
    (tmp_path / "glue").symlink_to(glue)
    arguments = ["presets.py", "sst2", "vectors", "--preset", preset]
    arguments += ["--data", tmp_path, "--output", tmp_path / "out"]
    arguments += ["--seeds", 2, "--epochs", 1]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    runpy.run_path(str(EXAMPLES / "presets.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if line.startswith("|")]
    assert lines[0] == "| | rival | tiny | seeds |"
    assert lines[2].startswith("| SST-2, 2,000 texts | 100.0 | ")
    assert lines[3].startswith("| STS-B, untrained vectors | ")
