"""Blocks: everything in order, and positions that depend on content."""

from keras_electra.text.blocks import HASH_RANGE
from keras_electra.text.blocks import block_digest
from keras_electra.text.blocks import make_blocks
from keras_electra.text.corpus import DocumentPiece

PIECES = [
    DocumentPiece(["one", "two"], True),
    DocumentPiece(["three"], False),
    DocumentPiece(["four"], True),
    DocumentPiece(["one", "two"], True),
]


def test_blocks():
    first, second = make_blocks(PIECES, seed=0, size=10)
    assert first.lines == ["one", "two", "three"]
    assert second.lines == ["four", "one", "two"]
    assert [span[:2] for span in first.spans] == [(2, True), (1, False)]
    assert [span[:2] for span in second.spans] == [(1, True), (2, True)]


def test_positions():
    (block,) = make_blocks(PIECES, seed=0)
    (other,) = make_blocks(PIECES, seed=1)
    one, rest_of_one, four, copy_of_one = [s.position for s in block.spans]
    assert one == rest_of_one == copy_of_one != four
    assert all(0 <= span.position < HASH_RANGE for span in block.spans)
    assert one != other.spans[0].position


def test_digest_depends_on_text_and_salt():
    first, second = make_blocks(PIECES, seed=0, size=10)
    digests = {
        block_digest(block, salt)
        for block in (first, second)
        for salt in ("a", "b")
    }
    assert len(digests) == 4
    assert block_digest(first, "a") in digests
