"""Greedy WordPiece, offsets, and memories that change nothing."""

import pytest

from keras_electra.text import word_pieces
from keras_electra.text.normalization import WordSplitter
from keras_electra.text.word_pieces import WordPieceEncoder
from keras_electra.text.word_pieces import join_pieces

TOKENS = [
    "[UNK]",
    "[X]",
    "un",
    "##aff",
    "##able",
    "a",
    "##a",
    "u",
    "x",
    "[",
    "]",
]


@pytest.fixture
def encoder():
    return WordPieceEncoder(TOKENS, WordSplitter(), "[UNK]", ["[X]"])


def test_longest_piece_first(encoder):
    assert encoder.encode("unaffable a") == [2, 3, 4, 5]
    # A word is unknown as a whole, even if its start is known.
    assert encoder.encode("una unz") == [2, 6, 0]
    assert encoder.encode("") == encoder.encode(" \n") == []


def test_long_words_are_unknown(encoder):
    assert encoder.encode("a" * 200) == [5] + [6] * 199
    assert encoder.encode("a" * 201) == [0]
    assert encoder.encode_with_offsets("a" * 201) == ([0], [(0, 201)])


def test_offsets(encoder):
    ids, offsets = encoder.encode_with_offsets("  unaffable\nunz a")
    assert ids == [2, 3, 4, 0, 5]
    assert offsets == [(2, 4), (4, 7), (7, 11), (12, 15), (16, 17)]


def test_special_tokens(encoder):
    assert encoder.encode("a[X]a") == [5, 9, 0, 10, 5]
    assert encoder.encode("a[X]a", special_tokens=True) == [5, 1, 5]
    ids, offsets = encoder.encode_with_offsets("a [X]a", special_tokens=True)
    assert (ids, offsets) == ([5, 1, 5], [(0, 1), (2, 5), (5, 6)])


def test_no_special_tokens():
    encoder = WordPieceEncoder(TOKENS, WordSplitter(), "[UNK]")
    assert encoder.encode("a[X]", special_tokens=True) == [5, 9, 0, 10]
    assert encoder.encode_with_offsets("a", True) == ([5], [(0, 1)])


def test_full_memories_are_emptied(encoder, monkeypatch):
    monkeypatch.setattr(word_pieces, "_MEMORY_SIZE", 3)
    texts = ["a u x un unaffable [ ]"] * 3
    assert [encoder.encode(t) for t in texts] == [
        [5, 7, 8, 2, 2, 3, 4, 9, 10]
    ] * 3
    assert len(encoder._part_ids) <= 3
    assert len(encoder._word_ids) <= 3


def test_long_parts_are_not_kept(encoder):
    assert encoder.encode("a" * 100) == [5] + [6] * 99
    assert len(encoder._part_ids) == 0


def test_join_pieces():
    assert join_pieces(["un", "##aff", "##able", "a"]) == "unaffable a"
    # Nothing to join to, and a bare "##".
    assert join_pieces(["##a", "##", "a"]) == "##a ## a"
    assert join_pieces([]) == ""
