"""A folder of examples -> batches, in an order that any step can return to."""

import contextlib
import hashlib
import os
import zlib
from typing import Any

import grain
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_option
from keras_electra.arguments import local_folder
from keras_electra.data.batches import PositionedDataset
from keras_electra.data.batches import own_rows
from keras_electra.data.rows import make_rows
from keras_electra.text import shards


def load_examples(
    output_dir: object,
    split: str,
    batch_size: int,
    seed: int | None = None,
    tokenizer: object = None,
    drop_remainder: bool = False,
    verify: bool = False,
) -> object:
    """Open a folder of examples for `fit` or `evaluate`.

    Args:
        output_dir: str or path, as given to `build_examples`.
        split: str, `"train"` or `"validation"`.
        batch_size: int, examples in a batch, of all processes together.
        seed: int or `None`. With a seed, the examples are shuffled anew each
            pass and never end. With `None`, they come once, in order.
        tokenizer: `None`, or `ElectraTokenizer` that must be that of the build.
        drop_remainder: bool. Whether a last batch that is not full is left out.
        verify: bool. Whether to compare the checksums of all files, too.

    Returns an `ExampleDataset`. A missing file is a `FileNotFoundError`, an
    empty split, a damaged file or another tokenizer a `ValueError`.
    """
    folder = str(local_folder("output_dir", output_dir))
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
        settings = metadata["settings"]
        raise ValueError(f"{folder!r} has no {split} examples: {settings}.")
    order = order_examples(count, batch_size, seed, drop_remainder)
    return ExampleDataset(folder, metadata, split, order, batch_size)


def order_examples(count, batch_size, seed=None, drop_rest=False):
    """The examples of each batch, a `grain.MapDataset` of int arrays.

    With a seed it has passes without end, each a new permutation; batches run
    across them. Without one it has one pass.
    """
    check_count("batch_size", batch_size)
    order = grain.MapDataset.range(count)
    if seed is not None:
        # Pass `p` is shuffled with `seed + p`, so near seeds would repeat it.
        digest = hashlib.blake2b(str(int(seed)).encode(), digest_size=4)
        seed = int.from_bytes(digest.digest(), "big")
        order = order.shuffle(seed=seed).repeat()
    return order.batch(batch_size, drop_remainder=drop_rest)


class ExampleDataset(PositionedDataset):
    """Batches of examples; made by `load_examples`.

    They are dicts of int32 arrays `(batch_size, sequence_length)`: `token_ids`,
    `segment_ids` and `padding_mask` (1 = token, 0 = padding). `len` are those
    of a pass, rounded up; `position` those before the next `iter`; set it.
    """

    is_ragged = False

    def __init__(self, folder, metadata, split, order, batch_size):
        super().__init__()
        files = metadata["shards"][split]
        self.metadata = metadata  # what `build_examples` recorded
        self.num_examples: int = sum(file["examples"] for file in files)
        self.sequence_length: Any = metadata["settings"]["sequence_length"]
        self._order = order
        self.batch_size = batch_size
        self._steps = min(-(-self.num_examples // batch_size), len(order))
        self.endless: bool = len(order) > self._steps
        self._name = f"{split} examples of {folder!r}"
        paths = [os.path.join(folder, file["file"]) for file in files]
        with self._naming_damage():
            self._source = grain.sources.ArrayRecordDataSource(paths)

    def __len__(self) -> Any:
        return self._steps

    def batches(self, position: Any) -> Any:
        """An iterator of the batches from a position on."""
        return map(self.batch, range(position, len(self._order)))

    def batch(self, position: Any) -> Any:
        """The batch at a position (int, batches)."""
        return self._read(self._order[position])

    def own_batch(self, position: Any) -> Any:
        """Of the batch at a position what this process feeds."""
        numbers = self._order[position]
        return own_rows(len(numbers), lambda part: self._read(numbers[part]))

    def checksum(self, position: Any) -> Any:
        """A number that tells other examples and another order."""
        numbers = self._order[position].tolist()
        return zlib.crc32(repr((self.metadata["shards"], numbers)).encode())

    def _read(self, numbers):
        tokenizer, dtype = self.metadata["tokenizer"], self.metadata["dtype"]
        pad, size = tokenizer["special_token_ids"]["pad"], self.sequence_length
        with self._naming_damage():
            records = self._source.__getitems__(numbers.tolist())
            batch = decode_records(records, dtype, size, pad)
            largest = batch["token_ids"].max(initial=0)
            if largest >= tokenizer["vocabulary_size"]:
                raise ValueError(f"their vocabulary has no token id {largest}")
        return batch

    @contextlib.contextmanager
    def _naming_damage(self):
        try:
            yield
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"The {self._name} are damaged: see "
                f"`load_examples(verify=True)`. {error}"
            ) from error


def decode_records(records, dtype, sequence_length, pad_token_id=0):
    """A padded batch of records, which `shards.encode_record` made."""
    numbers = [np.frombuffer(record, dtype) for record in records]
    longest = max(map(len, numbers), default=1) - 1
    if longest > sequence_length:
        raise ValueError(
            f"A stored example has {longest} tokens, more than "
            f"sequence_length={sequence_length}. Its file is damaged."
        )
    ids, firsts = [n[1:] for n in numbers], [int(n[0]) for n in numbers]
    return make_rows(ids, firsts, pad_token_id, sequence_length)
