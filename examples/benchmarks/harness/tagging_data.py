"""Reads files in the style of CoNLL: a word and its columns a line.

The original trains on chunks whose labels also say where a chunk ends
(BIOES), and so do we.
"""

import re

from harness.files import DataFileError
from harness.files import read_lines
from keras_electra.tasks.token_classifier import find_spans

# What begins a document in some of these files
# (original `tagging_tasks.py:179`).
DOCUMENT = "-DOCSTART-"


def read_conll(path):
    """Reads sentences with a label a word.

    Columns are separated by white space; the first is the word, the last its
    label. Empty lines end a sentence.

    Args:
        path: path of a file, plain or `.gz`.

    Returns:
        `(sentences, labels)`: two lists of lists of strings.

    Raises:
        FileNotFoundError: there is no such file.
        DataFileError: a line has another number of columns than the first,
            or fewer than two, or there are no sentences.
    """
    sentences, labels = [[]], [[]]
    width = None
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if not fields:
            sentences.append([])
            labels.append([])
            continue
        if fields[0] == DOCUMENT:
            continue
        width = width or len(fields)
        if len(fields) != width or width < 2:
            raise DataFileError(
                path,
                number,
                f"expected {max(width, 2)} columns, a word first and its "
                f"label last, separated by spaces or tabs. Found "
                f"{len(fields)}: {line[:80]!r}.",
            )
        sentences[-1].append(fields[0])
        labels[-1].append(fields[-1])
    sentences = [words for words in sentences if words]
    labels = [row for row in labels if row]
    if not sentences:
        raise DataFileError(path, None, "expected sentences, found none.")
    return sentences, labels


def are_chunks(labels):
    """Whether all labels mark chunks: `O`, or B, I, E or S with a type."""
    return all(
        re.fullmatch(r"O|[BIES]-.+", label)
        for label in {label for row in labels for label in row}
    )


def to_bioes(tags):
    """The same chunks with their ends marked.

    Args:
        tags: list of strings such as `B-NP`, `I-NP` and `O`.

    Returns:
        list of strings: `S-` for a chunk of one word, `B-`, `I-` and `E-` for
        the first, the middle and the last of several.
    """
    marked = ["O"] * len(tags)
    for kind, start, end in find_spans(tags):
        marked[start:end] = [f"I-{kind}"] * (end - start)
        marked[start], marked[end - 1] = f"B-{kind}", f"E-{kind}"
        if end - start == 1:
            marked[start] = f"S-{kind}"
    return marked
