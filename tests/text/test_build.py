"""Builds: what they make, that it repeats, what stops and restarts them."""

import errno
import gzip
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import filelock
import numpy as np
import pytest

from keras_electra.text import corpus as corpus_files
from keras_electra.text import shards
from keras_electra.text import workers
from keras_electra.text.build import build_examples
from keras_electra.text.build import merge_examples
from keras_electra.text.tokenizer import ElectraTokenizer
from tests import recorded
from tests.text.tiny_corpus import NumberTokenizer
from tests.text.tiny_corpus import content
from tests.text.tiny_corpus import flatten
from tests.text.tiny_corpus import make_documents
from tests.text.tiny_corpus import read_examples
from tests.text.tiny_corpus import tokens_of
from tests.text.tiny_corpus import write_corpus


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(corpus_files, "BLOCK_SIZE", 1000)


@pytest.fixture
def corpus(tmp_path):
    documents = make_documents(60)
    return write_corpus(tmp_path / "corpus.txt", documents), documents


def build(files, folder, tokenizer=None, **settings):
    settings = {"sequence_length": 16, "verbose": False, **settings}
    return build_examples(
        files, folder, tokenizer or NumberTokenizer(), **settings
    )


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("rules", ["default", "original"])
def test_parts_are_merged_to_the_same_bytes(
    tmp_path, corpus, small_blocks, rules, capsys
):
    other = write_corpus(tmp_path / "more.txt", make_documents(20, seed=1))
    files, out = [corpus[0], other], tmp_path / "parts"
    settings = {"validation_fraction": 0.2, "rules": rules}
    expected = build(files, tmp_path / "whole", **settings)
    for index in (2, 0):
        part = (index, 3)
        assert build(files, out, part=part, verbose=True, **settings) is None
    assert "Part 2 of 3: " in capsys.readouterr().out
    with pytest.raises(
        FileNotFoundError, match=r"part 1 is missing.*=\(1, 3\)"
    ):
        merge_examples(out)
    assert not out.exists()
    build(files, out, part=(1, 3), **settings)
    report = merge_examples(out, verbose=False)
    assert report.tokens == report.reused_tokens == expected.tokens
    assert bytes_of(out) == bytes_of(tmp_path / "whole")
    assert not (tmp_path / "parts.partial").exists()
    assert merge_examples(out, verbose=False).tokens == expected.tokens
    assert build(files, out, part=(1, 3), **settings).tokens == expected.tokens


def test_parts_that_do_not_fit_together(tmp_path, corpus, small_blocks):
    path, out = corpus[0], tmp_path / "out"
    with pytest.raises(ValueError, match="`part` must be .*part=\\(2, 2\\)"):
        build(path, out, part=(2, 2))
    with pytest.raises(FileNotFoundError, match="holds no examples"):
        merge_examples(out)
    build(path, out, part=(0, 2))
    for other in ({"part": (1, 2), "seed": 1}, {"part": (1, 3)}):
        with pytest.raises(ValueError, match="another number, files or"):
            build(path, out, **other)
    build(path, out, part=(1, 2))
    write_corpus(tmp_path / "corpus.txt", make_documents(60, seed=2))
    with pytest.raises(ValueError, match="No part has the tokens of the text"):
        merge_examples(out)


def test_report_and_content(tmp_path, corpus, capsys):
    path, documents = corpus
    report = build(path, tmp_path / "out", verbose=True)
    examples = read_examples(tmp_path / "out", "train")
    tokens = flatten(documents)
    assert tokens_of(examples) == tokens
    assert report.documents == 60
    assert report.validation_documents == report.validation_examples == 0
    assert report.tokens == len(tokens)
    assert report.unknown_tokens == report.dropped_tokens == 0
    assert report.train_examples == len(examples)
    assert report.shards == 1
    used = sum(len(ids) for ids, _ in examples)
    padding = 1 - used / (16 * len(examples))
    assert report.padding_fraction == pytest.approx(padding)
    assert report.tokens_per_second > 0
    printed = capsys.readouterr().out
    assert printed == f"{report}\n"
    assert f"{len(tokens):,}" in printed
    assert not (tmp_path / "out.partial").exists()


def test_examples_never_span_documents(tmp_path, corpus):
    path, documents = corpus
    build(path, tmp_path / "out")
    lines = iter(read_examples(tmp_path / "out", "train"))
    for document in documents:
        tokens = flatten([document])
        while tokens:
            found = tokens_of([next(lines)])
            assert tokens[: len(found)] == found
            tokens = tokens[len(found) :]


def test_metadata(tmp_path, corpus):
    path, _ = corpus
    report = build(path, tmp_path / "out", seed=7, validation_fraction=0.2)
    metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert metadata["tokenizer"] == {
        "class": "NumberTokenizer",
        "fingerprint": "numbers-1000",
        "vocabulary_size": 1000,
        "special_token_ids": dict(pad=0, unk=1, cls=2, sep=3, mask=4),
        "settings": {"size": 1000},
    }
    assert metadata["settings"]["seed"] == 7
    assert metadata["settings"]["rules"] == "default"
    assert metadata["dtype"] == "uint16"
    for split in ("train", "validation"):
        (shard,) = metadata["shards"][split]
        file = tmp_path / "out" / shard["file"]
        assert shard["bytes"] == file.stat().st_size
        assert shard["examples"] == getattr(report, f"{split}_examples") > 0


def test_many_shards(tmp_path, corpus, monkeypatch):
    path, documents = corpus
    monkeypatch.setattr(shards, "SHARD_SIZE", 1000)
    report = build(path, tmp_path / "out")
    assert report.shards > 3
    found = tokens_of(read_examples(tmp_path / "out", "train"))
    assert found == flatten(documents)


@pytest.mark.parametrize("rules", ["default", "original"])
def test_same_bytes_from_any_number_of_processes(
    tmp_path, corpus, small_blocks, rules
):
    path, _ = corpus
    settings = {"rules": rules, "validation_fraction": 0.1, "seed": 3}
    folders = []
    for processes in (1, 3):
        folders.append(tmp_path / f"out{processes}")
        build(path, folders[-1], num_processes=processes, **settings)
    first, *others = map(content, folders)
    assert all(other == first for other in others)
    build(path, tmp_path / "seed4", **{**settings, "seed": 4})
    assert content(tmp_path / "seed4") != first


def test_word_pieces_in_processes(tmp_path, golden, small_blocks):
    tokenizer = ElectraTokenizer(
        str(golden / "vocab.txt"), **recorded.tokenizer_settings()
    )
    path = golden / "corpus.txt"
    reports = [
        build(path, tmp_path / f"{n}", tokenizer, num_processes=n)
        for n in (1, 2)
    ]
    assert content(tmp_path / "1") == content(tmp_path / "2")
    assert reports[0].unknown_tokens == reports[1].unknown_tokens > 0


def test_original_program_whole(tmp_path, golden):
    program = recorded.read_json("data_builder.json")["whole_program"]
    for name, text in program["input_files"].items():
        (tmp_path / name).write_bytes(text.encode())
    tokenizer = ElectraTokenizer(
        str(golden / "vocab.txt"), **recorded.tokenizer_settings()
    )
    assert program["runs"]
    for number, run in enumerate(program["runs"]):
        folder = tmp_path / f"out{number}"
        report = build(
            str(tmp_path / "*.txt"),
            folder,
            tokenizer,
            rules="original",
            seed=run["seed"],
            sequence_length=run["max_length"],
        )
        # The original deals its examples out to 1000 files one by one.
        files = [int(e["file"].split("-")[1]) for e in run["examples"]]
        assert sorted(files) == list(range(len(files)))
        expected = [
            (
                example["input_ids"][: example["n_tokens"]],
                example["n_tokens"] - example["n_second_segment"],
            )
            for _, example in sorted(zip(files, run["examples"]))
        ]
        assert read_examples(folder, "train") == expected
        assert report.dropped_tokens > 0


def test_held_out_documents(tmp_path):
    # Every document ten times: copies must be on the same side.
    documents = make_documents(40) * 10
    path = write_corpus(tmp_path / "corpus.txt", documents)
    report = build(path, tmp_path / "out", validation_fraction=0.25)
    assert 0 < report.validation_documents < 200
    assert report.validation_documents % 10 == 0
    train = tokens_of(read_examples(tmp_path / "out", "train"))
    held_out = tokens_of(read_examples(tmp_path / "out", "validation"))
    assert sorted(train + held_out) == sorted(flatten(documents))
    seen = [" ".join(map(str, ids)) for ids in (train, held_out)]
    for document in documents:
        text = " ".join(map(str, flatten([document])))
        assert [text in one for one in seen].count(True) == 1


@pytest.mark.parametrize("fraction", [1e-9, 1 - 1e-9])
def test_at_least_one_document_on_either_side(tmp_path, corpus, fraction):
    report = build(corpus[0], tmp_path / "out", validation_fraction=fraction)
    rare = report.validation_documents
    assert (rare if fraction < 0.5 else report.documents - rare) == 1
    assert report.reused_tokens == 0
    found = [
        id
        for split in ("train", "validation")
        for id in tokens_of(read_examples(tmp_path / "out", split))
    ]
    assert sorted(found) == sorted(flatten(corpus[1]))


def test_one_document_cannot_be_split(tmp_path):
    path = write_corpus(tmp_path / "corpus.txt", make_documents(1))
    with pytest.raises(ValueError, match="at least two different doc.*: 1"):
        build(path, tmp_path / "out", validation_fraction=0.5)


def test_json_lines_compressed(tmp_path, corpus):
    _, documents = corpus
    lines = [
        json.dumps({"body": "\n".join(" ".join(map(str, x)) for x in lines)})
        for lines in documents
    ]
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    report = build(path, tmp_path / "out", text_field="body")
    assert report.documents == 60
    found = tokens_of(read_examples(tmp_path / "out", "train"))
    assert found == flatten(documents)


def test_large_vocabulary_takes_four_bytes(tmp_path):
    documents = make_documents(5, size=100_000)
    path = write_corpus(tmp_path / "corpus.txt", documents)
    build(path, tmp_path / "out", NumberTokenizer(100_000))
    found = read_examples(tmp_path / "out", "train", "uint32")
    assert tokens_of(found) == flatten(documents)


def test_same_call_again_is_reused(tmp_path, corpus):
    first = build(corpus[0], tmp_path / "out")
    before = content(tmp_path / "out")
    again = build(corpus[0], tmp_path / "out", num_processes=2)
    assert again.seconds == 0 and "already built" in str(again)
    assert again.tokens == first.tokens
    assert content(tmp_path / "out") == before


def test_nothing_is_overwritten(tmp_path, corpus):
    path, documents = corpus
    folder = tmp_path / "out"
    folder.mkdir()  # empty is fine
    build(path, folder)
    before = content(folder)
    for settings, what in (
        ({"seed": 1}, "other settings"),
        ({"sequence_length": 32}, "other settings"),
        ({"tokenizer": NumberTokenizer(900)}, "other tokenizer"),
    ):
        with pytest.raises(FileExistsError, match=f"{what}. Nothing in it"):
            build(path, folder, **settings)
    write_corpus(tmp_path / "corpus.txt", documents + make_documents(1))
    with pytest.raises(FileExistsError, match="other inputs"):
        build(path, folder)
    assert content(folder) == before

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="something else than examples"):
        build(path, tmp_path / "mine")
    with pytest.raises(FileExistsError, match="something else than examples"):
        build(path, tmp_path / "mine" / "thesis.tex")
    assert content(tmp_path / "mine") == {"thesis.tex": b"years of work"}


def test_bad_arguments(tmp_path, corpus):
    path, _ = corpus
    for settings, message in (
        (
            {"sequence_length": 4},
            "`sequence_length` must be an integer",
        ),
        ({"validation_fraction": 1.0}, "`validation_fraction` must be a"),
        ({"validation_fraction": -0.1}, "`validation_fraction` must be a"),
        ({"num_processes": 0}, "`num_processes` must be an integer of at"),
        ({"rules": "bert"}, "`rules` must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            build(path, tmp_path / "out", **settings)
    assert os.listdir(tmp_path) == ["corpus.txt"]


def test_bad_files(tmp_path):
    for data, message in (
        (b"", "There is no text in .*bad.txt"),
        (b"\n \n\n", "There is no text in .*bad.txt"),
        ("5 6\nna\u00efve".encode("latin-1"), "bad.txt.*line 2 is not UTF-8"),
    ):
        (tmp_path / "bad.txt").write_bytes(data)
        with pytest.raises(ValueError, match=message):
            build(tmp_path / "bad.txt", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="No file matches"):
        build(tmp_path / "none.txt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["tokens", "examples"])
def test_full_disk(tmp_path, corpus, small_blocks, monkeypatch, where):
    build(corpus[0], tmp_path / "expected")

    class Writer:
        def __init__(self, *_):
            pass

        def write(self, record):
            raise RuntimeError("write() failed: No space left on device")

    with monkeypatch.context() as patch:
        if where == "tokens":
            save, saved = np.savez, []

            def fail_at_third(file, **arrays):
                if len(saved) == 2:
                    file.write(b"half")
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                saved.append(save(file, **arrays))

            patch.setattr(np, "savez", fail_at_third)
        else:
            patch.setattr(
                shards.array_record_module, "ArrayRecordWriter", Writer
            )
        with pytest.raises(OSError, match="No space left.*same call again"):
            build(corpus[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    report = build(corpus[0], tmp_path / "out")
    assert 0 < report.reused_tokens < report.tokens
    assert content(tmp_path / "out") == content(tmp_path / "expected")


def test_failing_process(tmp_path):
    (tmp_path / "corpus.txt").write_text("5 six 7\n")
    with pytest.raises(ValueError, match="'six'"):
        build(tmp_path / "corpus.txt", tmp_path / "out", num_processes=2)


CHILD = """
import os, sys, time
folder = {folder!r}
exec({setup!r})  # starts in no time
sys.path.insert(0, {root!r})
from keras_electra.text import corpus
from keras_electra.text.build import build_examples
from keras_electra.text.build import merge_examples
from tests.text.tiny_corpus import NumberTokenizer

class SlowTokenizer(NumberTokenizer):
    def encode_batch(self, texts):
        time.sleep(0.1)
        return super().encode_batch(texts)

corpus.BLOCK_SIZE = 1000
build_examples({path!r}, {out!r}, SlowTokenizer(), sequence_length=16)
"""


def killed_build(path, out):
    """Start a build in a process of its own and kill it half-way."""
    program = CHILD.format(
        folder=workers.FOLDER,
        setup=workers.SETUP,
        root=str(pathlib.Path(__file__).parents[2]),
        path=path,
        out=str(out),
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    tokens = out.with_name("out.partial") / "tokens"
    deadline = time.monotonic() + 60
    while len(list(tokens.glob("*.npz"))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    path = write_corpus(folder / "corpus.txt", make_documents(60))
    killed_build(path, folder / "out")
    return folder / "out.partial"


@pytest.fixture
def leftovers(killed, tmp_path):
    return shutil.copytree(killed, tmp_path / "out.partial")


def test_killed_and_restarted(tmp_path, corpus, small_blocks, leftovers):
    path, _ = corpus
    build(path, tmp_path / "expected")
    report = build(path, tmp_path / "out")
    assert 0 < report.reused_tokens < report.tokens
    assert f"{report.reused_tokens:,}" in str(report)
    assert content(tmp_path / "out") == content(tmp_path / "expected")
    assert not (tmp_path / "out.partial").exists()


def test_killed_and_changed(tmp_path, corpus, small_blocks, leftovers):
    path, documents = corpus
    # Other ids for the same text, and another text: nothing may be reused
    # of the first, only what is still the same of the second.
    tokenizer = NumberTokenizer(name="others")
    write_corpus(tmp_path / "corpus.txt", [[[5, 6, 7]], *documents[1:]])
    report = build(path, tmp_path / "out", tokenizer, seed=1)
    assert report.reused_tokens == 0
    build(path, tmp_path / "expected", tokenizer, seed=1)
    assert content(tmp_path / "out") == content(tmp_path / "expected")


def test_damaged_leftovers_are_done_again(
    tmp_path, corpus, small_blocks, leftovers
):
    path, _ = corpus
    build(path, tmp_path / "expected")
    for file in (leftovers / "tokens").glob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    report = build(path, tmp_path / "out")
    assert report.reused_tokens == 0
    assert content(tmp_path / "out") == content(tmp_path / "expected")


def test_one_build_at_a_time(tmp_path, corpus):
    (tmp_path / "out.partial").mkdir()
    with filelock.FileLock(tmp_path / "out.partial" / "lock"):
        with pytest.raises(FileExistsError, match="Another build is writing"):
            build(corpus[0], tmp_path / "out")
    build(corpus[0], tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["corpus.txt", "out"]


def test_changed_files_are_known(tmp_path):
    path = tmp_path / "corpus.txt"
    text = bytearray(b"5 6\n" * 2**16)
    for change in (0, len(text) - 2):
        path.write_bytes(text)
        folder = tmp_path / f"out{change}"
        build(path, folder)
        text[change] = ord("7")
        path.write_bytes(text)
        with pytest.raises(FileExistsError, match="other inputs"):
            build(path, folder)
