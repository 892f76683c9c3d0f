"""Sentences of words -> rows of word pieces, and where each word begins.

A word is judged by its first piece. Words are words already, so they are not
split further at CJK characters, as in the original
(`tagging_tasks.py:213-233`).
"""

import typing

from keras_electra.tasks.windows import split_windows


class TaggingRow(typing.NamedTuple):
    """A row of pieces, of a whole sentence or of a window of a long one.

    Attributes:
        ids: list of int, with `[CLS]` and `[SEP]`.
        sentence: int. Number of the sentence.
        words: list of int. Numbers of the words judged in this row.
        positions: list of int. Where in `ids` each of them begins.
    """

    ids: list
    sentence: int
    words: list
    positions: list


def window_rows(sentences, tokenizer, length):
    """Splits sentences into rows; every word is judged in exactly one.

    Long sentences are read in windows that overlap by half, and a word is
    judged where it has most text around it. A word of no characters that the
    tokenizer keeps is `[UNK]`.

    Args:
        sentences: list of lists of str, words.
        tokenizer: `ElectraTokenizer`.
        length: int. Most tokens of a row.

    Returns:
        List of `TaggingRow`, in order.
    """
    rows = []
    for number, words in enumerate(sentences):
        pieces, starts = [], []
        for ids in tokenizer.encode_batch(words):
            starts.append(len(pieces))
            pieces += ids or [tokenizer.unk_token_id]
        for window in split_windows(len(pieces), length - 2):
            judged = [
                i
                for i, start in enumerate(starts)
                if window.first <= start < window.last
            ]
            ids = [
                tokenizer.cls_token_id,
                *pieces[window.start : window.stop],
                tokenizer.sep_token_id,
            ]
            positions = [1 + starts[i] - window.start for i in judged]
            rows.append(TaggingRow(ids, number, judged, positions))
    return rows


def original_rows(sentences, tokenizer, length):
    """Makes the rows of the original program, one a sentence.

    They lose words: the room left is counted in all words of the sentence
    plus the pieces so far (`tagging_tasks.py:138-140`), so of a sentence of
    more than half a row little is left. A word `[CLS]` or `[SEP]` becomes the
    special token and is not judged, and the labels of the words after it
    move to the word before. A word without pieces shares the position of
    the next. For comparison, not for use.

    Args:
        sentences: list of lists of str, words.
        tokenizer: `ElectraTokenizer`.
        length: int. Most tokens of a row.

    Returns:
        List of `TaggingRow`. `words[i]` is the number of the label that
        belongs to `positions[i]`.
    """
    special = {
        tokenizer.cls_token: tokenizer.cls_token_id,
        tokenizer.sep_token: tokenizer.sep_token_id,
    }
    rows = []
    for number, words in enumerate(sentences):
        pieces = [[tokenizer.cls_token_id]]
        pieces += tokenizer.encode_batch(words)
        pieces.append([tokenizer.sep_token_id])
        ids, positions = [], []
        for i, (word, own) in enumerate(zip(["", *words, ""], pieces)):
            if len(pieces) + len(ids) + 1 > length:
                ids.append(tokenizer.sep_token_id)
                break
            if word in special:
                own = [special[word]]
            elif 0 < i <= len(words):
                positions.append(len(ids))
            ids += own
        judged = list(range(len(positions)))
        rows.append(TaggingRow(ids, number, judged, positions))
    return rows


RULES = {"windows": window_rows, "original": original_rows}
