"""A text that is longer than the network, in overlapping windows."""

import typing


class Window(typing.NamedTuple):
    """A stretch of a text that is read, and the part of it that is judged.

    Attributes:
        start: int. First token read.
        stop: int. Token after the last one read.
        first: int. First token judged.
        last: int. Token after the last one judged.
    """

    start: int
    stop: int
    first: int
    last: int


def split_windows(count, room):
    """Covers `count` tokens by windows of `room` that overlap by half.

    Every token is judged once, where two windows overlap by the one whose
    border is farther away.

    Args:
        count: int. Tokens of the text.
        room: int >= 1. Tokens a window has room for.

    Returns:
        List of `Window`, empty for an empty text.

    Example:
    ```python
    split_windows(7, 4)
    # [Window(0, 4, 0, 3), Window(2, 6, 3, 4), Window(3, 7, 4, 7)]
    ```
    """
    if not count:
        return []
    final = max(0, count - room)
    starts = [*range(0, final, max(1, room // 2)), final]
    borders = [
        (left + room + right) // 2 for left, right in zip(starts, starts[1:])
    ]
    borders = [0, *borders, count]
    return [
        Window(start, min(start + room, count), first, last)
        for start, first, last in zip(starts, borders, borders[1:])
    ]
