"""Lines of the data files of the harnesses, plain or packed.

Errors are about a line of a file, so that it can be found, and all of a data
set come at once.
"""

import contextlib
import gzip
import pathlib
import sys

SHOWN = 10  # places that a report of bad rows names


class DataFileError(ValueError):
    """A data file that does not have the form it should have.

    Args:
        path: path of the file.
        line: int, number of the line, from 1, or `None` for the whole file.
        message: string. What was expected and what was found.
    """

    def __init__(self, path, line, message):
        self.path, self.line = path, line
        place = f"{path}" if line is None else f"{path}, line {line}"
        super().__init__(f"{place}: {message}")


class BadRows:
    """Collects what is wrong in the rows of data files.

    Args:
        skip: bool. Whether `check` goes on without these rows, which it
            prints, rather than raise an error. Defaults to `False`.

    Attributes:
        errors: list of `DataFileError`, one a row.
        repaired: int. Answers whose wrong place their text has shown.
    """

    def __init__(self, skip=False):
        self.skip, self.errors, self.repaired = skip, [], 0

    @contextlib.contextmanager
    def row(self):
        """Inside, a `DataFileError` is noted and ends no more than the row."""
        try:
            yield
        except DataFileError as error:
            self.errors.append(error)

    def check(self):
        """Reports everything at once.

        Raises:
            DataFileError: rows are bad, and `skip` is false.
        """
        if self.repaired:
            print(
                f"{self.repaired} answers were not where their place says and "
                "are found by their text, which is there once.",
                file=sys.stderr,
            )
        if not self.errors:
            return
        count, first = len(self.errors), self.errors[0]
        shown = "\n".join(f"  {error}" for error in self.errors[:SHOWN])
        what = f"{count} bad row{'s'[: count - 1]}, first:\n{shown}\n"
        if not self.skip:
            raise DataFileError(
                first.path,
                first.line,
                f"{what}Correct them, or go on without them by "
                "--skip-bad-rows, which the results will say.",
            )
        print(f"Skipped {what}", end="", file=sys.stderr)

    @property
    def settings(self):
        """What it changed in the data, for the settings of a run: a dict."""
        skipped = len(self.errors) if self.skip else 0
        counts = {"skipped_rows": skipped, "repaired_answers": self.repaired}
        return {name: count for name, count in counts.items() if count}


def find_file(folder, name, ending):
    """The path of a file that may be packed.

    Args:
        folder: path.
        name: string, without its ending.
        ending: string, e.g. `".tsv"`; `.gz` may follow.

    Returns:
        A `pathlib.Path`.

    Raises:
        FileNotFoundError: there is no such file.
    """
    for suffix in ("", ".gz"):
        path = pathlib.Path(folder) / f"{name}{ending}{suffix}"
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"Expected {name}{ending} or {name}{ending}.gz in {folder}, and found "
        "neither. Give the folder that holds the data of all tasks, and the "
        "names of the splits if they are others."
    )


def read_text(path):
    """The text of a file in UTF-8, unpacked if its name ends in `.gz`.

    Args:
        path: path.

    Returns:
        string.

    Raises:
        DataFileError: it is not UTF-8, or cannot be unpacked.
    """
    path = pathlib.Path(path)
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise DataFileError(
                path, None, f"expected a gzip file. {error}"
            ) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataFileError(
            path, line, f"expected text in UTF-8. {error}"
        ) from error


def read_lines(path):
    r"""The lines of a file; only `\n` and `\r\n` end one.

    Args:
        path: path.

    Returns:
        A list of strings without their ends.

    Raises:
        DataFileError: as `read_text`.
    """
    lines = read_text(path).split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
