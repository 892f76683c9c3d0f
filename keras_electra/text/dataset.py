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

from keras_electra.text.description import describe_tokenizer
from keras_electra.text.description import tell_tokenizer
from keras_electra.text.order import ExampleOrder
from keras_electra.text.records import decode_records
from keras_electra.text.shards import SPLITS
from keras_electra.text.shards import check_shards
from keras_electra.text.shards import read_metadata


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
    if split not in SPLITS:
        raise ValueError(
            f"`split` must be one of {SPLITS}. Received: split={split!r}"
        )
    metadata = read_metadata(output_dir)
    if tokenizer is not None:
        _check_tokenizer(output_dir, metadata["tokenizer"], tokenizer)
    check_shards(output_dir, metadata, verify)
    if not metadata["shards"][split]:
        raise ValueError(
            f"{output_dir!r} has no {split} examples. It was built with "
            "validation_fraction="
            f"{metadata['settings']['validation_fraction']}."
        )
    return ExampleDataset(
        output_dir,
        metadata,
        split,
        batch_size,
        seed,
        process_index,
        num_processes,
        drop_remainder,
    )


def _check_tokenizer(output_dir, recorded, tokenizer):
    given = describe_tokenizer(tokenizer)
    if given["fingerprint"] != recorded["fingerprint"]:
        raise ValueError(
            "`tokenizer` must encode as the one that the examples in "
            f"{output_dir!r} were built with. They were built with "
            f"{tell_tokenizer(recorded)}. Received: {tell_tokenizer(given)}. "
            "Pass that one, or build the examples again."
        )


class ExampleDataset(grain.IterDataset):
    """Batches of examples; made by `load_examples`.

    Its elements are dicts of int32 arrays `(batch_size, sequence_length)`:
    `token_ids`, `segment_ids` and `padding_mask` (1 = token, 0 = padding).
    `len` is the number of batches in one pass, rounded up.

    Args:
        folder: str.
        metadata: dict, of `read_metadata`.
        split, batch_size, seed, process_index, num_processes,
            drop_remainder: see `load_examples`.

    Attributes:
        endless: bool. Whether it never ends, because it has a seed.
        num_examples: int, in the split.
        sequence_length: int, tokens.
        metadata: dict. What `build_examples` recorded.
        position: int, batches. Where the next `iter` starts: at the batch
            that so many came before. Can be set; iterating does not change
            it.
    """

    def __init__(
        self,
        folder,
        metadata,
        split,
        batch_size,
        seed,
        process_index,
        num_processes,
        drop_remainder,
    ):
        super().__init__()
        shards = metadata["shards"][split]
        self.metadata = metadata
        self.endless = seed is not None
        self.num_examples = sum(shard["examples"] for shard in shards)
        self.sequence_length = metadata["settings"]["sequence_length"]
        self.order = ExampleOrder(
            self.num_examples,
            batch_size,
            seed,
            process_index,
            num_processes,
            drop_remainder,
        )
        self._name = f"{split} examples of {folder!r}"
        self._source = grain.sources.ArrayRecordDataSource(
            [os.path.join(folder, shard["file"]) for shard in shards]
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

    def __iter__(self):
        return ExampleIterator(self, self._position)

    def __str__(self):
        return f"ExampleDataset({self._name})"

    def batch(self, position):
        """Read the batch at a position.

        Args:
            position: int, batches.

        Returns:
            Dict of arrays, see the class.

        Raises:
            IndexError: if there is no such batch.
            ValueError: if a stored example is damaged.
        """
        indices = self.order.indices(position)
        records = self._source.__getitems__(indices)
        tokenizer = self.metadata["tokenizer"]
        batch = decode_records(
            records,
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


class ExampleIterator(grain.DatasetIterator):
    """Iterator of an `ExampleDataset`; its state is its position.

    Args:
        dataset: `ExampleDataset`.
        position: int, batches. Where to begin.
    """

    def __init__(self, dataset, position):
        super().__init__()
        self._dataset = dataset
        self._next_position = position

    def __next__(self):
        self._assert_not_closed()
        if not self._dataset.order.has_batch(self._next_position):
            raise StopIteration
        batch = self._dataset.batch(self._next_position)
        self._next_position += 1
        return batch

    def get_state(self):
        return {"position": self._next_position}

    def set_state(self, state):
        self._next_position = int(state["position"])

    def __str__(self):
        return f"ExampleIterator({self._dataset})"
