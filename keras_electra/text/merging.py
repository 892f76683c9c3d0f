"""Build the tokens of a WordPiece vocabulary from word counts.

Words start as single characters, `"##"` before all but the first; the pair of
neighbours that occurs most often becomes a token, again and again. Ties go to
the pair whose tokens are older, so the result depends on the counts alone.

Counts are kept up to date for the words that a merge changes, so the work is
about the number of characters in all distinct words.
"""

import heapq
from array import array
from collections import defaultdict

from keras_electra.text.word_pieces import SUFFIX_PREFIX


def merge_pairs(word_counts, base, max_tokens, min_frequency=2):
    """Merge the most frequent pairs of neighbouring tokens.

    Args:
        word_counts: dict from word (str) to how often it occurs (int).
        base: list of str. The tokens of one character, such as `"a"` and
            `"##a"`; they must cover all words.
        max_tokens: int. New tokens to make at most.
        min_frequency: int. Occurrences a pair needs. Defaults to 2.

    Returns:
        List of str: the new tokens in the order they were made.
    """
    pairs = _Pairs(word_counts, base)
    heap = [
        (-count, pair)
        for pair, count in pairs.counts.items()
        if count >= min_frequency
    ]
    heapq.heapify(heap)
    while heap and len(pairs.tokens) - len(base) < max_tokens:
        negative_count, pair = heapq.heappop(heap)
        count = pairs.counts.get(pair, 0)
        if count != -negative_count:
            # Counts fall behind the heap's back. If one rose, the heap has a
            # second entry.
            if min_frequency <= count < -negative_count:
                heapq.heappush(heap, (-count, pair))
            continue
        for risen in pairs.merge(pair):
            count = pairs.counts[risen]
            if count >= min_frequency:
                heapq.heappush(heap, (-count, risen))
    return pairs.tokens[len(base) :]


class _Pairs:
    """Words as lists of token ids, and the pairs of neighbours in them."""

    def __init__(self, word_counts, base):
        self.tokens = list(base)
        self._ids = {token: id for id, token in enumerate(base)}
        self._word_counts = list(word_counts.values())
        self._words = [
            [self._ids[word[0]]]
            + [self._ids[SUFFIX_PREFIX + character] for character in word[1:]]
            for word in word_counts
        ]
        self.counts = defaultdict(int)
        # Indices of words that have or once had the pair.
        self._where = defaultdict(lambda: array("I"))
        for index, word in enumerate(self._words):
            for pair in zip(word, word[1:]):
                self.counts[pair] += self._word_counts[index]
                self._where[pair].append(index)

    def merge(self, pair):
        """Merge a pair everywhere; returns the set of pairs that rose."""
        left, right = pair
        merged = self._id(
            self.tokens[left] + self.tokens[right][len(SUFFIX_PREFIX) :]
        )
        risen = set()
        for index in set(self._where.pop(pair)):
            word = self._words[index]
            count = self._word_counts[index]
            i = 0
            while i < len(word) - 1:
                if word[i] == left and word[i + 1] == right:
                    word[i : i + 2] = [merged]
                    if i > 0:
                        before = word[i - 1]
                        self.counts[before, left] -= count
                        self._add((before, merged), count, index, risen)
                    if i + 1 < len(word):
                        after = word[i + 1]
                        self.counts[right, after] -= count
                        self._add((merged, after), count, index, risen)
                i += 1
        del self.counts[pair]
        risen.discard(pair)
        return risen

    def _id(self, token):
        # Two pairs may spell the same: "a" + "##bc" and "ab" + "##c".
        if token not in self._ids:
            self._ids[token] = len(self.tokens)
            self.tokens.append(token)
        return self._ids[token]

    def _add(self, pair, count, index, risen):
        self.counts[pair] += count
        self._where[pair].append(index)
        risen.add(pair)
