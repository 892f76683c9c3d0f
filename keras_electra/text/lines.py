"""One text file -> its lines, decompressed, decoded and checked.

Plain text or JSON lines, possibly compressed, local or at any address that
`fsspec` knows. Lines end at "\\n" only and carriage returns are dropped, as
the reader of the original ELECTRA program does; control characters stay, the
tokenizer deals with them. What cannot be text is refused with the name of the
file and the line, because a wrong encoding found after a week of pre-training
is found too late.
"""

import bz2
import gzip
import json
import lzma
import os
import zlib

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


def read_lines(path, text_field="text"):
    """Read the lines of one file, decompressed and decoded.

    Args:
        path: str or path, local or any `fsspec` address. Files that end in
            `.gz`, `.xz` or `.bz2` are decompressed on the way. Files that end
            in `.jsonl` or `.json` (before the compression ending) hold one
            JSON object a line, everything else is plain UTF-8 text.
        text_field: str. The field of a JSON object that holds its text.
            Defaults to `"text"`.

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
        except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as e:
            raise ValueError(_broken(path, e)) from e
        except OSError as e:
            # bz2 reports damaged data as a bare OSError without a number.
            if not is_compressed or e.errno is not None:
                raise
            raise ValueError(_broken(path, e)) from e


def _broken(path, error):
    return (
        f"{path!r} is cut short or damaged as a compressed file ({error}). "
        "Copy or download it again."
    )


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
    number = 0
    for line in iter(lambda: stream.readline(RECORD_LIMIT), b""):
        number += 1
        if len(line) == RECORD_LIMIT:
            raise ValueError(
                f"{path!r}, line {number} is longer than {RECORD_LIMIT} "
                "bytes. Write one JSON object a line, one for each document."
            )
        line = _decode(line, path, number)
        if not line.strip():
            continue
        text = _field(line, path, number, text_field)
        for part in text.replace("\r", "").split("\n"):
            if part.strip():
                yield part
        yield ""


def _field(line, path, number, text_field):
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path!r}, line {number} is not JSON ({error}). Write one JSON "
            "object a line, or name the file .txt if it is plain text."
        ) from error
    if not isinstance(record, dict):
        raise ValueError(
            f"{path!r}, line {number} must be a JSON object with a field "
            f"{text_field!r}. Received: {type(record).__name__}."
        )
    if not isinstance(record.get(text_field), str):
        fields = {key: type(value).__name__ for key, value in record.items()}
        raise ValueError(
            f"{path!r}, line {number} has no text in its field "
            f"`text_field={text_field!r}`. Its fields are {fields}. Name the "
            "one that holds the text."
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
