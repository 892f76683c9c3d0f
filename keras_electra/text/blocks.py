"""Documents -> blocks of text, the unit of work of a build.

A block is small enough to tokenize in little memory and large enough to be
worth sending to another process. Where it begins and ends depends on the text
alone, never on how many processes there are, and so does the choice of the
documents that are held out for validation: it looks at a document's content,
so that two copies of one document always land on the same side.
"""

import hashlib
from collections.abc import Iterable
from collections.abc import Iterator
from typing import NamedTuple

from keras_electra.text.corpus import DocumentPiece

BLOCK_SIZE = 2**20  # characters
HASH_RANGE = 2**64


class Span(NamedTuple):
    """Consecutive lines of a block that belong to one document.

    Attributes:
        num_lines: int.
        starts_document: bool. `False` if it goes on from the span before.
        position: int in `[0, HASH_RANGE)`, drawn from the document's content
            and the seed. Documents below a threshold are held out.
    """

    num_lines: int
    starts_document: bool
    position: int


class Block(NamedTuple):
    """Text to tokenize: lines, and the spans that say whose they are."""

    lines: list
    spans: list


def make_blocks(
    pieces: Iterable[DocumentPiece], seed: int, size: int | None = None
) -> Iterator[Block]:
    """Group the pieces of documents into blocks.

    Args:
        pieces: iterable of `DocumentPiece`, as `read_documents` yields them.
        seed: int. Seed of the positions of documents.
        size: int, characters. A block ends with the piece that reaches it.
            Defaults to `BLOCK_SIZE`.

    Yields:
        `Block`s; all pieces, in order.
    """
    size = BLOCK_SIZE if size is None else size
    lines, spans, length = [], [], 0
    position = 0
    for piece in pieces:
        if piece.starts_document:
            # A long document is told by its first piece.
            position = _position(piece.lines, seed)
        spans.append(Span(len(piece.lines), piece.starts_document, position))
        lines.extend(piece.lines)
        length += sum(map(len, piece.lines))
        if length >= size:
            yield Block(lines, spans)
            lines, spans, length = [], [], 0
    if lines:
        yield Block(lines, spans)


def _position(lines, seed):
    digest = hashlib.blake2b(digest_size=8, key=str(seed).encode()[:64])
    digest.update(join_lines(lines))
    return int.from_bytes(digest.digest(), "big")


def block_digest(block, salt):
    """Name the content of a block.

    Args:
        block: `Block`.
        salt: str. Whatever else the use of the digest depends on.

    Returns:
        str, 16 hexadecimal digits.
    """
    digest = hashlib.blake2b(salt.encode(), digest_size=8)
    digest.update(b"\n")
    digest.update(join_lines(block.lines))
    return digest.hexdigest()


def join_lines(lines):
    """Lines, which hold no line ends, as one str of bytes to hash."""
    return "\n".join(lines).encode("utf-8", "surrogatepass")
