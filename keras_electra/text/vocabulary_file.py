"""Vocabulary files: one token a line, its id is the line number from 0.

The format of the original and of KerasHub. What cannot be a vocabulary of
ELECTRA is refused here, and nothing is repaired: an entry added or dropped
would change the ids that a trained model knows.
"""

import os
from collections import Counter
from collections.abc import Iterable

import fsspec

# In this order and at the start, as in the original's vocabularies; only our
# own vocabularies rely on it, ids are always looked up.
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def load_vocabulary(vocabulary):
    """Get the tokens of a list or of a file, checked.

    Args:
        vocabulary: list of str, or path of a vocabulary file.

    Returns:
        List of str.

    Raises:
        TypeError: if it is neither, or if a token is not a string.
        ValueError: if a special token is missing, if a token comes twice, or
            if the file is not UTF-8 text.
        FileNotFoundError: if there is no such file.
    """
    if isinstance(vocabulary, (str, os.PathLike)):
        tokens = read_vocabulary(vocabulary)
        _check(tokens, f"The vocabulary {os.fspath(vocabulary)!r}")
    elif isinstance(vocabulary, Iterable):
        tokens = list(vocabulary)
        _check(tokens, "`vocabulary`")
    else:
        raise TypeError(
            "`vocabulary` must be a list of tokens or the path of a file with "
            f"one token a line. Received: {vocabulary!r}."
        )
    return tokens


def read_vocabulary(path):
    """Read a vocabulary file, one token a line.

    Args:
        path: str or path, local or any `fsspec` address.

    Returns:
        List of str. The id of a token is its line number, from 0.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not UTF-8 text.
    """
    path = os.fspath(path)
    try:
        with fsspec.open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FileNotFoundError(
            f"There is no vocabulary file {path!r}. `vocabulary` must be a "
            "list of tokens or the path of a file with one token a line."
        ) from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"The vocabulary {path!r} must be UTF-8 text with one token a "
            f"line, but its byte {error.start} is not ({error.reason}). "
            "Convert it, such as with `iconv`, or give the right file."
        ) from error
    # Tokens may hold separators that `str.splitlines` would split at.
    lines = text.removesuffix("\n").split("\n")
    return [line.strip(" \t\r") for line in lines]


def write_vocabulary(path, vocabulary):
    """Write a vocabulary file (UTF-8), whole or not at all.

    Args:
        path: str or path, local or any `fsspec` address.
        vocabulary: list of str.
    """
    path = os.fspath(path)
    content = "".join(f"{token}\n" for token in vocabulary).encode("utf-8")
    if "://" in path:
        # Object stores show a file once it is complete.
        with fsspec.open(path, "wb") as file:
            file.write(content)
        return
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    partial = f"{path}.{os.getpid()}.partial"
    try:
        with open(partial, "wb") as file:
            file.write(content)
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def _check(tokens, source):
    """Raise unless `tokens` can serve; `source` is its name in errors."""
    counts = Counter()
    for id, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(
                f"{source} must be a list of strings. Received an item of "
                f"type {type(token).__name__} at index {id}: {token!r}."
            )
        if "\n" in token or token != token.strip(" \t\r"):
            raise ValueError(
                f"{source} must have no tokens with spaces around them or line "
                f"ends in them. Received at index {id}: {token!r}. Strip it."
            )
        counts[token] += 1
    missing = [token for token in SPECIAL_TOKENS if token not in counts]
    if missing:
        raise ValueError(
            f"{source} lacks the special token{'s'[: len(missing) - 1]} "
            f"{', '.join(missing)} (it has {len(counts)} entries). Use the "
            "vocabulary the model was trained with; a new one comes from "
            "`train_vocabulary`. Nothing is added by itself, because that "
            "would change ids."
        )
    repeated = [token for token, count in counts.items() if count > 1]
    if repeated:
        raise ValueError(
            f"{source} must have every token once. Received more than once: "
            f"{', '.join(map(repr, repeated[:5]))}"
            f"{', ...' if len(repeated) > 5 else ''}. Take them out of a list; "
            "in the file of a trained model look for what damaged it."
        )
