"""Documents -> examples of one or two segments, as ELECTRA was trained on.

An example has lines of one document. Now and then it has one segment only, as
classification inputs do, or is shorter than it could be.
"""

import collections
import random
import re
from typing import Any

import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_number
from keras_electra.arguments import check_option

# Probabilities of the original program, build_pretraining_dataset.py.
SINGLE_SEGMENT_PROBABILITY = 0.1
SHORT_PROBABILITY = 0.05
SINGLE_SEGMENT_TARGET = 100_000  # tokens of the first; more than any has
MIN_LENGTH = 5  # two segments of one token and three special tokens


class ExamplePacker:
    """Packs lines of token ids into examples, one line at a time.

    Args:
        rules: str. `"default"`: what does not fit goes on in the next example,
            so that no token is lost and all keep their order. `"original"`:
            as the original program, draw by draw. What is cut off is lost; a
            line that is short enough goes to the first segment even after the
            second has begun; a random short target only ends the collecting.
        sequence_length: int, the most tokens, special ones included.
        generator: `random.Random`. By default one seeded with 0.
    """

    def __init__(self, rules, sequence_length, generator=None):
        check_option("rules", rules, ("default", "original"))
        check_count("sequence_length", sequence_length, at_least=MIN_LENGTH)
        self.sequence_length = sequence_length
        self.generator: Any = generator or random.Random(0)
        self._is_original = rules == "original"
        self._target = sequence_length  # tokens, of the next example
        self._lines, self._length = [], 0  # what waits, and its tokens

    def add(self, ids: Any) -> Any:
        """The examples complete with a line, or `None`, a document's end.

        Each is two arrays as the line, of which the second may be empty.
        """
        if ids is not None and len(ids):
            self._lines.append(np.asarray(ids))
            self._length += len(ids)
        fill = self._fill_original if self._is_original else self._fill
        examples, special = [], 0 if self._is_original else 2
        while self._length and (
            ids is None or self._length + special >= self._target
        ):
            first_target = SINGLE_SEGMENT_TARGET
            if self.generator.random() >= SINGLE_SEGMENT_PROBABILITY:
                first_target = (self._target - 3) // 2
            examples.append(fill(first_target))
            self._target = self.sequence_length
            if self.generator.random() < SHORT_PROBABILITY:
                self._target = self.generator.randint(MIN_LENGTH, self._target)
        return examples

    def _goes_first(self, line, first, second, size, target):
        """Whether a line goes to the first segment, whose size is given."""
        if second and not self._is_original:
            return False
        if not first or size + len(line) < target:
            return True
        return not second and size < target and self.generator.random() < 0.5

    def _fill(self, target):
        """Take lines until the example is full; the rest stays waiting."""
        first, second, size, rest = [], [], 0, []
        lines = iter(self._lines)
        for line in lines:
            is_first = self._goes_first(line, first, second, size, target)
            room = self._target - (2 if is_first else 3) - size
            (first if is_first else second).append(line[:room])
            size += min(len(line), room)
            if len(line) >= room:
                rest = [line[room:]] if len(line) > room else []
                break
        self._lines = [*rest, *lines]
        self._length -= size
        return _join(first), _join(second)

    def _fill_original(self, target):
        first, second, size = [], [], 0  # size of the first
        for line in self._lines:
            if self._goes_first(line, first, second, size, target):
                first.append(line)
                size += len(line)
            else:
                second.append(line)
        self._lines, self._length = [], 0
        first = _join(first)[: self.sequence_length - 2]
        room = max(0, self.sequence_length - 3 - len(first))
        return first, _join(second)[:room]


def gap_sentences(documents: Any, fraction: Any = 0.3) -> tuple[Any, ...]:
    """Takes the sentences out that say most of the rest: summaries for free.

    Those of the highest ROUGE-1 F1 to all other sentences of their document
    (PEGASUS, Zhang et al., ICML 2020, section 3.1.1, each on its own). Returns
    two lists, of the documents without them and of them, which
    `ElectraTextGenerator.fit` takes as `(sources, targets)`.

    Args:
        documents: list of strings, or of lists of sentences. Strings are split
            behind `.`, `!` and `?`; those of one sentence are left out.
        fraction: float, share of the sentences, at least one, not all.
    """
    check_number("fraction", fraction, above=0, below=1)
    sources, targets = [], []
    for document in documents:
        if isinstance(document, str):
            document = re.split(r"(?<=[.!?])\s+", document.strip())
        if len(document) < 2:
            continue
        words = (re.findall(r"\w+", text.lower()) for text in document)
        counts, scores = [*map(collections.Counter, words)], []
        whole = sum(counts, collections.Counter())
        for own in counts:
            shared = 2 * (own & (whole - own)).total()
            scores.append(-shared / max(1, whole.total()))
        order = np.argsort(scores, kind="stable").tolist()
        most = min(len(document) - 1, max(1, round(fraction * len(document))))
        for parts, places in (sources, order[most:]), (targets, order[:most]):
            parts.append(" ".join(document[i] for i in sorted(places)))
    return sources, targets


def _join(pieces):
    return np.concatenate(pieces) if pieces else np.zeros(0, "int32")
