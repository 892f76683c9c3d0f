"""Packing: as the original to the draw, and by our rules without loss."""

import collections
import random

import numpy as np
import pytest

from keras_electra.data.examples import decode_records
from keras_electra.text.corpus import read_lines
from keras_electra.text.packing import ExamplePacker
from keras_electra.text.packing import gap_sentences
from keras_electra.text.shards import encode_record
from keras_electra.text.tokenizer import ElectraTokenizer
from tests import recorded
from tests.text.tiny_corpus import flatten
from tests.text.tiny_corpus import make_documents

CASES = {
    case["key"]: case
    for case in recorded.read_json("data_builder.json")["cases"]
}


class Draws:
    """A generator whose draws are given."""

    def __init__(self, *draws):
        self.draws = list(draws)

    def random(self):
        return self.draws.pop(0)

    def randint(self, low, high):
        draw = self.draws.pop(0)
        assert low <= draw <= high
        return draw


@pytest.fixture(scope="module")
def encoded_corpus(golden):
    """Lines of the original's corpus as ids; `None` where blank."""
    tokenizer = ElectraTokenizer(
        str(golden / "vocab.txt"), **recorded.tokenizer_settings()
    )
    lines = [line.strip() for line in read_lines(golden / "corpus.txt")]
    rows = tokenizer.encode_batch(lines)
    ids = [row if line else None for line, row in zip(lines, rows)]
    return ids, tokenizer.cls_token_id, tokenizer.sep_token_id


@pytest.mark.parametrize("key", CASES)
def test_original_rules(golden, encoded_corpus, key):
    lines, cls_id, sep_id = encoded_corpus
    case = CASES[key]
    length, draws = case["max_length"], random.Random(case["seed"])
    packer = ExamplePacker("original", length, draws)
    records, after_line = [], []

    def collect(examples, line):
        for example in examples:
            records.append(encode_record(example, cls_id, sep_id, "uint16"))
            after_line.append(line)

    for number, ids in enumerate(lines):
        if ids is not None:
            collect(packer.add(ids), number)
        elif case["blanks_separate_docs"]:
            collect(packer.add(None), number)
    collect(packer.add(None), len(lines))

    batch = decode_records(records, "uint16", length)
    with np.load(golden / "data_builder.npz") as arrays:
        for ours, original in (
            (batch["token_ids"], "input_ids"),
            (batch["padding_mask"], "input_mask"),
            (batch["segment_ids"], "segment_ids"),
            (after_line, "after_line"),
        ):
            expected = arrays[f"{key}/{original}"]
            np.testing.assert_array_equal(ours, expected)
    assert draws.random() == case["next_random_after_all"]


def pack(packer, documents):
    """Examples of each document, as pairs of lists."""
    result = []
    for document in documents:
        examples = [e for line in document for e in packer.add(line)]
        examples += packer.add(None)
        result.append([(a.tolist(), b.tolist()) for a, b in examples])
    return result


@pytest.mark.parametrize("length", [5, 6, 7, 16, 128])
def test_default_rules_lose_nothing_and_keep_the_order(length):
    documents = make_documents(200, words=40)
    packer = ExamplePacker("default", length, random.Random(3))
    for document, examples in zip(documents, pack(packer, documents)):
        tokens = [id for first, second in examples for id in first + second]
        assert tokens == flatten([document])
        for first, second in examples:
            assert first
            size = len(first) + len(second) + 2 + bool(second)
            assert size <= length


def test_original_rules_lose_tokens():
    documents = make_documents(200, words=40)
    packed = pack(ExamplePacker("original", 16, random.Random(3)), documents)
    kept = collections.Counter(
        id
        for examples in packed
        for first, second in examples
        for id in first + second
    )
    everything = collections.Counter(flatten(documents))
    assert not kept - everything
    assert everything - kept


def test_default_rules_by_hand():
    # One segment (0.0 < 0.1), full at 8 - 2 tokens; 0.9: next is not short.
    packer = ExamplePacker("default", 8, Draws(0.0, 0.9, 0.5, 0.2, 0.9))
    line = [11, 12, 13, 14, 15, 16, 17]
    ((first, second),) = packer.add(line)
    assert first.tolist() == line[:6] and len(second) == 0
    # The rest goes on. Two segments (0.5); the first aims at (8 - 3) // 2 = 2
    # tokens, [21, 22] would exceed that and the draw 0.2 lets it.
    assert packer.add([21, 22]) == []
    ((first, second),) = packer.add([31, 32, 33])
    assert first.tolist() == [17, 21, 22]
    assert second.tolist() == [31, 32]
    # 33 waits for the end of the document.
    packer.generator.draws += [0.5, 0.9]
    ((first, second),) = packer.add(None)
    assert first.tolist() == [33] and len(second) == 0
    assert packer.generator.draws == []


def test_short_target():
    # 0.01 < 0.05 draws a short length, 5: 2 tokens after three special ones.
    packer = ExamplePacker("default", 8, Draws(0.5, 0.01, 5, 0.5, 0.9))
    ((first, _),) = packer.add([11, 12, 13, 14, 15, 16])
    assert first.tolist() == [11, 12, 13, 14, 15, 16]
    ((first, second),) = packer.add([21, 22, 23, 24])
    assert first.tolist() == [21, 22, 23]
    assert len(second) == 0


def test_shares_of_single_and_short_examples():
    draws = random.Random(0)
    packer = ExamplePacker("default", 128, draws)
    sizes = []
    for _ in range(40_000):
        for first, second in packer.add(np.arange(10)):
            sizes.append((len(first), len(second)))
    sizes = np.array(sizes)
    single = np.mean(sizes[:, 1] == 0)
    full = np.mean(sizes.sum(1) >= 125)
    assert abs(single - 0.1) < 0.02
    assert abs(full - 0.95) < 0.02


def test_empty_lines_and_documents_do_nothing():
    packer = ExamplePacker("default", 8, Draws())
    assert packer.add([]) == []
    assert packer.add(None) == []


def test_bad_arguments():
    with pytest.raises(ValueError, match="`sequence_length` must be"):
        ExamplePacker("default", 4)
    with pytest.raises(ValueError, match="`rules` must be one of.*bert"):
        ExamplePacker("bert", 128)


def test_gap_sentences_are_those_that_say_most():
    text = (
        "A red cat sat. The mat was red. A red cat sat on the mat. It rained!"
    )
    sources, targets = gap_sentences([text, "One alone.", text.split(". ")])
    assert targets == ["A red cat sat on the mat.", "A red cat sat on the mat"]
    assert sources[0] == "A red cat sat. The mat was red. It rained!"
    sources, _ = gap_sentences([text], fraction=0.99)
    assert sources == ["It rained!"]
    with pytest.raises(ValueError, match="fraction=0"):
        gap_sentences([text], 0)
