"""Which examples are in which batch: pure functions of the position."""

import hashlib

import grain


class ExampleOrder:
    """The order of examples in batches.

    All processes walk one global order, and each takes its part of every
    step: step `n` covers the places from `n * batch_size * num_processes` on,
    dealt out like cards. With a seed, passes follow one another without end,
    each a new permutation, and steps run across their ends. Without one there
    is a single pass, from which at most `num_processes - 1` examples are left
    out so that all processes have equally many.

    Args:
        num_examples: int.
        batch_size: int, examples in a batch of one process.
        seed: int or `None`.
        process_index: int in `[0, num_processes)`.
        num_processes: int.
        drop_remainder: bool. Whether a pass without a seed leaves out its
            last batch if that is not full.

    Attributes:
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
        if batch_size < 1:
            raise ValueError(
                "`batch_size` must be at least 1. Received: "
                f"batch_size={batch_size}"
            )
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
        self._batch_size = batch_size
        self._process_index = process_index
        self._num_processes = num_processes
        self._is_endless = seed is not None
        self._num_examples = num_examples
        self._share = num_examples // num_processes  # without a seed
        self._order = None
        if self._is_endless:
            self._order = grain.MapDataset.range(num_examples).shuffle(
                seed=_spread(seed)
            )
            self.batches_in_pass = -(
                -num_examples // (batch_size * num_processes)
            )
        elif drop_remainder:
            self.batches_in_pass = self._share // batch_size
        else:
            self.batches_in_pass = -(-self._share // batch_size)

    def has_batch(self, position):
        """Whether there is a batch at a position (int, batches)."""
        return self._is_endless or position < self.batches_in_pass

    def indices(self, position):
        """The examples of a batch.

        Args:
            position: int, batches.

        Returns:
            List of int, indices of examples.

        Raises:
            IndexError: if there is no such batch.
        """
        if not self.has_batch(position):
            raise IndexError(
                f"There are {self.batches_in_pass} batches. Received: "
                f"position={position}"
            )
        places = range(
            position * self._batch_size, (position + 1) * self._batch_size
        )
        if not self._is_endless:
            places = places[: self._share - places.start]
        places = (
            place * self._num_processes + self._process_index
            for place in places
        )
        if self._order is None:
            return list(places)
        return [self._order[place] for place in places]


def _spread(seed):
    """An int seed -> one of 32 bits.

    The shuffle of pass `p` uses `seed + p`; near seeds must not give the same
    orders a pass later.
    """
    digest = hashlib.blake2b(str(int(seed)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
