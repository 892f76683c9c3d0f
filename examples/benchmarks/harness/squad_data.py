"""Reads questions in the form of SQuAD, versions 1.1 and 2.0."""

import dataclasses
import json

from harness.files import DataFileError
from harness.files import read_text


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


def read_squad(*paths):
    """Reads files in the form of SQuAD.

    Args:
        *paths: paths of files, plain or `.gz`; their questions are joined.

    Returns:
        `Questions`.

    Raises:
        FileNotFoundError: there is no such file.
        DataFileError: a file is not JSON (the message has the line), lacks a
            field, holds an answer that is not in its context where it says,
            or a question twice.
    """
    found = Questions([], [], [], [])
    for path in paths:
        text = read_text(path)
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataFileError(
                path,
                error.lineno,
                f"expected JSON. {error.msg} at column {error.colno}.",
            ) from error
        for place, paragraph in _paragraphs(content, path):
            context = _field(paragraph, "context", str, place, path)
            for i, entry in enumerate(
                _field(paragraph, "qas", list, place, path)
            ):
                where = f"{place}.qas[{i}]"
                found.ids.append(_field(entry, "id", str, where, path))
                found.questions.append(
                    _field(entry, "question", str, where, path)
                )
                found.contexts.append(context)
                found.answers.append(_answers(entry, context, where, path))
    if len(set(found.ids)) != len(found):
        twice = next(i for i in found.ids if found.ids.count(i) > 1)
        raise DataFileError(
            paths[-1], None, f"expected each question once. {twice!r} is twice."
        )
    return found


def _paragraphs(content, path):
    if not isinstance(content, dict):
        content = {}
    for i, article in enumerate(_field(content, "data", list, "top", path)):
        place = f"data[{i}]"
        for j, paragraph in enumerate(
            _field(article, "paragraphs", list, place, path)
        ):
            yield f"{place}.paragraphs[{j}]", paragraph


def _field(entry, name, kind, place, path):
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, kind) or kind is str and not value.strip():
        raise DataFileError(
            path,
            None,
            f"expected {name!r} of type {kind.__name__} in {place}, not "
            f"empty. Found {value!r}.",
        )
    return value


def _answers(entry, context, place, path):
    if entry.get("is_impossible"):
        return []
    answers = []
    for answer in _field(entry, "answers", list, place, path):
        text = _field(answer, "text", str, f"{place}.answers", path)
        start = _field(answer, "answer_start", int, f"{place}.answers", path)
        if context[start : start + len(text)] != text:
            raise DataFileError(
                path,
                None,
                f"expected the answer to question {entry['id']!r} ({place}) "
                f"at character {start} of its context. The answer is "
                f"{text!r}, the context has "
                f"{context[start : start + len(text)]!r} there.",
            )
        answers.append((text, start))
    if not answers:
        raise DataFileError(
            path,
            None,
            f"expected answers to question {entry['id']!r} ({place}), or "
            "'is_impossible': true. Found neither.",
        )
    return answers
