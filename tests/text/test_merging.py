"""Merges, against a slow implementation that is easy to read."""

import random
from collections import Counter

from keras_electra.text.merging import merge_pairs


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
