"""Counting words within bounds."""

import gzip

import pytest

from keras_electra.text.normalization import WordSplitter
from keras_electra.text.word_counts import count_words


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("The cat, the dog.\n\nthe Café " + "x" * 201 + "\n")
    return str(path)


def test_counts(path):
    words = {"the": 3, "cat": 1, ",": 1, "dog": 1, ".": 1, "cafe": 1}
    assert count_words([path], WordSplitter(True)) == words
    cased = count_words([path], WordSplitter())
    assert (cased["The"], cased["the"], cased["Café"]) == (1, 2, 1)


def test_several_files_and_json(tmp_path, path):
    other = tmp_path / "b.jsonl.gz"
    other.write_bytes(gzip.compress(b'{"body": "the end"}\n'))
    words = count_words([path, str(other)], WordSplitter(True), "body")
    assert (words["the"], words["end"]) == (4, 1)


def test_moving_parts_early_changes_nothing(path):
    expected = count_words([path], WordSplitter())
    assert count_words([path], WordSplitter(), max_parts=1) == expected


def test_too_many_words(path):
    with pytest.warns(UserWarning, match="More than 3 distinct words"):
        words = count_words([path], WordSplitter(True), max_words=3)
    assert words == {"the": 3}
