"""Corpus files -> lines and documents, one at a time, whatever their size.

A corpus is plain text, where a line is a sentence or a paragraph and a blank
line ends a document, or JSON lines, where a record is a document; possibly
compressed, local or at any address that `fsspec` knows. Lines end at "\\n" only
and carriage returns are dropped, as the reader of the original ELECTRA program
does; control characters stay, the tokenizer deals with them. What cannot be
text is refused with the name of the file and the line, because a wrong encoding
found after a week of pre-training is found too late.
"""

import bz2
import gzip
import json
import lzma
import os
import zlib
from typing import NamedTuple

import fsspec

DECOMPRESS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
JSON_ENDINGS = (".jsonl", ".json")

# A line longer than this (bytes) is handed on in pieces, cut at a space: some
# corpora are one single line, and memory is not to depend on that.
LINE_LIMIT = 2**20
# A JSON record cannot be cut; this is far beyond any real document (bytes).
RECORD_LIMIT = 2**28
# Text has few NUL characters; UTF-16 read as UTF-8 has them everywhere.
NUL_FRACTION = 0.1

MAGIC = {
    b"\x1f\x8b": "gzip data: give the file the ending .gz",
    b"\xfd7zXZ": "xz data: give the file the ending .xz",
    b"BZh": "bzip2 data: give the file the ending .bz2",
    b"(\xb5/\xfd": "zstandard data: decompress it first",
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"PAR1": "a Parquet table: write its text column as JSON lines",
    b"\xff\xfe": "UTF-16: convert it, `iconv -f UTF-16 -t UTF-8`",
    b"\xfe\xff": "UTF-16: convert it, `iconv -f UTF-16 -t UTF-8`",
}


class DocumentPiece(NamedTuple):
    """Lines of one document; more than one piece if the document is long.

    Attributes:
        lines: list of str, no blank ones, stripped.
        starts_document: bool, whether this is the document's first piece.
    """

    lines: list
    starts_document: bool


def list_files(patterns):
    """Find the files that paths or patterns name.

    Args:
        patterns: str, path, or an iterable of them. Each is a file or a
            pattern with `*`, `?`, `[...]` or `**`, local (`"corpus/*.txt"`)
            or with a protocol that `fsspec` knows (`"gs://bucket/*.txt"`).

    Returns:
        List of str without duplicates, sorted.
    """
    if isinstance(patterns, (str, os.PathLike)):
        patterns = [patterns]
    files = {file for pattern in patterns for file in _match(pattern)}
    if not files:
        raise ValueError(
            '`files` must name at least one file, such as "corpus/*.txt". '
            "Received an empty list."
        )
    return sorted(files)


def _match(pattern):
    pattern = os.fspath(pattern)
    filesystem, path = fsspec.core.url_to_fs(pattern)
    if filesystem.isdir(path):
        raise ValueError(
            f"{pattern!r} is a folder. Say which of its files to read, such "
            f"as {pattern.rstrip('/') + '/*.txt'!r}."
        )
    # A name that exists is taken literally, even one with brackets in it.
    if filesystem.exists(path):
        return [pattern]
    matches = [
        match for match in filesystem.glob(path) if filesystem.isfile(match)
    ]
    is_local = isinstance(filesystem, fsspec.get_filesystem_class("file"))
    if not matches:
        raise FileNotFoundError(
            f"No file matches {pattern!r}. Check the spelling and the folder"
            + (f" (the current one is {os.getcwd()!r})." if is_local else ".")
        )
    if not is_local:
        return [filesystem.unstrip_protocol(match) for match in matches]
    return matches if os.path.isabs(pattern) else map(os.path.relpath, matches)


def read_documents(
    files, text_field="text", blank_lines_separate_documents=True, limit=2**20
):
    """Read the documents of files, in order.

    A document ends at a blank line and at the end of its file; one with
    nothing in it does not count.

    Args:
        files: iterable of str, as `list_files` returns them.
        text_field: str. See `read_lines`.
        blank_lines_separate_documents: bool. If `False`, blank lines mean
            nothing and each file is one document.
        limit: int, characters. A longer document comes in several pieces, so
            that one of any size can be read.

    Yields:
        `DocumentPiece`s.
    """
    for path in files:
        lines, size, starts = [], 0, True
        for line in read_lines(path, text_field):
            line = line.strip()
            if line:
                lines.append(line)
                size += len(line)
            is_end = not line and blank_lines_separate_documents
            if lines and (is_end or size >= limit):
                yield DocumentPiece(lines, starts)
                lines, size, starts = [], 0, False
            starts = starts or is_end
        if lines:
            yield DocumentPiece(lines, starts)


def read_lines(path, text_field="text"):
    """Read the lines of one file, decompressed and decoded.

    Args:
        path: str or path, local or any `fsspec` address. Files that end in
            `.gz`, `.xz` or `.bz2` are decompressed on the way. Files that end
            in `.jsonl` or `.json` (before the compression ending) hold one
            JSON object a line, everything else is plain UTF-8 text.
        text_field: str. The field of a JSON object that holds its text.

    Yields:
        str: lines without their line end, blank ones included. A JSON record
            gives its non-blank lines, then a blank one. Plain lines beyond
            1 MiB come in pieces.

    Raises:
        ValueError: naming the file (and the line) if it is not UTF-8 text,
            not intact as a compressed file, or not JSON lines with
            `text_field`.
    """
    path = os.fspath(path)
    name, ending = os.path.splitext(path)
    is_compressed = ending in DECOMPRESS
    is_json = (name if is_compressed else path).endswith(JSON_ENDINGS)
    with fsspec.open(path, "rb") as raw:
        stream = DECOMPRESS[ending](raw) if is_compressed else raw
        try:
            if is_json:
                yield from _json_lines(stream, path, text_field)
            else:
                yield from _plain_lines(stream, path)
        except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
            # An error of the system has a number, one of the data has none.
            if not is_compressed or getattr(error, "errno", None) is not None:
                raise
            raise ValueError(
                f"{path!r} is cut short or damaged as a compressed file "
                f"({error}). Copy or download it again."
            ) from error


def _plain_lines(stream, path):
    rest = b""
    number = 1
    for piece in iter(lambda: stream.readline(LINE_LIMIT), b""):
        line = rest + piece
        rest = b""
        is_whole = line.endswith(b"\n")
        if not is_whole and len(piece) == LINE_LIMIT:
            # The limit cut it: go on at the last space, or at least at the
            # start of a character (UTF-8 continues with 0b10xxxxxx bytes).
            cut = line.rfind(b" ") + 1 or _character_start(line)
            line, rest = line[:cut], line[cut:]
        yield _decode(line, path, number)
        number += is_whole
    if rest:
        yield _decode(rest, path, number)


def _character_start(line):
    cut = len(line) - 1
    while cut > len(line) - 4 and line[cut] & 0xC0 == 0x80:
        cut -= 1
    return cut


def _json_lines(stream, path, text_field):
    lines = iter(lambda: stream.readline(RECORD_LIMIT), b"")
    for number, line in enumerate(lines, start=1):
        if len(line) == RECORD_LIMIT:
            raise ValueError(
                f"{path!r}, line {number} is longer than {RECORD_LIMIT} "
                "bytes. Write one JSON object a line, one for each document."
            )
        line = _decode(line, path, number)
        if not line.strip():
            continue
        text = _field(line, f"{path!r}, line {number}", text_field)
        # JSON can write halves of characters, which are no text.
        text = text.encode("utf-8", "ignore").decode("utf-8")
        for part in text.replace("\r", "").split("\n"):
            if part.strip():
                yield part
        yield ""


def _field(line, where, text_field):
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{where} is not JSON ({error}). Write one JSON object a line, or "
            "name the file .txt if it is plain text."
        ) from error
    if not isinstance(record, dict):
        raise ValueError(
            f"{where} must be a JSON object with a field {text_field!r}. "
            f"Received: {type(record).__name__}."
        )
    if not isinstance(record.get(text_field), str):
        fields = {key: type(value).__name__ for key, value in record.items()}
        raise ValueError(
            f"{where} has no text in its field `text_field={text_field!r}`. "
            f"Its fields are {fields}. Name the one that holds the text."
        )
    return record[text_field]


def _decode(line, path, number):
    """Bytes of a line -> str, or an error that helps."""
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")  # byte order mark
    # Short lines may well be nothing but a NUL; long ones may not.
    if b"\0" in line and line.count(b"\0") > 16 + NUL_FRACTION * len(line):
        raise ValueError(
            f"{path!r}, line {number} is not text: it has "
            f"{line.count(bytes(1))} NUL characters in {len(line)} bytes. Is "
            "it a binary file, or UTF-16 (`iconv -f UTF-16 -t UTF-8`)?"
        )
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        for magic, hint in MAGIC.items():
            if number == 1 and line.startswith(magic):
                raise ValueError(
                    f"{path!r} is not text: it holds {hint}."
                ) from error
        raise ValueError(
            f"{path!r}, line {number} is not UTF-8 text "
            f"(byte {error.start} of the line: {error.reason}). Convert the "
            "file, such as with `iconv -f ISO-8859-1 -t UTF-8`, or leave it "
            "out if it is not text."
        ) from error
    return text.removesuffix("\n").replace("\r", "")
