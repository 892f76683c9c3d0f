"""train_vocabulary: content, determinism, errors."""

import gzip
import os
import subprocess
import sys

import pytest

from keras_electra.text.vocabulary import train_vocabulary
from keras_electra.text.vocabulary_file import SPECIAL_TOKENS
from keras_electra.text.vocabulary_file import read_vocabulary

TEXT = "Low lower lowest, new newer newest.\nNow the Café is low.\n" * 3


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def test_content(corpus):
    tokens = train_vocabulary(corpus, 60, lowercase=True)
    assert tuple(tokens[:5]) == SPECIAL_TOKENS
    # All characters, then all that occur within words.
    characters = sorted(set("lowerstnhcafi,."))
    assert tokens[5:20] == characters
    assert "##w" in tokens
    assert "##," not in tokens
    assert "é" not in tokens
    assert "low" in tokens
    assert len(tokens) == len(set(tokens)) <= 60


def test_small_sizes_are_prefixes(corpus):
    large = train_vocabulary(corpus, 60, lowercase=True)
    small = train_vocabulary(corpus, 40, lowercase=True)
    assert len(small) == 40 < len(large)
    assert small == large[:40]


def test_settings(corpus):
    cased = train_vocabulary(corpus, 200)
    assert {"L", "##é", "Low", "low"} <= set(cased)
    kept = train_vocabulary(corpus, 200, lowercase=True, strip_accents=False)
    assert "##é" in kept
    assert "L" not in kept
    often = train_vocabulary(corpus, 200, lowercase=True, min_frequency=7)
    assert set(often) < set(train_vocabulary(corpus, 200, lowercase=True))
    few = train_vocabulary(corpus, 200, lowercase=True, max_alphabet=4)
    assert sorted(t for t in few if len(t) == 1) == sorted("elow")


def test_compressed_files_and_json(tmp_path, corpus):
    packed = tmp_path / "packed.txt.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    expected = train_vocabulary(corpus, 60)
    assert train_vocabulary([str(packed)], 60) == expected
    records = tmp_path / "records.jsonl"
    lines = TEXT.splitlines()
    records.write_text("".join(f'{{"body": "{line}"}}\n' for line in lines))
    assert train_vocabulary([str(records)], 60, text_field="body") == expected


def test_output(tmp_path, corpus):
    output = tmp_path / "vocab.txt"
    tokens = train_vocabulary(corpus, 60, output=str(output))
    assert read_vocabulary(output) == tokens


def test_same_in_every_process(corpus):
    code = (
        "import sys\n"
        "from keras_electra.text.vocabulary import train_vocabulary\n"
        "print(ascii(train_vocabulary(sys.argv[1], 80)))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, corpus],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {ascii(train_vocabulary(corpus, 80)) + "\n"}


def test_errors(tmp_path, corpus):
    with pytest.raises(FileNotFoundError):
        train_vocabulary(str(tmp_path / "*.none"))
    blank = tmp_path / "blank.txt"
    blank.write_text(" \n\n\t\n")
    with pytest.raises(ValueError, match="at least one word"):
        train_vocabulary(str(blank))
    with pytest.raises(ValueError, match="`vocabulary_size` must be at least"):
        train_vocabulary(corpus, 20)
