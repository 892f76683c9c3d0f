"""Reading a corpus: what is a line, what a document, what is refused."""

import gzip
import json
import lzma

import fsspec
import pytest

from keras_electra.text import corpus
from keras_electra.text.corpus import list_files
from keras_electra.text.corpus import read_blocks
from keras_electra.text.corpus import read_lines


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
    lines = ["one", "two", "three", "four"]
    assert list(read_blocks([first, second])) == [(lines, [0, 2, 3])]
    (block,) = read_blocks(
        [first, second], blank_lines_separate_documents=False
    )
    assert block == (lines, [0, 3])


@pytest.mark.parametrize("blanks", [True, False])
def test_only_long_documents_are_cut(tmp_path, monkeypatch, blanks):
    monkeypatch.setattr(corpus, "BLOCK_SIZE", 10)
    text = "1\n2\n\n" + "12345\n" * 4 + "\n\nnext\n"
    path = write(tmp_path / "a.txt", text)
    blocks = list(read_blocks([path], "text", blanks))
    long = ["12345"] * 2
    if blanks:
        assert blocks == [
            (["1", "2", *long], [0, 2]),
            (long, []),
            (["next"], [0]),
        ]
    else:
        assert blocks == [(["1", "2", *long], [0]), (long, []), (["next"], [])]


def test_a_json_record_is_a_document(tmp_path):
    records = [{"body": "one\n\ntwo"}, {"body": ""}, {"body": "three"}]
    text = "\n".join(map(json.dumps, records))
    path = write(tmp_path / "a.jsonl", text)
    blocks = list(read_blocks([path], text_field="body"))
    assert blocks == [(["one", "two", "three"], [0, 2])]


def test_lines_end_at_newline_only(tmp_path):
    text = "a\rb\r\n\x0bc\x1cd\u2028e\x85f\n\0\n\nlast"
    path = write(tmp_path / "a.txt", text)
    expected = ["ab", "\x0bc\x1cd\u2028e\x85f", "\0", "", "last"]
    assert list(read_lines(path)) == expected


@pytest.mark.parametrize(
    "ending, compress", [(".gz", gzip.compress), (".xz", lzma.compress)]
)
def test_compressed_and_cut_short(tmp_path, ending, compress):
    text = "".join(f"line {i} {i * i}\n" for i in range(3000))
    data = compress(text.encode())
    path = write(tmp_path / f"a.txt{ending}", data)
    assert "".join(line + "\n" for line in read_lines(path)) == text
    path = write(tmp_path / f"cut.txt{ending}", data[: len(data) // 2])
    with pytest.raises(ValueError, match="cut.txt.*cut short or damaged"):
        list(read_lines(path))
    path = write(tmp_path / f"false.txt{ending}", b"not compressed at all")
    with pytest.raises(ValueError, match="false.txt.*cut short or damaged"):
        list(read_lines(path))


def test_json_lines(tmp_path):
    records = [{"body": "one\r\n\ntwo"}, {"body": ""}, {"body": "three"}]
    text = "\n".join(json.dumps(record) for record in records) + "\n\n"
    path = write(tmp_path / "a.jsonl", text)
    lines = list(read_lines(path, text_field="body"))
    assert lines == ["one", "two", "", "", "three", ""]


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"text": "a"}\n{"text": \n', "line 2 is not JSON"),
        ('{"body": "a"}\n', "line 1 must .*text.*Received: \\['body'"),
        ('{"text": 3}\n', "line 1 must be a JSON"),
        ('["a", "b"]\n', "line 1 must be a JSON object.*list"),
        ('{"text": "a"}\n' + "[" * 10**5, "line 2 is not JSON"),
        ('\n\n{"text": ' + "7" * 5000 + "}", "line 3 is not JSON"),
    ],
)
def test_json_errors(tmp_path, text, message):
    path = write(tmp_path / "bad.jsonl", text)
    with pytest.raises(ValueError, match=f"bad.jsonl.*{message}"):
        list(read_lines(path))


@pytest.mark.parametrize(
    "data, message",
    [
        ("good\nna\u00efve\n".encode("latin-1"), "line 2 is not UTF-8"),
        ("some text\n".encode("utf-16"), "UTF-16"),
        ("some text that is long\n".encode("utf-16-le"), "line 1 .*NUL"),
        (gzip.compress(b"text"), "compressed, give it the ending .gz"),
        (b"a\n" + bytes(4000), "line 2 is not text.*4000 NUL"),
    ],
)
def test_what_is_not_text(tmp_path, data, message):
    path = write(tmp_path / "bad.txt", data)
    with pytest.raises(ValueError, match=f"bad.txt.*{message}"):
        list(read_lines(path))


def test_byte_order_mark_is_dropped(tmp_path):
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbfone\ntwo")
    assert list(read_lines(path)) == ["one", "two"]


@pytest.mark.parametrize("text", ["w\u00f6rd " * 90, "\u4eca\U0001f600" * 60])
def test_long_lines_come_in_pieces(tmp_path, monkeypatch, text):
    monkeypatch.setattr(corpus, "LINE_LIMIT", 64)
    path = write(tmp_path / "a.txt", text + "\nnext\n" + text)
    lines = list(read_lines(path))
    assert "".join(lines) == text + "next" + text
    assert max(len(line.encode()) for line in lines) <= 128
    if " " in text:
        assert all(line.endswith((" ", "next")) for line in lines)
    record = json.dumps({"text": f"{text}\n\nnext\n{text}"}, ensure_ascii=False)
    path = write(tmp_path / "a.jsonl", f"{record}\n{record}")
    lines = list(read_lines(path))
    assert "".join(lines) == (text + "next" + text) * 2
    assert lines.count("") == 2 and max(map(len, lines)) <= 65


def test_what_is_wrong_far_into_a_file(tmp_path):
    data = b"\n" * 10**6 + b"word \xff\n" + b"\n" * 10**6
    path = write(tmp_path / "bad.txt", data)
    with pytest.raises(ValueError, match="bad.txt.*line 1000001 is not UTF-8"):
        list(read_lines(path))
    path = write(tmp_path / "good.txt", data.replace(b"\xff", b""))
    assert list(read_blocks([path])) == [(["word"], [0])]
    assert sum(1 for _ in read_lines(path)) == 2 * 10**6 + 1


def test_original_corpus_reads(golden):
    lines = list(read_lines(golden / "corpus.txt"))
    assert "\0" in lines
    assert not any("\r" in line for line in lines)
    data = (golden / "corpus.txt").read_bytes()
    assert len(lines) == data.count(b"\n") + (not data.endswith(b"\n"))


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("around", [{"id": 1}, {"meta": {"text": "no"}}, {}])
def test_long_records_are_read_in_parts(
    ascii_only, around, tmp_path, monkeypatch
):
    """With the same lines, and the same errors, as short ones."""
    lines = [f'{i} café \\new \\\\n \U0001f600 "quoted"' for i in range(99)]
    records = [
        json.dumps(
            {**around, "text": text, "end": "a"}, ensure_ascii=ascii_only
        )
        for text in ("\n".join(lines), "short", "\n".join(lines[::-1]))
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes("\n".join(records).encode("utf-8-sig"))
    expected = list(corpus.read_lines(path))
    assert expected == [*lines, "", "short", "", *lines[::-1], ""]
    monkeypatch.setattr(corpus, "LONG", 400)
    monkeypatch.setattr(corpus, "LINE_LIMIT", 250)
    assert bool(
        corpus._spans_of_long(bytearray(records[0].encode()), "text")
    ) == ("meta" not in around)
    assert list(corpus.read_lines(path)) == expected
    for wrong in (records[2][:-9], records[2].replace("quoted", "\\x")):
        path.write_text("\n".join([*records[:2], wrong]))
        with pytest.raises(ValueError, match="a.jsonl', line 3 is not JSON"):
            list(corpus.read_lines(path))
