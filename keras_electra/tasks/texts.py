"""Checks of raw texts, before anything is computed from them."""

import keras


def check_text_columns(x, names=("texts",)):
    """Raises unless inputs are columns of texts that say something.

    Args:
        x: list or array of strings, or a tuple of such columns.
        names: tuple of str. What the columns are, for the message. Defaults
            to `("texts",)`.

    Raises:
        TypeError: when an entry is not a string.
        ValueError: when a text is empty, or the columns differ in length.
    """
    columns = x if isinstance(x, tuple) else (x,)
    columns = [_to_list(column) for column in columns]
    if len({len(column) for column in columns}) != 1:
        raise ValueError(
            "`x` must have as many first as second texts. Received: "
            f"{[len(column) for column in columns]}."
        )
    for place, column in enumerate(columns):
        name = names[min(place, len(names) - 1)]
        for index, text in enumerate(column):
            if not isinstance(text, (str, bytes)):
                raise TypeError(
                    f"`x` must hold {name} as strings. Entry {index} is "
                    f"{text!r} of type {type(text).__name__}."
                )
            if not text.strip():
                raise ValueError(
                    f"`x` must hold {name} that are not empty. Entry {index} "
                    f"is {text!r}. Leave the example out."
                )


def _to_list(column):
    if isinstance(column, (str, bytes)):
        return [column]
    if isinstance(column, (list, tuple)):
        return column
    if keras.ops.is_tensor(column):
        column = keras.ops.convert_to_numpy(column)
    return column.tolist() if hasattr(column, "tolist") else list(column)
