"""Text whose tokens are known: words are numbers, and numbers are ids."""

import os
import random

import numpy as np
from array_record.python import array_record_module

FIRST_ID = 5  # below are the special tokens


class NumberTokenizer:
    """Has what builds need of `ElectraTokenizer`, without Keras."""

    pad_token_id = 0
    unk_token_id = 1
    cls_token_id = 2
    sep_token_id = 3
    mask_token_id = 4

    def __init__(self, size=1000, name="numbers"):
        self.size = size
        self.name = name

    def encode_batch(self, texts):
        return [[int(word) for word in text.split()] for text in texts]

    def vocabulary_size(self):
        return self.size

    def fingerprint(self):
        return f"{self.name}-{self.size}"

    def get_config(self):
        return {"size": self.size, "vocabulary": ["a"], "name": "tokenizer"}


class EndingTokenizer(NumberTokenizer):
    """Ends the process that uses it."""

    def encode_batch(self, texts):
        os._exit(3)


def make_documents(count, seed=0, size=1000, lines=8, words=12):
    """Documents as lists of lines as lists of ids."""
    draws = random.Random(seed)
    return [
        [
            [
                draws.randrange(FIRST_ID, size)
                for _ in range(draws.randint(1, words))
            ]
            for _ in range(draws.randint(1, lines))
        ]
        for _ in range(count)
    ]


def write_corpus(path, documents):
    """Write documents as text; returns the path as a str."""
    text = "\n\n".join(
        "\n".join(" ".join(map(str, line)) for line in document)
        for document in documents
    )
    path.write_text(text + "\n")
    return str(path)


def read_examples(folder, split, dtype="uint16"):
    """All stored examples: `(token ids, length of the first segment)`."""
    examples = []
    for path in sorted(folder.glob(f"{split}-*.array_record")):
        reader = array_record_module.ArrayRecordReader(str(path))
        for record in reader.read_all():
            first_length, *ids = np.frombuffer(record, dtype).tolist()
            examples.append((ids, first_length))
    return examples


def tokens_of(examples):
    """The token ids of stored examples without the special ones."""
    return [id for ids, _ in examples for id in ids if id >= FIRST_ID]


def flatten(documents):
    """The token ids of documents, in order."""
    return [id for document in documents for line in document for id in line]


def content(folder):
    """File name -> bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
