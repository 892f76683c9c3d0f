"""Token ids through the network of a task, past its preprocessor.

`predict` of a task starts from texts and pads every row to `sequence_length`.
Whoever asks about single tokens has their ids already, and a sentence need
not be padded to 512 tokens. Where shapes are compiled, lengths are rounded up
to few of them; the price is up to a third of a row of padding.
"""

import keras
import numpy as np
from keras import ops

SHORTEST = 8


def check_texts(texts, method):
    """Takes one text or several.

    Args:
        texts: string or list of strings.
        method: string. Name of the caller, for the message.

    Returns:
        `(texts, is_one)`: list of strings, and whether it was one string.

    Raises:
        TypeError: when it is neither.
    """
    if isinstance(texts, str):
        return [texts], True
    if not isinstance(texts, (list, tuple, np.ndarray)):
        raise TypeError(
            f"`{method}` takes a string or a list of strings. "
            f"Received: {texts!r} of type {type(texts).__name__}."
        )
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(
                f"`{method}` takes a string or a list of strings. The list "
                f"holds {text!r} of type {type(text).__name__}."
            )
    return [str(text) for text in texts], False


def require_tokenizer(task, method):
    """The tokenizer of a task.

    Args:
        task: a KerasHub task.
        method: string. Name of the caller, for the message.

    Returns:
        An `ElectraTokenizer`.

    Raises:
        ValueError: when the task has no preprocessor.
    """
    if task.preprocessor is None:
        raise ValueError(
            f"`{method}` needs a tokenizer, but `preprocessor` is None. Build "
            f"the {type(task).__name__} with a `preprocessor`, or open it "
            "with `from_preset`."
        )
    return task.preprocessor.tokenizer


def text_length(task):
    """Most tokens of a text that fit a row beside `[CLS]` and `[SEP]`."""
    positions = task.backbone.max_sequence_length
    return min(task.preprocessor.sequence_length, positions) - 2


def round_up(size, limit, shortest=SHORTEST):
    """The length to compute with: few of them where each is compiled.

    That is the next power of two, or three quarters of it if that is enough.
    torch compiles nothing, and takes any size as it is.

    Args:
        size: int, what is needed.
        limit: int, the most to return.
        shortest: int, the least to return where lengths are rounded.

    Returns:
        int.
    """
    if keras.config.backend() == "torch":
        return min(size, limit)
    rounded = max(shortest, 1 << max(0, size - 1).bit_length())
    if shortest < size <= rounded * 3 // 4:
        rounded = rounded * 3 // 4
    return min(rounded, limit)


def pack_rows(rows, tokenizer, length):
    """Puts `[CLS]` and `[SEP]` around ids and pads them.

    Args:
        rows: list of lists of int, each of at most `length - 2` ids.
        tokenizer: `ElectraTokenizer`.
        length: int. Length of the rows, in tokens.

    Returns:
        A dict of int32 arrays of shape `(batch, length)`: `token_ids`,
        `segment_ids`, `padding_mask`.
    """
    shape = (len(rows), length)
    token_ids = np.full(shape, tokenizer.pad_token_id, "int32")
    padding_mask = np.zeros(shape, "int32")
    for row, ids in enumerate(rows):
        size = len(ids) + 2
        token_ids[row, :size] = [
            tokenizer.cls_token_id,
            *ids,
            tokenizer.sep_token_id,
        ]
        padding_mask[row, :size] = 1
    return {
        "token_ids": token_ids,
        "segment_ids": np.zeros(shape, "int32"),
        "padding_mask": padding_mask,
    }


def predict_rows(task, rows, batch_size=32, positions=None):
    """Runs lists of ids through a task, batch by batch.

    Args:
        task: a task with a preprocessor.
        rows: list of lists of int without special tokens, each of at most
            `text_length(task)` ids.
        batch_size: int. Rows computed together. Defaults to `32`.
        positions: list of lists of int, or `None`. For each row the places,
            counted in the ids, that go into `mask_positions`.

    Yields:
        float32 array for each row: the network's output for its padded ids,
        `[CLS]` first.
    """
    tokenizer, limit = task.preprocessor.tokenizer, text_length(task) + 2
    for first in range(0, len(rows), batch_size):
        batch = slice(first, first + batch_size)
        longest = max(len(ids) for ids in rows[batch]) + 2
        x = pack_rows(rows[batch], tokenizer, round_up(longest, limit))
        if positions is not None:
            x["mask_positions"] = _pad_positions(positions[batch])
        x = {name: ops.convert_to_tensor(array) for name, array in x.items()}
        # Keras' own method: the task's would run the preprocessor.
        outputs = keras.Model.predict_on_batch(task, x)
        # float32: what follows is a softmax or a sigmoid.
        yield from np.asarray(outputs, "float32")


def batches_by_length(columns, batch_size):
    """Which texts to compute together, so that little is padding.

    Args:
        columns: tuple of lists of strings: texts, or the parts of pairs.
        batch_size: int.

    Returns:
        List of lists of positions in the columns, the longest texts first:
        what does not fit into memory fails at once.
    """
    lengths = [sum(map(len, parts)) for parts in zip(*columns)]
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    starts = range(0, len(order), batch_size)
    return [order[start : start + batch_size] for start in starts]


def predict_short(task, x):
    """Runs one batch of rows through a task, cut to what they need.

    Args:
        task: a built task.
        x: dict of arrays of shape `(batch, ..., length)` with `padding_mask`;
            what has no such shape is not cut.

    Returns:
        The network's output, float32 arrays for the real ones.
    """
    mask = np.asarray(x["padding_mask"])
    length = mask.shape[-1]
    used = int(np.max(np.nonzero(mask)[-1], initial=0)) + 1
    short = round_up(used, length)
    x = {
        name: ops.convert_to_tensor(
            array[..., :short] if np.shape(array) == mask.shape else array
        )
        for name, array in x.items()
    }
    outputs = keras.Model.predict_on_batch(task, x)
    return keras.tree.map_structure(
        lambda array: np.asarray(
            array, "int32" if "int" in str(array.dtype) else "float32"
        ),
        outputs,
    )


def _pad_positions(positions):
    most = max(len(row) for row in positions)
    padded = np.zeros((len(positions), round_up(most, most * 2, 1)), "int32")
    for row, places in enumerate(positions):
        padded[row, : len(places)] = np.add(places, 1)  # after [CLS]
    return padded
