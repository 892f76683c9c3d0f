"""Files and documents: what is found, where a document ends."""

import gzip
import json

import fsspec
import pytest

from keras_electra.text.documents import list_files
from keras_electra.text.documents import read_documents
from keras_electra.text.lines import read_lines


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def test_list_files_sorts_and_removes_duplicates(tmp_path):
    for name in ("b.txt", "a.txt", "c.md"):
        write(tmp_path / name, "x")
    (tmp_path / "folder.txt").mkdir()
    found = list_files([tmp_path / "*.txt", str(tmp_path / "b.txt")])
    assert found == [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    assert list_files(tmp_path / "c.md") == [str(tmp_path / "c.md")]


def test_list_files_relative_and_literal_brackets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "part[1].txt", "x")
    assert list_files("*.txt") == ["part[1].txt"]
    assert list_files("part[1].txt") == ["part[1].txt"]


def test_files_at_an_address():
    with fsspec.open("memory://corpus/a.txt.gz", "wb") as file:
        file.write(gzip.compress(b"one\n\ntwo\n"))
    (path,) = list_files("memory://corpus/*.gz")
    assert path.startswith("memory://")
    assert list(read_lines(path)) == ["one", "", "two"]


def test_list_files_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="No file matches .*none"):
        list_files(str(tmp_path / "none*.txt"))
    with pytest.raises(ValueError, match="is a folder.*\\*.txt"):
        list_files(tmp_path)
    with pytest.raises(ValueError, match="at least one file"):
        list_files([])


def test_documents(tmp_path):
    first = write(tmp_path / "a.txt", "\n\n one \ntwo\n \t \n\nthree\n")
    second = write(tmp_path / "b.txt", "four\n\n")
    pieces = list(read_documents([first, second]))
    assert [p.lines for p in pieces] == [["one", "two"], ["three"], ["four"]]
    assert all(piece.starts_document for piece in pieces)
    pieces = read_documents(
        [first, second], blank_lines_separate_documents=False
    )
    assert [p.lines for p in pieces] == [["one", "two", "three"], ["four"]]


@pytest.mark.parametrize("blanks", [True, False])
def test_long_documents_come_in_pieces(tmp_path, blanks):
    path = write(tmp_path / "a.txt", "12345\n" * 4 + "\n\nnext\n")
    pieces = list(read_documents([path], "text", blanks, piece_limit=10))
    assert pieces[0] == (["12345"] * 2, True)
    assert pieces[1] == (["12345"] * 2, False)
    assert pieces[2] == (["next"], blanks)


def test_a_json_record_is_a_document(tmp_path):
    records = [{"body": "one\n\ntwo"}, {"body": ""}, {"body": "three"}]
    text = "\n".join(map(json.dumps, records))
    path = write(tmp_path / "a.jsonl", text)
    pieces = list(read_documents([path], text_field="body"))
    assert [piece.lines for piece in pieces] == [["one", "two"], ["three"]]
