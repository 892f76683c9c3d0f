import gzip

import pytest
from harness.files import DataFileError
from harness.files import find_file
from harness.files import read_lines


def test_packed_and_plain_files(tmp_path):
    (tmp_path / "a.tsv").write_bytes("one\u2028\r\ntwo\n\n".encode())
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress("\ufeffé".encode()))
    assert find_file(tmp_path, "a", ".tsv").name == "a.tsv"
    assert read_lines(tmp_path / "a.tsv") == ["one\u2028", "two", ""]
    assert read_lines(find_file(tmp_path, "b", ".tsv")) == ["é"]


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="c.tsv or c.tsv.gz"):
        find_file(tmp_path, "c", ".tsv")
    path = tmp_path / "latin.tsv"
    path.write_bytes(b"one\ntw\xe9 \n")
    with pytest.raises(DataFileError, match=r"latin.tsv, line 2: .*UTF-8"):
        read_lines(path)
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"one" * 99)[:-9])
    with pytest.raises(DataFileError, match="cut.gz: expected a gzip file"):
        read_lines(path)
