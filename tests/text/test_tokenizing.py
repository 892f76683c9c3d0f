"""Tokenizing blocks: in order, by any process, with results kept."""

import numpy as np
import pytest

from keras_electra.text.blocks import Block
from keras_electra.text.tokenizing import encode_lines
from keras_electra.text.tokenizing import tokenize_blocks
from tests.text.tiny_corpus import NumberTokenizer

BLOCKS = [Block([f"{i}", "", f"{i} {i + 1}"], []) for i in range(5, 25)]


def test_encode_lines():
    ids, lengths = encode_lines(
        ["5 6", "", "7"], NumberTokenizer().encode_batch, "uint16"
    )
    assert ids.tolist() == [5, 6, 7] and ids.dtype == "uint16"
    assert lengths.tolist() == [2, 0, 1]


@pytest.mark.parametrize("num_processes", [1, 2])
def test_in_order_and_kept(tmp_path, num_processes):
    for is_reused in (False, True):
        results = list(
            tokenize_blocks(
                BLOCKS, NumberTokenizer(), "uint16", tmp_path, num_processes
            )
        )
        assert [result.block for result in results] == BLOCKS
        assert all(result.is_reused is is_reused for result in results)
        for i, result in enumerate(results, start=5):
            np.testing.assert_array_equal(result.ids, [i, i, i + 1])
            np.testing.assert_array_equal(result.lengths, [1, 0, 2])


def test_kept_results_are_those_of_one_tokenizer(tmp_path):
    for name in ("first", "second"):
        results = tokenize_blocks(
            BLOCKS, NumberTokenizer(name=name), "uint16", tmp_path
        )
        assert not any(result.is_reused for result in results)


def test_stopping_half_way_ends_the_processes(tmp_path):
    results = tokenize_blocks(
        BLOCKS, NumberTokenizer(), "uint16", tmp_path, num_processes=2
    )
    next(results)
    results.close()  # would hang if a process went on
