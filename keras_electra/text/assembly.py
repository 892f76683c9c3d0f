"""Blocks of token ids -> packed examples in the files of two splits."""

import random

from keras_electra.text.packing import make_packer
from keras_electra.text.shards import SPLITS
from keras_electra.text.shards import ShardWriter
from keras_electra.text.shards import encode_record


class Assembly:
    """Packs token blocks, in order, and writes the examples.

    Args:
        folder: str, an existing folder for the files.
        tokenizer: `ElectraTokenizer`. Knows the special tokens.
        sequence_length: int, tokens.
        rules: str. See `make_packer`.
        dtype: str. See `record_dtype`.
        seed: int. The examples held out have random draws of their own, so
            that holding out one more document changes little.
        generator: `random.Random`. Source of the random draws for training
            examples.
        threshold: int. Documents whose position is below are held out.
    """

    def __init__(
        self,
        folder,
        tokenizer,
        sequence_length,
        rules,
        dtype,
        seed,
        generator,
        threshold,
    ):
        generators = (generator, random.Random(f"validation {seed}"))
        self._packers = [
            make_packer(rules, sequence_length, draws) for draws in generators
        ]
        self._writers = [ShardWriter(folder, split) for split in SPLITS]
        self._record_arguments = (
            tokenizer.cls_token_id,
            tokenizer.sep_token_id,
            dtype,
        )
        self._unknown_id = tokenizer.unk_token_id
        self._sequence_length = sequence_length
        self._threshold = threshold
        self._split = 0  # of the current document
        self.documents = [0, 0]
        self.tokens = 0
        self.unknown_tokens = 0
        self.reused_tokens = 0
        self.examples = [0, 0]
        self._segment_tokens = 0
        self._used_positions = 0
        self.lowest = self.highest = None  # positions of documents

    def add(self, tokens):
        """Add the next `TokenBlock`."""
        self.tokens += len(tokens.ids)
        self.unknown_tokens += int((tokens.ids == self._unknown_id).sum())
        self.reused_tokens += len(tokens.ids) * tokens.is_reused
        lengths = iter(tokens.lengths.tolist())
        start = 0
        for span in tokens.block.spans:
            if span.starts_document:
                self._start_document(span.position)
            packer = self._packers[self._split]
            for _, length in zip(range(span.num_lines), lengths):
                examples = packer.add_line(tokens.ids[start : start + length])
                start += length
                if examples:
                    self._write(examples)

    def finish(self):
        """End the last document and close the files.

        Returns:
            Dict of the splits' files, as `metadata.json` lists them.
        """
        self._write(self._packers[self._split].end_document())
        for writer in self._writers:
            writer.close()
        return {
            split: writer.shards for split, writer in zip(SPLITS, self._writers)
        }

    def counts(self):
        """Counts of the whole build, as `BuildReport` has them (dict)."""
        positions = sum(self.examples) * self._sequence_length
        return {
            "documents": sum(self.documents),
            "validation_documents": self.documents[1],
            "tokens": self.tokens,
            "unknown_tokens": self.unknown_tokens,
            "dropped_tokens": self.tokens - self._segment_tokens,
            "train_examples": self.examples[0],
            "validation_examples": self.examples[1],
            "padding_fraction": 1 - self._used_positions / positions,
            "shards": sum(len(writer.shards) for writer in self._writers),
        }

    def _start_document(self, position):
        self._write(self._packers[self._split].end_document())
        self._split = int(position < self._threshold)
        self.documents[self._split] += 1
        if self.lowest is None:
            self.lowest = self.highest = position
        self.lowest = min(self.lowest, position)
        self.highest = max(self.highest, position)

    def _write(self, examples):
        writer = self._writers[self._split]
        for example in examples:
            size = len(example.first) + len(example.second)
            self._segment_tokens += size
            self._used_positions += size + 2 + bool(len(example.second))
            writer.write(encode_record(example, *self._record_arguments))
        self.examples[self._split] += len(examples)
