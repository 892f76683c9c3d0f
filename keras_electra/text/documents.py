"""Corpus files -> documents, one at a time, whatever their size.

A corpus is plain text, where a line is a sentence or a paragraph and a blank
line ends a document, or JSON lines, where a record is a document.
"""

import os
from collections.abc import Iterable
from collections.abc import Iterator
from typing import NamedTuple

import fsspec

from keras_electra.text.lines import read_lines


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

    Raises:
        FileNotFoundError: if a path or pattern matches no file.
        ValueError: if no pattern is given, or if one names a folder.
    """
    if isinstance(patterns, (str, os.PathLike)):
        patterns = [patterns]
    patterns = [os.fspath(pattern) for pattern in patterns]
    if not patterns:
        raise ValueError(
            "`patterns` must name at least one file, such as "
            '"corpus/*.txt". Received an empty list.'
        )
    files = set()
    for pattern in patterns:
        files.update(_match(pattern))
    return sorted(files)


def _match(pattern):
    filesystem, path = fsspec.core.url_to_fs(pattern)
    is_local = "file" in _protocols(filesystem)
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
    if not matches:
        raise FileNotFoundError(
            f"No file matches {pattern!r}. Check the spelling and the folder"
            + (f" (the current one is {os.getcwd()!r})." if is_local else ".")
        )
    if not is_local:
        return [filesystem.unstrip_protocol(match) for match in matches]
    if os.path.isabs(pattern):
        return matches
    return [os.path.relpath(match) for match in matches]


def _protocols(filesystem):
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else protocol


def read_documents(
    files: Iterable[str],
    text_field: str = "text",
    blank_lines_separate_documents: bool = True,
    piece_limit: int = 2**20,
) -> Iterator[DocumentPiece]:
    """Read the documents of files, in order.

    A document ends at a blank line and at the end of its file; one with
    nothing in it does not count.

    Args:
        files: iterable of str, as `list_files` returns them.
        text_field: str. See `read_lines`. Defaults to `"text"`.
        blank_lines_separate_documents: bool. If `False`, blank lines mean
            nothing and each file is one document. Defaults to `True`.
        piece_limit: int, characters. A longer document comes in several
            pieces, so that one of any size can be read. Defaults to 1 Mi.

    Yields:
        `DocumentPiece`s.

    Raises:
        ValueError: see `read_lines`.
    """
    for path in files:
        lines, size, starts = [], 0, True
        for line in read_lines(path, text_field):
            line = line.strip()
            if line:
                lines.append(line)
                size += len(line)
            is_end = not line and blank_lines_separate_documents
            if lines and (is_end or size >= piece_limit):
                yield DocumentPiece(lines, starts)
                lines, size, starts = [], 0, False
            starts = starts or is_end
        if lines:
            yield DocumentPiece(lines, starts)
