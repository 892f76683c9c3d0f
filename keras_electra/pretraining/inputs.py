"""Checks of what the pre-trainer is given, before anything is computed."""

import numpy as np


def reject_labels(**arguments):
    """Raises when an argument that weights or labels examples is given."""
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"`{name}` means nothing in pre-training: labels and their "
                f"weights come from the text itself. Received: {name}="
                f"{type(value).__name__}. Leave it out."
            )


def check_ids(x, vocabulary_size):
    """Checks a batch that holds token ids, and returns it.

    Args:
        x: dict of int arrays `token_ids`, `segment_ids`, `padding_mask`, of
            shape `(batch, length)`.
        vocabulary_size: int.

    Raises:
        ValueError: when a key is missing, or an id is out of range. Tensors
            of a graph that is being traced are not looked into.
    """
    missing = {"token_ids", "segment_ids", "padding_mask"} - set(x)
    if missing:
        raise ValueError(
            "`x` must hold `token_ids`, `segment_ids` and `padding_mask`. "
            f"Missing: {sorted(missing)}. Received keys: {sorted(x)}."
        )
    ids = x["token_ids"]
    if isinstance(ids, np.ndarray) and ids.size:
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= vocabulary_size:
            raise ValueError(
                f"`token_ids` must be from 0 to {vocabulary_size - 1}, the "
                f"vocabulary of the network. Received ids from {low} to "
                f"{high}. Use the tokenizer that the network was made for."
            )
    return x
