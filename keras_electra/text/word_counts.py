"""Count the words of files of any size.

Splitting at white space is cheap; what lies between is counted first and
split into words once, however often it occurs. Memory is bounded: when there
are too many distinct words, the rarest are forgotten. What is forgotten
depends only on the texts and their order.
"""

import warnings
from collections import Counter

from keras_electra.text.corpus import read_lines
from keras_electra.text.normalization import split_at_spaces
from keras_electra.text.word_pieces import MAX_WORD_LENGTH


def count_words(
    files, splitter, text_field="text", max_parts=2**21, max_words=2**21
):
    """Count the words of text files.

    Words of more than 200 characters are left out: they are `[UNK]` whatever
    the vocabulary.

    Args:
        files: iterable of str, as `list_files` returns them.
        splitter: `WordSplitter`.
        text_field: str. See `read_lines`. Defaults to `"text"`.
        max_parts: int. Distinct strings between white space held before they
            are split into words. Defaults to 2 Mi.
        max_words: int. Distinct words beyond which the rarest are forgotten,
            with a warning. Defaults to 2 Mi, about 1 GB.

    Returns:
        dict from word (str) to count (int).
    """
    words, parts = Counter(), Counter()
    size, floor = 0, 0
    for path in files:
        for line in read_lines(path, text_field):
            parts.update(split_at_spaces(line))
            size += len(line)
            # Parts can be long, as in texts without spaces: bound characters
            # as well (64 per part on average).
            if len(parts) > max_parts or size > 64 * max_parts:
                _move(parts, words, splitter)
                size, floor = 0, _prune(words, max_words, floor)
    _move(parts, words, splitter)
    _prune(words, max_words, floor)
    return dict(words)


def _move(parts, words, splitter):
    for part, count in parts.items():
        for word in splitter.split(part):
            if len(word) <= MAX_WORD_LENGTH:
                words[word] += count
    parts.clear()


def _prune(words, max_words, floor):
    """Forget words until there are few enough; returns the new floor."""
    before = len(words)
    while len(words) > max_words:
        floor += 1
        for word in [word for word, count in words.items() if count <= floor]:
            del words[word]
    if len(words) < before:
        warnings.warn(
            f"More than {max_words} distinct words: forgot "
            f"{before - len(words)} of them that were counted at most {floor} "
            "times so far. Their counts may be too low in the end.",
            stacklevel=3,
        )
    return floor
