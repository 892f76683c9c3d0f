"""Reads the files of GLUE: tab-separated, without quoting.

A malformed line is an error with its number, and all come at once: the
original program logs such lines and goes on without them.
"""

import dataclasses

import numpy as np

from harness.files import BadRows
from harness.files import DataFileError
from harness.files import find_file
from harness.files import read_lines


@dataclasses.dataclass
class Examples:
    """Texts with their labels.

    Attributes:
        texts: tuple of one or two lists of strings, the texts or the pairs.
        labels: array of class numbers (int32) or scores (float32), or `None`
            where the file has none.
    """

    texts: tuple
    labels: np.ndarray | None

    def __len__(self):
        return len(self.texts[0])

    def first(self, limit):
        """The first `limit` examples, or all for `None`."""
        return Examples(
            tuple(column[:limit] for column in self.texts),
            None if self.labels is None else self.labels[:limit],
        )

    @property
    def x(self):
        """What a classifier takes: a list of texts, or a tuple of two."""
        return self.texts if len(self.texts) > 1 else self.texts[0]


def read_glue(folder, recipe, split, labelled=True, bad_rows=None):
    """Reads one file of a task. Empty lines mean nothing.

    Args:
        folder: path of the task's folder.
        recipe: `GlueRecipe`.
        split: string, name of the file without its ending.
        labelled: bool. Whether to read labels. Defaults to `True`.
        bad_rows: `BadRows` that collects lines that are wrong, to be checked
            by the caller. Defaults to `None`: one of its own.

    Returns:
        `Examples`.

    Raises:
        FileNotFoundError: there is no such file.
        DataFileError: a column is missing, a line has not as many columns as
            there should be, a text is empty, or a label is not one.
    """
    path = find_file(folder, split, ".tsv")
    lines = read_lines(path)
    # The files for testing have a first line of names in every task.
    if recipe.positions and labelled:
        positions, width, first = recipe.positions, None, 0
    else:
        names = lines[0].split("\t") if lines else []
        wanted = recipe.columns if labelled else recipe.text_columns
        missing = [name for name in wanted if name not in names]
        if missing:
            raise DataFileError(
                path,
                1,
                f"expected a line of names with {', '.join(wanted)} in it, "
                f"separated by tabs. Missing: {', '.join(missing)}. Found: "
                f"{', '.join(map(repr, names))}.",
            )
        positions = {name: names.index(name) for name in wanted}
        width, first = len(names), 1
    width = width or len(lines[0].split("\t") if lines else ())
    rows, bad = [], bad_rows or BadRows()
    for number, line in enumerate(lines[first:], start=first + 1):
        if not line.strip(" "):
            continue
        with bad.row():
            fields = line.split("\t")
            if len(fields) != width or width <= max(positions.values()):
                raise DataFileError(
                    path,
                    number,
                    f"expected {max(width, max(positions.values()) + 1)} "
                    f"columns, separated by tabs. Found {len(fields)}: "
                    f"{line[:80]!r}.",
                )
            row = _row(recipe, fields, positions, path, number, labelled)
            rows.append(row)
    if bad_rows is None or not rows:
        bad.check()
    if not rows:
        raise DataFileError(path, None, "expected examples, found none.")
    *texts, labels = zip(*rows)
    dtype = "int32" if recipe.labels else "float32"
    return Examples(
        tuple(list(column) for column in texts),
        np.array(labels, dtype) if labelled else None,
    )


def both_orders(examples):
    """Every pair, and then every pair the other way round.

    Original `classification_tasks.py:355-361, 430-439`.

    Args:
        examples: `Examples` of pairs.

    Returns:
        `Examples`, twice as many.
    """
    first, second = examples.texts
    return Examples(
        (first + second, second + first),
        np.concatenate([examples.labels, examples.labels]),
    )


def _row(recipe, fields, positions, path, number, labelled):
    texts = [fields[positions[name]] for name in recipe.text_columns]
    for name, text in zip(recipe.text_columns, texts):
        if not text.strip():
            raise DataFileError(
                path, number, f"expected a text in {name!r}, found nothing."
            )
    if not labelled:
        return (*texts, None)
    label = fields[positions[recipe.columns[-1]]].strip()
    if recipe.labels:
        if label not in recipe.labels:
            raise DataFileError(
                path,
                number,
                f"expected a label out of {', '.join(recipe.labels)}. "
                f"Found {label!r}.",
            )
        return (*texts, recipe.labels.index(label))
    low, high = recipe.score_range
    try:
        score = float(label)
    except ValueError:
        score = float("nan")
    if not low <= score <= high:
        raise DataFileError(
            path,
            number,
            f"expected a score from {low} to {high}. Found {label!r}.",
        )
    return (*texts, score)
