"""Reads files in the style of CoNLL: a word and its columns a line.

The original trains on chunks whose labels also say where a chunk ends
(BIOES), and so do we.
"""

import collections
import re
import typing

from harness.files import BadRows
from harness.files import DataFileError
from harness.files import read_lines
from keras_electra.tasks.token_classifier import find_spans

# What begins a document in some of these files
# (original `tagging_tasks.py:179`).
DOCUMENT = "-DOCSTART-"
OUTSIDE = ("O", "o", "-")
# Letters that are used together, and which of ours a letter is.
SCHEMES = ("BIES", "BILU", "BMES", "BMEW")
SAME = {"L": "E", "U": "S", "M": "I", "W": "S"}
# Before the type, after it, or alone.
FORMS = (
    "(?P<mark>[{}])[-_](?P<kind>.+)",
    "(?P<kind>.+)[-_](?P<mark>[{}])",
    "(?P<mark>[{}])",
)
UNNAMED = "chunk"  # the type where files have none


def read_conll(path, bad_rows=None):
    """Reads sentences with a label a word.

    Columns are separated by tabs in a line that has tabs, else by spaces; the
    first is the word, unless that counts the words, and the last its label.
    Empty lines end a sentence. Comments (`# id ...`, `# text = ...`) may stand
    before one. Labels of chunks become B, I, E or S with a type, whether they
    are BILOU, BMES or BMEWO, or written as `PER-B`, `B_PER` or `b-per`.

    Args:
        path: path of a file, plain or `.gz`.
        bad_rows: `BadRows` that collects lines that are wrong, to be checked
            by the caller; their sentences are left out. Defaults to `None`:
            one of its own.

    Returns:
        `(sentences, labels)`: two lists of lists of strings.

    Raises:
        FileNotFoundError: there is no such file.
        DataFileError: a line has another number of columns than most, or
            fewer than two, or nothing in the first or last, or a label that
            marks no chunk where others do, or there are no sentences.
    """
    bad = bad_rows or BadRows()
    sentences = _read_sentences(path)
    common = collections.Counter(
        len(row.fields) for rows in sentences for row in rows
    )
    width = max(common.most_common(1)[0][0] if common else 0, 2)
    known = {
        row.fields[-1]
        for rows in sentences
        for row in rows
        if len(row.fields) == width
    }
    for rows in sentences:
        while rows and _is_comment(rows[0], width, known):
            del rows[0]
    sentences = [
        rows
        for rows in sentences
        if rows and not _has_bad_rows(rows, path, width, bad)
    ]
    # Some files count the words of each sentence in the first column.
    counts = [[row.fields[0] for row in rows] for rows in sentences]
    counted = width > 2 and max(map(len, counts), default=0) > 1
    counted &= all(c == [str(i + 1) for i in range(len(c))] for c in counts)
    found = collections.Counter(
        row.fields[-1] for rows in sentences for row in rows
    )
    table = _chunk_labels(found)
    sentences, labels = _with_labels(sentences, table, counted, path, bad)
    if bad_rows is None or not sentences:
        bad.check()
    if not sentences:
        raise DataFileError(path, None, "expected sentences, found none.")
    return sentences, labels


class Row(typing.NamedTuple):
    """A line of a file, from 1, and its columns."""

    number: int
    line: str
    fields: list


def _read_sentences(path):
    """Lists of `Row`s, comments included."""
    sentences = [[]]
    for number, line in enumerate(read_lines(path), start=1):
        # White space of other kinds may be within a word.
        fields = line.split("\t") if "\t" in line else line.split(" ")
        fields = [field.strip(" ") for field in fields]
        if "\t" not in line:
            fields = [field for field in fields if field]
        if not line.strip() or fields[0] == DOCUMENT:
            sentences.append([])
        else:
            sentences[-1].append(Row(number, line, fields))
    return sentences


def _is_comment(row, width, labels):
    """Whether the first line of a sentence is none of its words."""
    if not re.match(r"#+\s+\S", row.line):
        return False
    is_setting = re.match(r"#+\s+\w[\w.:-]*( \w+)*\s*=", row.line)
    is_phrase = "\t" in row.line and " " in row.fields[0]
    is_other = len(row.fields) != width and row.fields[-1] not in labels
    return bool(is_setting or is_phrase or is_other)


def _has_bad_rows(rows, path, width, bad):
    before = len(bad.errors)
    for number, line, fields in rows:
        with bad.row():
            if len(fields) != width or not (fields[0] and fields[-1]):
                raise DataFileError(
                    path,
                    number,
                    f"expected {width} columns, a word first and its label "
                    f"last, separated by spaces or tabs. Found {len(fields)}: "
                    f"{line[:80]!r}.",
                )
    return len(bad.errors) > before


def _with_labels(sentences, table, counted, path, bad):
    """Words and labels of `Row`s, without sentences whose labels are wrong."""
    words, labels = [], []
    for rows in sentences:
        before = len(bad.errors)
        for row in rows:
            with bad.row():
                if row.fields[-1] not in table:
                    raise DataFileError(
                        path,
                        row.number,
                        "expected `O` or a label that marks a chunk, as most "
                        f"do here. Found {row.fields[-1]!r}.",
                    )
        if len(bad.errors) == before:
            words.append([row.fields[counted] for row in rows])
            labels.append([table[row.fields[-1]] for row in rows])
    return words, labels


def _chunk_labels(counts):
    """Labels as this file has them -> with B, I, E or S, then a type.

    Args:
        counts: `collections.Counter` of labels.

    Returns:
        dict. Without a label that fits in no way though most words' do; if
        these do not, every label is itself.
    """
    marked = {label: n for label, n in counts.items() if label not in OUTSIDE}
    best = {}
    for letters in SCHEMES:
        for form in FORMS:
            pattern = form.format(letters + letters.lower())
            found = {label: re.fullmatch(pattern, label) for label in marked}
            found = {label: of for label, of in found.items() if of}
            if _total(found, marked) > _total(best, marked):
                best = found
    if 2 * _total(best, marked) <= sum(marked.values()):
        return {label: label for label in counts}
    table = {label: "O" for label in counts if label in OUTSIDE}
    for label, match in best.items():
        letter, kind = match["mark"].upper(), match.groupdict().get("kind")
        table[label] = f"{SAME.get(letter, letter)}-{kind or UNNAMED}"
    return table


def _total(labels, counts):
    return sum(counts[label] for label in labels)


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
