"""Vocabulary files: round trips and refusals."""

import pytest

from keras_electra.text.vocabulary_file import SPECIAL_TOKENS
from keras_electra.text.vocabulary_file import load_vocabulary
from keras_electra.text.vocabulary_file import read_vocabulary
from keras_electra.text.vocabulary_file import write_vocabulary

# U+2028 and U+0085 are entries of BERT's Chinese vocabulary or could be.
TOKENS = [*SPECIAL_TOKENS, "a", "##é", "\u2028", "\x85", "一"]


def test_round_trip(tmp_path):
    path = tmp_path / "new" / "vocab.txt"
    write_vocabulary(path, TOKENS)
    assert path.read_bytes().endswith("一\n".encode())
    assert read_vocabulary(path) == TOKENS
    assert load_vocabulary(str(path)) == TOKENS
    assert [p.name for p in path.parent.iterdir()] == ["vocab.txt"]


def test_other_addresses():
    write_vocabulary("memory://words/vocab.txt", TOKENS)
    assert load_vocabulary("memory://words/vocab.txt") == TOKENS


def test_golden_vocabulary(golden):
    tokens = load_vocabulary(golden / "vocab.txt")
    assert tokens == (golden / "vocab.txt").read_text("utf-8").split("\n")[:-1]
    assert set(SPECIAL_TOKENS) <= set(tokens)


def test_line_ends_of_other_systems(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("\r\n".join(TOKENS).encode())
    assert read_vocabulary(path) == TOKENS


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "vocab.txt"
    write_vocabulary(path, TOKENS)
    with pytest.raises(UnicodeEncodeError):
        write_vocabulary(path, ["\ud800"])
    assert read_vocabulary(path) == TOKENS
    assert len(list(tmp_path.iterdir())) == 1


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.txt"):
        load_vocabulary("nowhere.txt")
    with pytest.raises(FileNotFoundError, match="no vocabulary file"):
        load_vocabulary(tmp_path)
    latin = tmp_path / "latin.txt"
    latin.write_bytes("é".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt.*byte 0"):
        load_vocabulary(latin)
    incomplete = tmp_path / "incomplete.txt"
    incomplete.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n")
    with pytest.raises(ValueError, match=r"incomplete\.txt.*token \[MASK\] "):
        load_vocabulary(incomplete)
    with pytest.raises(ValueError, match=r"tokens \[SEP\], \[MASK\] "):
        load_vocabulary(TOKENS[:3])
    with pytest.raises(ValueError, match="more than once: 'a'"):
        load_vocabulary(TOKENS + ["a"])
    with pytest.raises(ValueError, match=r"index 10: 'b\\n'"):
        load_vocabulary(TOKENS + ["b\n"])
    with pytest.raises(TypeError, match="type int at index 10: 3"):
        load_vocabulary(TOKENS + [3])
    with pytest.raises(TypeError, match="Received: 3"):
        load_vocabulary(3)
