"""Which examples are in which batch, and batches found by their position."""

import hashlib

import grain

from keras_electra.arguments import check_count


class ExampleOrder:
    """The order of examples in batches: a pure function of the position.

    All processes walk one global order, and each takes its part of every
    step: step `n` covers the places from `n * batch_size * num_processes` on,
    dealt out like cards. With a seed, passes follow one another without end,
    each a new permutation, and steps run across their ends. Without one there
    is a single pass, from which at most `num_processes - 1` examples are left
    out so that all processes have equally many.

    Args:
        num_examples: int.
        batch_size, seed, process_index, num_processes, drop_remainder: see
            `load_examples`.

    Attributes:
        endless: bool. Whether it never ends, because it has a seed.
        num_examples: int.
        batches_in_pass: int. Batches of one process in a pass, rounded up
            (down with `drop_remainder` and no seed).

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        num_examples,
        batch_size,
        seed=None,
        process_index=0,
        num_processes=1,
        drop_remainder=False,
    ):
        check_count("batch_size", batch_size)
        if not 0 <= process_index < num_processes:
            raise ValueError(
                "`process_index` must be in [0, num_processes). Received: "
                f"process_index={process_index}, "
                f"num_processes={num_processes}"
            )
        if num_processes > num_examples:
            raise ValueError(
                f"`num_processes={num_processes}` processes cannot share "
                f"{num_examples} examples. Use fewer, or build more examples."
            )
        self.endless = seed is not None
        self.num_examples = num_examples
        self._batch_size = batch_size
        self._process_index = process_index
        self._num_processes = num_processes
        self._share = num_examples // num_processes  # without a seed
        if self.endless:
            self._order = grain.MapDataset.range(num_examples).shuffle(
                seed=_spread(seed)
            )
            step = batch_size * num_processes
            self.batches_in_pass = -(-num_examples // step)
        elif drop_remainder:
            self.batches_in_pass = self._share // batch_size
        else:
            self.batches_in_pass = -(-self._share // batch_size)

    def has_batch(self, position):
        """Whether there is a batch at a position (int, batches)."""
        return self.endless or position < self.batches_in_pass

    def indices(self, position):
        """The examples of the batch at a position, as a list of int.

        Raises:
            IndexError: if there is no such batch.
        """
        if not self.has_batch(position):
            raise IndexError(
                f"There are {self.batches_in_pass} batches. Received: "
                f"position={position}"
            )
        start = position * self._batch_size
        places = range(start, start + self._batch_size)
        if not self.endless:
            places = places[: self._share - start]
        places = (
            place * self._num_processes + self._process_index
            for place in places
        )
        if not self.endless:
            return list(places)
        return [self._order[place] for place in places]


def _spread(seed):
    """An int seed -> one of 32 bits.

    The shuffle of pass `p` uses `seed + p`; near seeds must not give the same
    orders a pass later.
    """
    digest = hashlib.blake2b(str(int(seed)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


class PositionIterator(grain.DatasetIterator):
    """Iterator of batches that are found by position, which is its state.

    Args:
        dataset: has `has_batch(position)` and `batch(position)`.
        position: int, batches. Where to begin.
    """

    def __init__(self, dataset, position):
        super().__init__()
        self._dataset = dataset
        self._next_position = position

    def __next__(self):
        self._assert_not_closed()
        if not self._dataset.has_batch(self._next_position):
            raise StopIteration
        batch = self._dataset.batch(self._next_position)
        self._next_position += 1
        return batch

    def get_state(self):
        return {"position": self._next_position}

    def set_state(self, state):
        self._next_position = int(state["position"])

    def __str__(self):
        return f"PositionIterator({self._dataset})"
