"""Assembly: documents to splits, counts of what went where."""

import random

import numpy as np

from keras_electra.text.assembly import Assembly
from keras_electra.text.blocks import Block
from keras_electra.text.blocks import Span
from keras_electra.text.tokenizing import TokenBlock
from tests.text.tiny_corpus import NumberTokenizer
from tests.text.tiny_corpus import read_examples
from tests.text.tiny_corpus import tokens_of


def test_splits_and_counts(tmp_path):
    assembly = Assembly(
        str(tmp_path),
        NumberTokenizer(),
        sequence_length=16,
        rules="default",
        dtype="uint16",
        seed=0,
        generator=random.Random(0),
        threshold=50,
    )
    # A document for training, one held out that goes on in the next block.
    blocks = [
        Block(["", ""], [Span(1, True, 70), Span(1, True, 20)]),
        Block(["", ""], [Span(1, False, 20), Span(1, True, 50)]),
    ]
    ids = [[10, 11, 20, 1], [21, 50]]
    lengths = [[2, 2], [1, 1]]
    for block, ids, lengths, is_reused in zip(
        blocks, ids, lengths, (True, False)
    ):
        ids = np.array(ids, "uint16")
        assembly.add(TokenBlock(block, ids, np.array(lengths), is_reused))
    shards = assembly.finish()

    assert tokens_of(read_examples(tmp_path, "train")) == [10, 11, 50]
    assert tokens_of(read_examples(tmp_path, "validation")) == [20, 21]
    assert shards["train"][0]["examples"] == 2
    assert assembly.reused_tokens == 4
    assert (assembly.lowest, assembly.highest) == (20, 70)
    counts = assembly.counts()
    # [CLS] 10 11 [SEP], [CLS] 50 [SEP]; [CLS] 20 [UNK] 21 [SEP], in one or
    # two segments.
    used = round((1 - counts.pop("padding_fraction")) * 48)
    assert used in (12, 13)
    assert counts == {
        "documents": 3,
        "validation_documents": 1,
        "tokens": 6,
        "unknown_tokens": 1,
        "dropped_tokens": 0,
        "train_examples": 2,
        "validation_examples": 1,
        "shards": 2,
    }
