"""Files of examples and their record."""

import pytest
from array_record.python import array_record_module

from keras_electra.text import shards
from keras_electra.text.shards import ShardWriter
from keras_electra.text.shards import check_shards
from keras_electra.text.shards import describe_tokenizer
from keras_electra.text.shards import read_metadata
from keras_electra.text.shards import record_dtype
from keras_electra.text.shards import write_metadata
from tests.text.tiny_corpus import NumberTokenizer


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_SIZE", 25)
    writer = ShardWriter(str(tmp_path), "train")
    for i in range(5):
        writer.write(bytes([i]) * 10)
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
    assert records == [bytes([i]) * 10 for i in range(5)]
    check(folder, verify=True)


def test_many_files_grow(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARDS_OF_ONE_SIZE", 2)
    monkeypatch.setattr(shards, "SHARD_SIZE", 10)
    writer = ShardWriter(str(tmp_path), "train")
    for _ in range(14):
        writer.write(bytes(10))
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
    with pytest.raises(ValueError, match="has format 99.*reads format 1"):
        read_metadata(str(folder))
    for damaged in (text[:-20], "[]", "{}"):
        path.write_text(damaged)
        with pytest.raises(ValueError, match="metadata.json' is damaged"):
            read_metadata(str(folder))


def test_dtype():
    assert record_dtype(2**16, 128) == "uint16"
    assert record_dtype(2**16 + 1, 128) == "uint32"
    assert record_dtype(100, 2**16) == "uint32"
    assert record_dtype(2**31, 128) == "uint32"
    with pytest.raises(ValueError, match="2147483649 tokens.*smaller"):
        record_dtype(2**31 + 1, 128)


def test_tokenizer_description():
    settings = describe_tokenizer(NumberTokenizer(700))["settings"]
    assert settings == {"size": 700}
