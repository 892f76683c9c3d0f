"""Documents -> examples of one or two segments, as ELECTRA was trained on.

An example is `[CLS] first [SEP]` or `[CLS] first [SEP] second [SEP]`, filled
with the lines of one document until it is full. Now and then it has one
segment only, as classification inputs do, or is shorter than it could be, so
that the model sees such inputs too. Two sets of rules are here:

- `"default"` goes on with what does not fit in the next example, so that no
  token of the corpus is lost and all keep their order.
- `"original"` throws away what does not fit, and may put a short line back
  into the first segment, draw by draw as the original ELECTRA program does.
"""

import random
from typing import NamedTuple

import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_option

# Probabilities of the original program, build_pretraining_dataset.py.
SINGLE_SEGMENT_PROBABILITY = 0.1
SHORT_PROBABILITY = 0.05
# [CLS] and two [SEP]; a shorter example has no room for two segments.
SPECIAL_TOKENS = 3
MIN_LENGTH = 5  # tokens
# First-segment target, in tokens, that stands for one segment only.
SINGLE_SEGMENT_TARGET = 100_000


class Example(NamedTuple):
    """Two segments, without special tokens; the second may be empty."""

    first: np.ndarray  # (tokens,)
    second: np.ndarray  # (tokens,)


class ExamplePacker:
    """Packs lines of token ids into examples, one line at a time.

    Args:
        sequence_length: int, tokens, special ones included. No example is
            longer.
        generator: `random.Random`. Source of all random draws. Defaults to
            one seeded with 0.
    """

    def __init__(self, sequence_length, generator=None):
        # Two segments of one token and three special tokens.
        check_count("sequence_length", sequence_length, at_least=MIN_LENGTH)
        self.sequence_length = sequence_length
        self.generator = generator or random.Random(0)
        self._target = sequence_length  # tokens, of the next example
        self._lines = []
        self._length = 0  # tokens in self._lines

    def add_line(self, ids):
        """Add a line, `(tokens,)`; returns the examples complete by now."""
        if len(ids):
            self._lines.append(np.asarray(ids))
            self._length += len(ids)
        examples = []
        while self._length >= self._full_length():
            examples.append(self._create())
        return examples

    def end_document(self):
        """End the document; returns the examples that hold the rest of it.

        Nothing of one document mixes with the next.
        """
        examples = []
        while self._length:
            examples.append(self._create())
        return examples

    def _create(self):
        if self.generator.random() < SINGLE_SEGMENT_PROBABILITY:
            first_target = SINGLE_SEGMENT_TARGET
        else:
            first_target = (self._target - SPECIAL_TOKENS) // 2
        example = self._fill(first_target)
        if self.generator.random() < SHORT_PROBABILITY:
            self._target = self.generator.randint(
                MIN_LENGTH, self.sequence_length
            )
        else:
            self._target = self.sequence_length
        return example

    def _full_length(self):
        """Tokens to wait for before an example is made."""
        return self._target - 2

    def _fill(self, first_target):
        """Take lines until the example is full; the rest stays waiting."""
        first, second = [], []
        first_length = second_length = 0
        lines = iter(self._lines)
        rest = []
        for line in lines:
            size = len(line)
            to_first = not second and (
                not first
                or first_length + size < first_target
                or (
                    first_length < first_target
                    and self.generator.random() < 0.5
                )
            )
            if to_first:
                room = self._target - 2 - first_length
                first.append(line[:room])
                first_length += min(size, room)
            else:
                room = self._target - 3 - first_length - second_length
                if room > 0:
                    second.append(line[:room])
                    second_length += min(size, room)
            if size >= room:
                # The example is full. A line that did not fit goes on in
                # the next one: this is what the original throws away.
                room = max(room, 0)
                rest = [line[room:]] if size > room else []
                break
        self._lines = rest + list(lines)
        self._length -= first_length + second_length
        return Example(_join(first), _join(second))


class OriginalExamplePacker(ExamplePacker):
    """Packs as the original ELECTRA program does, draw by draw.

    A line that makes an example too long is cut off, and what was cut is
    lost. A line goes back to the first segment if it is short enough to fit
    there, even after the second segment has begun. A random short target
    only ends the collecting of lines; the last line may reach beyond it.
    """

    def _full_length(self):
        return self._target

    def _fill(self, first_target):
        first, second = [], []
        first_length = second_length = 0
        for line in self._lines:
            size = len(line)
            if (
                not first
                or first_length + size < first_target
                or (
                    not second
                    and first_length < first_target
                    and self.generator.random() < 0.5
                )
            ):
                first.append(line)
                first_length += size
            else:
                second.append(line)
                second_length += size
        self._lines, self._length = [], 0
        first = _join(first)[: self.sequence_length - 2]
        room = max(0, self.sequence_length - SPECIAL_TOKENS - len(first))
        return Example(first, _join(second)[:room])


PACKERS = {"default": ExamplePacker, "original": OriginalExamplePacker}


def make_packer(rules, sequence_length, generator=None):
    """Make the packer for `rules`, `"default"` or `"original"`."""
    check_option("rules", rules, PACKERS)
    return PACKERS[rules](sequence_length, generator)


def _join(pieces):
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return np.zeros(0, "int32")
    return np.concatenate(pieces)
