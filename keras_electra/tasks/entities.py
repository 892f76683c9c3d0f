"""Labels of words -> the stretches they mark, such as names or chunks."""

import typing


class Entity(typing.NamedTuple):
    """A stretch of words that bear one label together.

    Attributes:
        label: string, without its prefix, such as `"NP"`.
        start: int. Number of the first word.
        end: int. Number of the word after the last.
        text: string. The words, joined by spaces.
        probability: float. The least of its words' probabilities.
    """

    label: str
    start: int
    end: int
    text: str
    probability: float


def find_spans(tags):
    """Reads tags of BIO, IOB and BIOES (also BILOU) as conlleval does.

    A span begins at `B-` and `S-` (`U-`), and wherever `I-` or `E-` (`L-`)
    follows something of another label or outside; it ends with `E-`, `S-`.

    Args:
        tags: list of str, such as `["B-NP", "I-NP", "O"]`.

    Returns:
        List of `(label, start, end)`; `end` is the word after the last.

    Raises:
        ValueError: when a tag has no such prefix.

    Example:
    ```python
    find_spans(["B-NP", "I-NP", "O", "S-VP"])
    # [("NP", 0, 2), ("VP", 3, 4)]
    ```
    """
    spans, label, start = [], None, 0
    for i, tag in enumerate(tags):
        prefix, own = _parse(tag)
        goes_on = prefix in "IEL" and own == label
        if label is not None and not goes_on:
            spans.append((label, start, i))
            label = None
        if prefix == "O":
            continue
        if not goes_on:
            label, start = own, i
        if prefix in "ESLU":
            spans.append((label, start, i + 1))
            label = None
    if label is not None:
        spans.append((label, start, len(tags)))
    return spans


def _parse(tag):
    prefix, dash, label = str(tag).partition("-")
    if tag == "O":
        return "O", None
    if not dash or prefix not in ("B", "I", "E", "S", "L", "U"):
        raise ValueError(
            "Spans are read from tags such as `B-NP`, `I-NP` and `O`. "
            f"Received: {tag!r}."
        )
    return prefix, label
