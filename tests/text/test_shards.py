"""Files of examples and their record."""

import types

import numpy as np
import pytest
from array_record.python import array_record_module

from keras_electra.text import shards
from keras_electra.text.shards import BuildReport
from keras_electra.text.shards import ExampleWriter
from keras_electra.text.shards import check_shards
from keras_electra.text.shards import describe_tokenizer
from keras_electra.text.shards import read_metadata
from keras_electra.text.shards import record_dtype
from keras_electra.text.shards import write_metadata
from tests.text.tiny_corpus import NumberTokenizer


def make_writer(folder):
    packed = types.SimpleNamespace(add=list)  # examples as they are
    ids = {"cls": 2, "sep": 3}
    return ExampleWriter(str(folder), "train", packed, ids, "uint16")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_SIZE", 25)
    writer = make_writer(tmp_path)
    for i in range(5):
        writer.add([([10 + i, 9], [])])
    writer.close()
    written = {"train": writer.shards, "validation": []}
    write_metadata(str(tmp_path), {"shards": written})
    return tmp_path


def check(folder, **kwargs):
    check_shards(str(folder), read_metadata(str(folder)), **kwargs)


def test_round_trip(folder):
    written = read_metadata(str(folder))["shards"]["train"]
    assert [shard["examples"] for shard in written] == [3, 2]
    records = [
        record
        for shard in written
        for record in array_record_module.ArrayRecordReader(
            str(folder / shard["file"])
        ).read_all()
    ]
    found = [np.frombuffer(record, "uint16").tolist() for record in records]
    assert found == [[4, 2, 10 + i, 9, 3] for i in range(5)]
    check(folder, verify=True)


def test_many_files_grow(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARDS_OF_ONE_SIZE", 2)
    monkeypatch.setattr(shards, "SHARD_SIZE", 10)
    writer = make_writer(tmp_path)
    for _ in range(14):
        writer.add([([9, 9], [])])
    writer.close()
    assert [s["examples"] for s in writer.shards] == [1, 1, 2, 2, 4, 4]


def test_a_file_cut_short(folder):
    path = folder / "train-00001.array_record"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 2])
    with pytest.raises(ValueError, match=f"train-00001.*{size // 2} bytes in"):
        check(folder)


def test_a_changed_byte(folder):
    path = folder / "train-00000.array_record"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    check(folder)
    with pytest.raises(ValueError, match="train-00000.*another checksum"):
        check(folder, verify=True)


def test_a_missing_file(folder):
    (folder / "train-00000.array_record").unlink()
    with pytest.raises(FileNotFoundError, match="train-00000.*is missing"):
        check(folder)


def test_metadata_errors(folder):
    with pytest.raises(FileNotFoundError, match="no metadata.json in it"):
        read_metadata(str(folder.parent))
    path = folder / "metadata.json"
    text = path.read_text()
    path.write_text(text.replace('"format": 1', '"format": 99'))
    with pytest.raises(ValueError, match="has format 99.*reads format 1\\."):
        read_metadata(str(folder))
    changed = text.replace('"examples": ', '"examples": 1')
    outside = text.replace("train-", "../train-")
    outside = outside[: outside.index(',\n "digest"')] + "}"
    for damaged in (text[:-20], "[]", "{}", "[" * 10**5, changed, outside):
        path.write_text(damaged)
        with pytest.raises(ValueError, match="metadata.json' is damaged"):
            read_metadata(str(folder))


def test_dtype():
    assert record_dtype(2**16, 128) == "uint16"
    assert record_dtype(2**16 + 1, 128) == "uint32"
    assert record_dtype(100, 2**16) == "uint32"
    assert record_dtype(2**31, 128) == "uint32"


def test_tokenizer_description():
    settings = describe_tokenizer(NumberTokenizer(700))["settings"]
    assert settings == {"size": 700}


COUNTS = dict(
    output_dir="out",
    documents=1200,
    validation_documents=12,
    tokens=1_000_000,
    unknown_tokens=1000,
    dropped_tokens=0,
    train_examples=8000,
    validation_examples=80,
    padding_fraction=0.05,
    shards=2,
)


def test_report():
    report = BuildReport(**COUNTS, seconds=4.0, reused_tokens=200_000)
    assert report.unknown_fraction == 0.001
    assert report.tokens_per_second == 200_000
    text = str(report)
    for row in (
        "documents            1,200",
        "validation documents 12",
        "padding fraction     5.00%",
        "unknown fraction     0.10%",
        "seconds              4",
        "tokens per second    200,000",
        "reused tokens        200,000",
    ):
        assert f"\n  {row}" in text
    assert "already" not in text and "vocabulary" not in text


def test_warnings():
    counts = {**COUNTS, "unknown_tokens": 100_000, "dropped_tokens": 50_000}
    text = str(BuildReport(**counts))
    assert "Many tokens are unknown" in text
    assert "dropped tokens       50,000" in text
    assert "already built" in text
