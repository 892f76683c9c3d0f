"""A folder of examples -> batches, in an order that any step can return to.

With a seed the examples come in a new random order every pass, without end,
for training; without one in their own order, once, for evaluation. The order
is a function from position to example (`grain`'s index shuffle), so it takes
no memory, and the batch at any position is found without reading those before
it: training goes on after an interruption exactly where it was.
"""

import os

import grain
import numpy as np

from keras_electra.arguments import check_option
from keras_electra.data.order import ExampleOrder
from keras_electra.data.order import PositionIterator
from keras_electra.text import shards


def load_examples(
    output_dir,
    split,
    batch_size,
    seed=None,
    tokenizer=None,
    process_index=0,
    num_processes=1,
    drop_remainder=False,
    verify=False,
):
    """Open a folder of examples for `fit` or `evaluate`.

    Args:
        output_dir: str or path, as given to `build_examples`.
        split: str, `"train"` or `"validation"`.
        batch_size: int, examples in a batch of this process.
        seed: int or `None`. With a seed, the examples are shuffled anew each
            pass and never end: `fit` needs `steps_per_epoch`. With `None`,
            they come once, in order. Defaults to `None`.
        tokenizer: `ElectraTokenizer` or `None`. If given, it must encode as
            the one that the examples were built with. Defaults to `None`.
        process_index: int in `[0, num_processes)`. Which share of the
            examples to read, in training with several processes. Defaults
            to 0.
        num_processes: int. All processes read different examples and the
            same number of batches. Defaults to 1.
        drop_remainder: bool. Without a seed, whether to leave out a last
            batch that is not full. Defaults to `False`.
        verify: bool. Whether to compare the checksums of all files, which
            reads them. Defaults to `False`: their sizes are compared.

    Returns:
        `ExampleDataset`.

    Raises:
        FileNotFoundError: if the folder or one of its files is missing.
        ValueError: if an argument is out of range, the split is empty, a
            file is damaged, or the tokenizer is another one.
    """
    output_dir = os.path.abspath(os.fspath(output_dir))
    check_option("split", split, shards.SPLITS)
    metadata = shards.read_metadata(output_dir)
    if tokenizer is not None:
        _check_tokenizer(output_dir, metadata["tokenizer"], tokenizer)
    shards.check_shards(output_dir, metadata, verify)
    num_examples = sum(s["examples"] for s in metadata["shards"][split])
    if not num_examples:
        fraction = metadata["settings"]["validation_fraction"]
        raise ValueError(
            f"{output_dir!r} has no {split} examples. It was built with "
            f"validation_fraction={fraction}."
        )
    order = ExampleOrder(
        num_examples,
        batch_size,
        seed,
        process_index,
        num_processes,
        drop_remainder,
    )
    return ExampleDataset(output_dir, metadata, split, order)


def _check_tokenizer(output_dir, recorded, tokenizer):
    given = shards.describe_tokenizer(tokenizer)
    if given["fingerprint"] != recorded["fingerprint"]:
        raise ValueError(
            "`tokenizer` must encode as the one that the examples in "
            f"{output_dir!r} were built with. They were built with "
            f"{_tell_tokenizer(recorded)}. Received: {_tell_tokenizer(given)}. "
            "Pass that one, or build the examples again."
        )


def _tell_tokenizer(description):
    settings = ", ".join(
        f"{key}={value!r}" for key, value in description["settings"].items()
    )
    return (
        f"{description['class']}({settings}) with "
        f"{description['vocabulary_size']} tokens and fingerprint "
        f"{description['fingerprint']}"
    )


class ExampleDataset(grain.IterDataset):
    """Batches of examples; made by `load_examples`.

    Its elements are dicts of int32 arrays `(batch_size, sequence_length)`:
    `token_ids`, `segment_ids` and `padding_mask` (1 = token, 0 = padding).
    `len` is the number of batches in one pass, rounded up.

    Args:
        folder: str.
        metadata: dict, of `read_metadata`.
        split: str.
        order: `ExampleOrder`.

    Attributes:
        endless: bool. Whether it never ends, because it has a seed.
        num_examples: int, in the split.
        sequence_length: int, tokens.
        metadata: dict. What `build_examples` recorded.
        position: int, batches. Where the next `iter` starts: at the batch
            that so many came before. Can be set; iterating does not change
            it.
    """

    def __init__(self, folder, metadata, split, order):
        super().__init__()
        self.metadata = metadata
        self.order = order
        self.endless = order.endless
        self.num_examples = order.num_examples
        self.sequence_length = metadata["settings"]["sequence_length"]
        self._name = f"{split} examples of {folder!r}"
        self._source = grain.sources.ArrayRecordDataSource(
            [os.path.join(folder, s["file"]) for s in metadata["shards"][split]]
        )
        self._position = 0

    @property
    def position(self):
        return self._position

    @position.setter
    def position(self, position):
        if position < 0 or position != int(position):
            raise ValueError(
                "`position` must be the number of batches to leave out, 0 or "
                f"more. Received: position={position}"
            )
        self._position = int(position)

    def __len__(self):
        return self.order.batches_in_pass

    def has_batch(self, position):
        """Whether there is a batch at a position (int, batches)."""
        return self.order.has_batch(position)

    def __iter__(self):
        return PositionIterator(self, self._position)

    def __str__(self):
        return f"ExampleDataset({self._name})"

    def batch(self, position):
        """Read the batch at a position (int, batches)."""
        tokenizer = self.metadata["tokenizer"]
        batch = decode_records(
            self._source.__getitems__(self.order.indices(position)),
            self.metadata["dtype"],
            self.sequence_length,
            tokenizer["special_token_ids"]["pad"],
        )
        largest = np.max(batch["token_ids"])
        if largest >= tokenizer["vocabulary_size"]:
            raise ValueError(
                f"The {self._name} hold the token id {largest}, but their "
                f"vocabulary has {tokenizer['vocabulary_size']} tokens. The "
                "files are damaged: see `load_examples(verify=True)`."
            )
        return batch


def decode_records(records, dtype, sequence_length, pad_token_id=0):
    """Make a padded batch of records.

    Worked example with length 6: the records `3 | 2 7 3 9 3` and `3 | 2 8 3`
    give token ids `[[2, 7, 3, 9, 3, 0], [2, 8, 3, 0, 0, 0]]`, segment ids
    `[[0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]]` and padding masks
    `[[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]]`.
    """
    numbers = np.frombuffer(b"".join(records), dtype)
    sizes = np.array([len(record) for record in records]) // numbers.itemsize
    if np.max(sizes) > sequence_length + 1:
        raise ValueError(
            f"A stored example has {np.max(sizes) - 1} tokens, more than "
            f"sequence_length={sequence_length}. Its file is damaged."
        )
    headers = np.cumsum(sizes) - sizes
    first_lengths = numbers[headers].astype("int64")
    is_id = np.ones(len(numbers), bool)
    is_id[headers] = False

    positions = np.arange(sequence_length)
    is_token = positions < sizes[:, None] - 1
    is_second = is_token & (positions >= first_lengths[:, None])
    token_ids = np.full(is_token.shape, pad_token_id, "int32")
    token_ids[is_token] = numbers[is_id]
    return {
        "token_ids": token_ids,
        "segment_ids": is_second.astype("int32"),
        "padding_mask": is_token.astype("int32"),
    }
