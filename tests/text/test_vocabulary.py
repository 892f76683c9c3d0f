"""Vocabularies: learned, counted, merged, read and written."""

import gzip
import os
import random
import subprocess
import sys
from collections import Counter

import pytest

from keras_electra.text.pipeline import SPECIAL_TOKENS
from keras_electra.text.pipeline import word_splitter
from keras_electra.text.vocabulary import count_words
from keras_electra.text.vocabulary import load_vocabulary
from keras_electra.text.vocabulary import merge_pairs
from keras_electra.text.vocabulary import read_vocabulary
from keras_electra.text.vocabulary import train_vocabulary
from keras_electra.text.vocabulary import write_vocabulary

TEXT = "Low lower lowest, new newer newest.\nNow the Café is low.\n" * 3


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def test_content(corpus):
    tokens = train_vocabulary(corpus, 60, lowercase=True)
    assert tuple(tokens[:5]) == SPECIAL_TOKENS
    # All characters, then all that occur within words.
    characters = sorted(set("lowerstnhcafi,."))
    assert tokens[5:20] == characters
    assert "##w" in tokens
    assert "##," not in tokens
    assert "é" not in tokens
    assert "low" in tokens
    assert len(tokens) == len(set(tokens)) <= 60


def test_small_sizes_are_prefixes(corpus):
    large = train_vocabulary(corpus, 60, lowercase=True)
    small = train_vocabulary(corpus, 40, lowercase=True)
    assert len(small) == 40 < len(large)
    assert small == large[:40]


def test_settings(corpus):
    cased = train_vocabulary(corpus, 200)
    assert {"L", "##é", "Low", "low"} <= set(cased)
    kept = train_vocabulary(corpus, 200, lowercase=True, strip_accents=False)
    assert "##é" in kept
    assert "L" not in kept
    often = train_vocabulary(corpus, 200, lowercase=True, min_frequency=7)
    assert set(often) < set(train_vocabulary(corpus, 200, lowercase=True))
    few = train_vocabulary(corpus, 200, lowercase=True, max_alphabet=4)
    assert sorted(t for t in few if len(t) == 1) == sorted("elow")


def test_compressed_files_and_json(tmp_path, corpus):
    packed = tmp_path / "packed.txt.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    expected = train_vocabulary(corpus, 60)
    assert train_vocabulary([str(packed)], 60) == expected
    records = tmp_path / "records.jsonl"
    lines = TEXT.splitlines()
    records.write_text("".join(f'{{"body": "{line}"}}\n' for line in lines))
    assert train_vocabulary([str(records)], 60, text_field="body") == expected


def test_output(tmp_path, corpus):
    output = tmp_path / "vocab.txt"
    tokens = train_vocabulary(corpus, 60, output=str(output))
    assert read_vocabulary(output) == tokens


def test_same_in_every_process(corpus):
    code = (
        "import sys\n"
        "from keras_electra.text.vocabulary import train_vocabulary\n"
        "print(ascii(train_vocabulary(sys.argv[1], 80)))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, corpus],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {ascii(train_vocabulary(corpus, 80)) + "\n"}


def test_errors(tmp_path, corpus):
    with pytest.raises(FileNotFoundError):
        train_vocabulary(str(tmp_path / "*.none"))
    blank = tmp_path / "blank.txt"
    blank.write_text(" \n\n\t\n")
    with pytest.raises(ValueError, match="at least one word"):
        train_vocabulary(str(blank))
    with pytest.raises(ValueError, match="`vocabulary_size` must be at least"):
        train_vocabulary(corpus, 20)


def test_new_characters_become_tokens(tmp_path):
    path = tmp_path / "emoji.txt"
    path.write_text("a \U0001fa70 b\U0001fa70\n" * 2, encoding="utf-8")
    tokens = train_vocabulary(str(path), 20)
    assert {"\U0001fa70", "b\U0001fa70"} <= set(tokens)


# Counting.


@pytest.fixture
def words_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("The cat, the dog.\n\nthe Café " + "x" * 201 + "\n")
    return str(path)


def test_counts(words_file):
    words = {"the": 3, "cat": 1, ",": 1, "dog": 1, ".": 1, "cafe": 1}
    assert count_words([words_file], word_splitter(True)) == words
    cased = count_words([words_file], word_splitter())
    assert (cased["The"], cased["the"], cased["Café"]) == (1, 2, 1)


def test_several_files_and_json(tmp_path, words_file):
    other = tmp_path / "b.jsonl.gz"
    other.write_bytes(gzip.compress(b'{"body": "the end"}\n'))
    words = count_words([words_file, str(other)], word_splitter(True), "body")
    assert (words["the"], words["end"]) == (4, 1)


def test_moving_parts_early_changes_nothing(words_file):
    expected = count_words([words_file], word_splitter())
    assert count_words([words_file], word_splitter(), max_parts=1) == expected


def test_too_many_words(words_file):
    with pytest.warns(UserWarning, match="More than 3 distinct words"):
        words = count_words([words_file], word_splitter(True), max_words=3)
    assert words == {"the": 3}


# Merging.


def base_of(words):
    inner = {character for word in words for character in word[1:]}
    outer = {character for word in words for character in word}
    return sorted(outer) + ["##" + character for character in sorted(inner)]


def merge_slowly(word_counts, base, max_tokens, min_frequency):
    tokens = list(base)
    words = {
        word: [word[0]] + ["##" + character for character in word[1:]]
        for word in word_counts
    }
    while len(tokens) - len(base) < max_tokens:
        pairs = Counter()
        for word, pieces in words.items():
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += word_counts[word]
        if not pairs:
            break
        age = {token: i for i, token in enumerate(tokens)}
        left, right = min(
            pairs, key=lambda p: (-pairs[p], age[p[0]], age[p[1]])
        )
        if pairs[left, right] < min_frequency:
            break
        merged = left + right[2:]
        if merged not in tokens:
            tokens.append(merged)
        for pieces in words.values():
            i = 0
            while i + 1 < len(pieces):
                if (pieces[i], pieces[i + 1]) == (left, right):
                    pieces[i : i + 2] = [merged]
                i += 1
    return tokens[len(base) :]


def test_by_hand():
    words = {"aab": 3, "ab": 5, "b": 9}
    # ("a", "##b") 5; then ("a", "##a") and ("##a", "##b") 3 each: the older.
    merged = merge_pairs(words, base_of(words), 10)
    assert merged == ["ab", "aa", "aab"]
    assert merge_pairs(words, base_of(words), 1) == ["ab"]
    assert merge_pairs(words, base_of(words), 10, min_frequency=4) == ["ab"]
    assert merge_pairs(words, base_of(words), 0) == []


def test_against_the_slow_one():
    draw = random.Random(0)
    for case in range(60):
        letters = "ab" if case % 2 else "abcd"
        words = {
            "".join(draw.choices(letters, k=draw.randint(1, 9))): draw.randint(
                1, 6
            )
            for _ in range(25)
        }
        base = base_of(words)
        expected = merge_slowly(words, base, 60, 2)
        assert merge_pairs(words, base, 60, 2) == expected


def test_order_of_the_words_does_not_matter():
    words = {"abc": 2, "bcd": 2, "cda": 2, "dab": 2}
    reverse = dict(reversed(words.items()))
    base = base_of(words)
    assert merge_pairs(words, base, 9) == merge_pairs(reverse, base, 9)


# Files.

# U+2028 and U+0085 are entries of BERT's Chinese vocabulary or could be.
LISTED = [*SPECIAL_TOKENS, "a", "##é", "\u2028", "\x85", "一"]


def test_round_trip(tmp_path):
    path = tmp_path / "new" / "vocab.txt"
    write_vocabulary(path, LISTED)
    assert path.read_bytes().endswith("一\n".encode())
    assert read_vocabulary(path) == LISTED
    assert load_vocabulary(str(path)) == LISTED
    assert [p.name for p in path.parent.iterdir()] == ["vocab.txt"]


def test_other_addresses():
    write_vocabulary("memory://words/vocab.txt", LISTED)
    assert load_vocabulary("memory://words/vocab.txt") == LISTED


def test_golden_vocabulary(golden):
    tokens = load_vocabulary(golden / "vocab.txt")
    assert tokens == (golden / "vocab.txt").read_text("utf-8").split("\n")[:-1]
    assert set(SPECIAL_TOKENS) <= set(tokens)


def test_line_ends_of_other_systems(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("\r\n".join(LISTED).encode())
    assert read_vocabulary(path) == LISTED


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "vocab.txt"
    write_vocabulary(path, LISTED)
    with pytest.raises(UnicodeEncodeError):
        write_vocabulary(path, ["\ud800"])
    assert read_vocabulary(path) == LISTED
    assert len(list(tmp_path.iterdir())) == 1


def test_errors_of_files(tmp_path):
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
        load_vocabulary(LISTED[:3])
    with pytest.raises(ValueError, match="more than once: 'a'"):
        load_vocabulary(LISTED + ["a"])
    with pytest.raises(ValueError, match=r"index 10: 'b\\n'"):
        load_vocabulary(LISTED + ["b\n"])
    with pytest.raises(TypeError, match="type int at index 10: 3"):
        load_vocabulary(LISTED + [3])
    with pytest.raises(TypeError, match="type int at index 0: 3"):
        load_vocabulary(3)
