"""Reads questions in the form of SQuAD, versions 1.1 and 2.0."""

import dataclasses
import json

from harness.files import BadRows
from harness.files import DataFileError
from harness.files import read_text

# Values of `is_impossible`, as lower-case strings; many files have none.
FLAGS = {"true": True, "false": False, "1": True, "0": False, "none": False}


@dataclasses.dataclass
class Questions:
    """Questions about texts.

    Attributes:
        ids: list of strings.
        questions: list of strings.
        contexts: list of strings.
        answers: list of lists of `(text, start)`, empty where the context has
            no answer.
    """

    ids: list
    questions: list
    contexts: list
    answers: list

    def __len__(self):
        return len(self.ids)

    def first(self, limit):
        """The first `limit` questions, or all for `None`."""
        columns = (self.ids, self.questions, self.contexts, self.answers)
        return Questions(*(column[:limit] for column in columns))

    @property
    def golds(self):
        """For each question the texts of its answers."""
        return [[text for text, _ in answers] for answers in self.answers]


def read_squad(*paths, bad_rows=None):
    """Reads files in the form of SQuAD.

    Ids may be numbers. An answer that is not where its place says is taken to
    be where its text is, if that is in the context once.

    Args:
        *paths: paths of files, plain or `.gz`; their questions are joined.
        bad_rows: `BadRows` that collects questions that are wrong, to be
            checked by the caller. Defaults to `None`: one of its own.

    Returns:
        `Questions`.

    Raises:
        FileNotFoundError: there is no such file.
        DataFileError: a file is not JSON (the message has the line), lacks a
            field, holds an answer that is not in its context, or a question
            twice.
    """
    bad, rows = bad_rows or BadRows(), {}
    for path in paths:
        for place, context, entry in _entries(_read_json(path), path, bad):
            with bad.row():
                key, *row = _question(context, entry, place, path, bad)
                if key in rows:
                    raise DataFileError(
                        path,
                        None,
                        f"expected each question once. {key!r} is twice "
                        f"({place}).",
                    )
                rows[key] = row
    if bad_rows is None or not rows:
        bad.check()
    if not rows:
        raise DataFileError(paths[0], None, "expected questions, found none.")
    return Questions(list(rows), *map(list, zip(*rows.values())))


def _read_json(path):
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataFileError):
            raise
        line = getattr(error, "lineno", None)
        raise DataFileError(path, line, f"expected JSON. {error}") from error
    return content if isinstance(content, dict) else {}


def _entries(content, path, bad):
    """Place, context and entry of each question."""
    for i, article in enumerate(_field(content, "data", list, "top", path)):
        place, paragraphs = f"data[{i}]", []
        with bad.row():
            paragraphs = _field(article, "paragraphs", list, place, path)
        for j, paragraph in enumerate(paragraphs):
            where, entries = f"{place}.paragraphs[{j}]", []
            with bad.row():
                entries = _field(paragraph, "qas", list, where, path)
            for k, entry in enumerate(entries):
                yield f"{where}.qas[{k}]", paragraph.get("context"), entry


def _question(context, entry, place, path, bad):
    """Id, question, context and answers."""
    entry = entry if isinstance(entry, dict) else {}
    key = entry.get("id")
    if isinstance(key, (int, float)) and _whole(key) is not None:
        key = str(_whole(key))
    entry = {**entry, "id": key}
    _field(entry, "id", str, place, path)
    question = _field(entry, "question", str, place, path)
    context = _field({"context": context}, "context", str, place, path)
    return key, question, context, _answers(entry, context, place, path, bad)


def _field(entry, name, kind, place, path):
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, kind) or kind is str and not value.strip():
        raise DataFileError(
            path,
            None,
            f"expected {name!r} of type {kind.__name__} in {place}, not "
            f"empty. Found {value!r:.80}.",
        )
    return value


def _whole(value, otherwise=None):
    """A number, or the string of one, that is whole, as an int."""
    try:
        number = None if isinstance(value, bool) else float(value)
        return int(number) if number == int(number) else otherwise
    except (TypeError, ValueError, OverflowError):
        return otherwise


def _answers(entry, context, place, path, bad):
    flag = str(entry.get("is_impossible")).strip().lower()
    if flag not in FLAGS:
        raise DataFileError(
            path,
            None,
            f"expected 'is_impossible' to be true or false in {place}. Found "
            f"{entry['is_impossible']!r:.80}.",
        )
    given = entry.get("answers")
    given = [
        answer
        for answer in (given if isinstance(given, list) else [])
        if not isinstance(answer, dict) or answer.get("text") != ""
    ]
    if FLAGS[flag] == bool(given):
        raise DataFileError(
            path,
            None,
            f"expected answers to question {entry['id']!r} ({place}), or "
            f"'is_impossible': true. Found {'both' if given else 'neither'}.",
        )
    return [
        _answer(answer, entry, context, place, path, bad) for answer in given
    ]


def _answer(answer, entry, context, place, path, bad):
    """The text and its first character in the context."""
    text = _field(answer, "text", str, f"{place}.answers", path)
    start = _whole(answer.get("answer_start"), -1)
    if start >= 0 and context[start : start + len(text)] == text:
        return text, start
    for text in (text, text.strip()):
        found = context.find(text)
        if found >= 0 and found == context.rfind(text):
            bad.repaired += 1
            return text, found
    there = context[start : start + len(text)] if start >= 0 else ""
    raise DataFileError(
        path,
        None,
        f"expected the answer to question {entry['id']!r} ({place}) at "
        f"character {answer.get('answer_start')!r} of its context, or once "
        f"anywhere in it. The answer is {text!r:.80}, the context has "
        f"{there!r:.80} there.",
    )
