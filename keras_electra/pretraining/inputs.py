"""From what the pre-trainer is given to batches of rows; checks of both."""

import numpy as np

from keras_electra.data import inputs
from keras_electra.data.batches import Batches
from keras_electra.data.batches import Rows
from keras_electra.data.streams import StreamBatches

# Columns of tables with text; labels are not read.
NAMES = inputs.Names(
    (("sentence1", "sentence2"), ("text1", "text2"), ("text",), ("sentence",)),
    labels=(),
)
# Texts that become rows at a time.
CHUNK = 1024


def read(x):
    """`Examples` of what is in memory; a stream as it is."""
    if hasattr(x, "endless") or not inputs.is_in_memory(x):
        return x
    return inputs.read_memory(x, None, None, NAMES)


def to_batches(examples, to_rows, batch_size, order, steps, remember):
    """The batches of what `read` gave, for `Stream`.

    Args:
        examples: what `read` gave.
        to_rows: function from columns of texts, or rows, to checked rows.
        batch_size, order, steps, remember: see `FitsExamples._source`.
    """
    if hasattr(examples, "endless"):  # it knows the batch at any position
        return examples
    size = inputs.checked_size(batch_size)
    if not isinstance(examples, inputs.Examples):

        def prepare(x, y, sample_weight):
            reject_labels(y=y, sample_weight=sample_weight)
            if not isinstance(x, dict):
                inputs.check_texts(x, may_be_empty=True)
            rows = Rows([(to_rows(x), None, None)])
            return Batches(rows, max(1, len(rows))).batch(0)

        return StreamBatches(examples, NAMES, size, prepare, remember)
    if not len(examples):
        raise ValueError("`x` must hold at least one example.")
    if steps is not None:
        examples = examples.part(slice(steps * size))
    if not isinstance(examples.x, dict):
        inputs.check_texts(examples.x, may_be_empty=True)
    rows = Rows(
        (to_rows(examples.part(slice(start, start + CHUNK)).x), None, None)
        for start in range(0, len(examples), CHUNK)
    )
    return Batches(rows, size, order)


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
