"""A folder of examples -> batches, in an order that any step can return to.

The order is a function from position to examples: it takes no memory, and
training goes on after an interruption exactly where it was.
"""

import hashlib
import os

import grain
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_option
from keras_electra.data.batches import PositionedDataset
from keras_electra.data.rows import make_rows
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
            pass and never end. With `None`, they come once, in order.
        tokenizer: `ElectraTokenizer` or `None`. If given, it must encode as
            the one that the examples were built with.
        process_index, num_processes: int. Which of how many shares to read;
            all are different and have as many batches. Defaults to 0 and 1.
        drop_remainder: bool. Without a seed, whether to leave out a last
            batch that is not full. Defaults to `False`.
        verify: bool. Whether to read all files and compare their checksums,
            not only their sizes. Defaults to `False`.

    Returns:
        `ExampleDataset`.

    Raises:
        FileNotFoundError: if the folder or one of its files is missing.
        ValueError: if an argument is out of range, the split is empty, a
            file is damaged, or the tokenizer another one.
    """
    folder = os.path.abspath(os.fspath(output_dir))
    check_option("split", split, shards.SPLITS)
    metadata = shards.read_metadata(folder)
    built = metadata["tokenizer"]
    given = built if tokenizer is None else shards.describe_tokenizer(tokenizer)
    if given["fingerprint"] != built["fingerprint"]:
        raise ValueError(
            f"`tokenizer` must encode as the one that built {folder!r}: "
            f"{built}. Received: {given}. Pass that one, or build again."
        )
    shards.check_shards(folder, metadata, verify)
    count = sum(shard["examples"] for shard in metadata["shards"][split])
    if not count:
        raise ValueError(
            f"{folder!r} has no {split} examples: {metadata['settings']}."
        )
    order = order_examples(
        count, batch_size, seed, process_index, num_processes, drop_remainder
    )
    steps = -(-count // (batch_size * num_processes))
    steps = min(steps, len(order))
    return ExampleDataset(folder, metadata, split, order, steps)


def order_examples(count, batch_size, seed, index, processes, drop_rest):
    """The examples of each batch, a `grain.MapDataset` of int arrays.

    One global order is dealt out to all processes like cards. With a seed,
    passes follow one another without end, each a new permutation, and batches
    run across their ends. Without one there is a single pass, from which some
    examples are left out so that all processes have equally many.
    """
    check_count("batch_size", batch_size)
    if not 0 <= index < processes <= count:
        raise ValueError(
            f"`process_index` must be in [0, num_processes), for {count} "
            f"examples. Received: process_index={index}, "
            f"num_processes={processes}."
        )
    order = grain.MapDataset.range(count)
    if seed is None:
        order = order[: count - count % processes]
    else:
        # The shuffle of pass `p` uses `seed + p`; near seeds must not give
        # the same orders a pass later.
        digest = hashlib.blake2b(str(int(seed)).encode(), digest_size=4)
        seed = int.from_bytes(digest.digest(), "big")
        order = order.shuffle(seed=seed).repeat()
    order = order[index::processes]
    return order.batch(batch_size, drop_remainder=drop_rest)


class ExampleDataset(PositionedDataset):
    """Batches of examples; made by `load_examples`.

    Its elements are dicts of int32 arrays `(batch_size, sequence_length)`:
    `token_ids`, `segment_ids` and `padding_mask` (1 = token, 0 = padding).
    `len` is the number of batches in one pass, rounded up; `position` that of
    batches before the next `iter`, and can be set.
    """

    is_ragged = False

    def __init__(self, folder, metadata, split, order, steps):
        super().__init__()
        files = metadata["shards"][split]
        self.metadata = metadata  # what `build_examples` recorded
        self.endless = len(order) > steps
        self.num_examples = sum(file["examples"] for file in files)
        self.sequence_length = metadata["settings"]["sequence_length"]
        self._order = order
        self._steps = steps
        self._name = f"{split} examples of {folder!r}"
        self._source = grain.sources.ArrayRecordDataSource(
            [os.path.join(folder, file["file"]) for file in files]
        )

    def __len__(self):
        return self._steps

    def batches(self, position):
        """An iterator of the batches from a position on."""
        return map(self.batch, range(position, len(self._order)))

    def batch(self, position):
        """The batch at a position (int, batches)."""
        tokenizer = self.metadata["tokenizer"]
        batch = decode_records(
            self._source.__getitems__(self._order[position].tolist()),
            self.metadata["dtype"],
            self.sequence_length,
            tokenizer["special_token_ids"]["pad"],
        )
        largest = np.max(batch["token_ids"])
        if largest >= tokenizer["vocabulary_size"]:
            raise ValueError(
                f"The {self._name} hold the token id {largest}, but their "
                f"vocabulary has {tokenizer['vocabulary_size']} tokens. They "
                "are damaged: see `load_examples(verify=True)`."
            )
        return batch


def decode_records(records, dtype, sequence_length, pad_token_id=0):
    """A padded batch of records, which `shards.encode_record` made."""
    numbers = [np.frombuffer(record, dtype) for record in records]
    longest = max(map(len, numbers)) - 1
    if longest > sequence_length:
        raise ValueError(
            f"A stored example has {longest} tokens, more than "
            f"sequence_length={sequence_length}. Its file is damaged."
        )
    ids, firsts = [n[1:] for n in numbers], [int(n[0]) for n in numbers]
    return make_rows(ids, firsts, pad_token_id, sequence_length)
