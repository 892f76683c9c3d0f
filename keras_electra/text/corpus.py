"""Corpus files -> lines and blocks of them, whatever the size of the files.

Lines end at "\\n" only and carriage returns are dropped, as the reader of the
original ELECTRA program does. What cannot be text is refused with file and
line: a wrong encoding found after a week of pre-training is found too late.
"""

import hashlib
import itertools
import json
import lzma
import os
import re
import zlib
from typing import Any

import fsspec

# In bytes. A longer line comes in pieces: some corpora are one single line.
LINE_LIMIT = 2**20
LONG = 2**23  # a longer record of JSON is not held several times
NUL_FRACTION = 0.1  # text has fewer; UTF-16 read as UTF-8 has far more
BLOCK_SIZE = 2**20  # characters
SAMPLE_SIZE = 2**16  # bytes, at either end of a file


def list_files(patterns: Any) -> list[Any]:
    """The files that paths or patterns name, sorted and without duplicates.

    `patterns` is a str, path, or an iterable of them, with `*`, `?`, `[...]` or
    `**`, local or with a protocol that `fsspec` knows (`"gs://bucket/*.txt"`).
    """
    if isinstance(patterns, (str, os.PathLike)):
        patterns = [patterns]
    files = {file for pattern in patterns for file in _match(pattern)}
    if not files:
        raise ValueError("`files` must name at least one file. Received none.")
    return sorted(files)


def _match(pattern):
    pattern = os.fspath(pattern)
    filesystem, path = fsspec.core.url_to_fs(pattern)
    if filesystem.isdir(path):
        example = pattern.rstrip("/") + "/*.txt"
        raise ValueError(
            f"{pattern!r} is a folder. Say which files to read: {example!r}."
        )
    # A name that exists is taken literally, even one with brackets in it.
    if filesystem.exists(path):
        return [pattern]
    matches = list(filter(filesystem.isfile, filesystem.glob(path)))
    if not matches:
        raise FileNotFoundError(
            f"No file matches {pattern!r}. Check the spelling and the folder; "
            f"the current one is {os.getcwd()!r}."
        )
    if "file" not in filesystem.protocol:
        return map(filesystem.unstrip_protocol, matches)
    return matches if os.path.isabs(pattern) else map(os.path.relpath, matches)


def describe_file(path: Any) -> dict[str, Any]:
    """Name, size, and digest of both ends: to read all would take too long."""
    filesystem, name = fsspec.core.url_to_fs(path)
    size = filesystem.size(name) or 0  # some servers do not tell
    starts = 0, max(0, size - SAMPLE_SIZE)
    ends = [filesystem.read_block(name, at, SAMPLE_SIZE) for at in starts]
    digest = hashlib.blake2b(b"".join(ends), digest_size=8).hexdigest()
    return {"file": path, "bytes": size, "digest": digest}


def read_blocks(files, text_field="text", blank_lines_separate_documents=True):
    """Read the lines of files (paths) in blocks of some `BLOCK_SIZE`.

    Yields lists of lines, stripped and not blank, each with the list of the
    indices at which documents start. These end at a blank line, unless these
    mean nothing, and at the end of their file; only long ones are cut.
    """
    lines, starts, size = [], [], 0
    is_start, before = True, 0  # characters before the document
    for path in files:
        texts = map(str.strip, read_lines(path, text_field))
        for line in itertools.chain(texts, [None]):
            if line:
                if is_start:
                    starts.append(len(lines))
                    is_start, before = False, size
                lines.append(line)
                size += len(line)
            elif line is None or blank_lines_separate_documents:
                is_start, before = True, 0
            if size - before >= BLOCK_SIZE:
                yield lines, starts
                lines, starts, size, before = [], [], 0, 0
    if lines:
        yield lines, starts


def read_lines(path: Any, text_field: str = "text") -> Any:
    """Read the lines (str) of one file, without their end.

    A file whose name ends in `.gz`, `.xz`, `.bz2` or the like is decompressed.
    `.jsonl` and `.json` files hold one JSON object a line, whose `text_field`
    gives its lines that are not blank, then a blank one. All others are plain
    UTF-8 text; lines beyond 1 MiB come in pieces.
    """
    path = os.fspath(path)
    is_compressed = fsspec.utils.infer_compression(path) is not None
    name = os.path.splitext(path)[0] if is_compressed else path
    with fsspec.open(path, "rb", compression="infer") as stream:
        try:
            if name.endswith((".jsonl", ".json")):
                yield from _json_lines(stream, path, text_field)
            else:
                yield from _lines(stream, path)
        except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
            # An error of the system has a number, one of the data has none.
            if not is_compressed or getattr(error, "errno", None) is not None:
                raise
            raise ValueError(
                f"{path!r} is cut short or damaged as a compressed file "
                f"({error}). Copy or download it again."
            ) from error


def _lines(stream, path):
    number = 1
    for data in _pieces(stream, True):
        # Many at once: there may be millions of short ones.
        yield from _decode(data, path, number).removesuffix("\n").split("\n")
        number += data.count(b"\n")


def _pieces(stream, cuts):
    """The bytes of whole lines, some `LINE_LIMIT`, or what it `cuts` long."""
    data, mark = bytearray(), b"\xef\xbb\xbf"  # of the byte order
    while block := stream.read(LINE_LIMIT):
        block, mark = block.removeprefix(mark), b""
        cut = block.rfind(b"\n") + 1
        if cuts and not cut and len(block) == LINE_LIMIT:
            # At the last space, or a character's start (then 0b10xxxxxx).
            cut = block.rfind(b" ") + 1 or LINE_LIMIT - 1
            while LINE_LIMIT - 4 < cut < LINE_LIMIT and block[cut] >> 6 == 2:
                cut -= 1
        data += block[: cut or None]
        if cut:
            yield data
            data = bytearray(block[cut:])
    if data:
        yield data


def _json_lines(stream, path, text_field):
    number = 1
    for data in _pieces(stream, False):
        # Of a long record several are made, one after the other.
        if spans := _spans_of_long(data, text_field):
            name = json.dumps(text_field)
            for start, stop in spans:
                text = _decode(data[start:stop], path, number)
                record = f'{{{name}: "{text}"}}'
                yield from _lines_of_record(record, path, number, text_field)
            yield ""
            del data[: data.find(b"\n") + 1 or None]
            number += 1
        text = _decode(data, path, number).removesuffix("\n")
        for line in text.split("\n") if data else ():
            if line.strip():
                yield from _lines_of_record(line, path, number, text_field)
                yield ""
            number += 1


def _spans_of_long(data, text_field):
    """`(start, stop)` of parts of the first record's text, if it is long."""
    end = data.find(b"\n") if b"\n" in data else len(data)
    if end <= LONG:
        return []
    key = re.escape(json.dumps(text_field, ensure_ascii=False).encode())
    value = rb'\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
    found, spans = re.compile(key + value).search(data, 0, end), []
    try:
        start, stop = found.span(1)
        others = json.loads(data[:start] + b"?" + data[stop:end])
        is_text = others[text_field] == "?"
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return []  # is read whole, and what is wrong said
    while is_text and start < stop:
        cut = limit = min(start + LINE_LIMIT, stop)
        if limit < stop:  # at the end of a line, or at a space
            escapes = re.finditer(rb"\\.", data[start:limit])
            ends = [start + e.end() for e in escapes if e[0] == b"\\n"]
            cut = ends[-1] if ends else data.rfind(b" ", start, limit) + 1
            cut = cut or data.find(b" ", limit, stop) + 1 or stop
        spans.append((start, cut))
        start = cut
    return spans


def _lines_of_record(line, path, number, text_field):
    where = f"{path!r}, line {number}"
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{where} is not JSON ({error}). Write one JSON object a "
            "line, or name the file .txt if it is plain text."
        ) from error
    is_object = isinstance(record, dict)
    text = record.get(text_field) if is_object else None
    if not isinstance(text, str):
        found = list(record) if is_object else type(record).__name__
        raise ValueError(
            f"{where} must be a JSON object with text in its field "
            f"`text_field={text_field!r}`. Received: {found}."
        )
    if "\\u" in line:  # so are halves of characters written, no text
        text = text.encode("utf-8", "ignore").decode("utf-8")
    some = f"[^\n]{{1,{LINE_LIMIT}}}"
    lines = re.finditer(f"(?m){some}(?: |$)|{some}", text.replace("\r", ""))
    yield from filter(str.strip, (line[0] for line in lines))


def _decode(data, path, number):
    """The text of lines, of which the first has a `number`."""
    for i, line in enumerate(data.split(b"\n") if b"\0" in data else ()):
        # Short lines may well be nothing but a NUL; long ones may not.
        if line.count(0) > 16 + NUL_FRACTION * len(line):
            raise ValueError(
                f"{path!r}, line {number + i} is not text: {line.count(0)} NUL "
                f"characters in {len(line)} bytes. Is it a binary file, or "
                "UTF-16 (`iconv -f UTF-16 -t UTF-8`)?"
            )
    try:
        return data.decode("utf-8").replace("\r", "")
    except UnicodeDecodeError as error:
        number += data.count(b"\n", 0, error.start)
        raise ValueError(
            f"{path!r}, line {number} is not UTF-8 text ({error.reason}). "
            "Convert it, as by `iconv -f UTF-16 -t UTF-8`; if it is compressed,"
            " give it the ending .gz, .xz or .bz2."
        ) from error
