import itertools

import numpy as np
import pytest

from keras_electra.pretraining.batch_stream import BatchStream
from keras_electra.pretraining.batch_stream import MemoryBatches
from keras_electra.pretraining.batch_stream import Rows
from keras_electra.pretraining.batch_stream import hold_out
from keras_electra.pretraining.batch_stream import to_stream

TEXTS = [f"text {i}" for i in range(10)]


def take(stream, count):
    return [list(batch) for batch in itertools.islice(iter(stream), count)]


def test_a_new_order_every_pass():
    stream = to_stream(TEXTS, batch_size=5, shuffle=True)
    assert len(stream) == 2
    batches = take(stream, 4)
    first, second = batches[0] + batches[1], batches[2] + batches[3]
    assert sorted(first) == sorted(second) == TEXTS
    assert first != second != TEXTS


def test_position_is_exact():
    stream = to_stream(TEXTS, batch_size=4, shuffle=True)
    batches = take(stream, 9)
    stream.position = 5
    assert take(stream, 4) == batches[5:]
    iterator = iter(stream)
    next(iterator)
    state = iterator.get_state()
    assert state == {"position": 6}
    other = iter(stream)
    other.set_state(state)
    assert list(next(other)) == batches[6]


def test_in_order_it_begins_again():
    stream = to_stream(TEXTS, batch_size=4)
    sizes = [len(batch) for batch in take(stream, 6)]
    assert sizes == [4, 4, 2, 4, 4, 2]
    stream = to_stream(TEXTS, batch_size=4, length=2)
    assert take(stream, 4)[2] == TEXTS[:4]


def test_pairs_and_arrays():
    pairs = to_stream((TEXTS, TEXTS[::-1]), batch_size=3)
    first, second = next(iter(pairs))
    assert list(first) == TEXTS[:3] and list(second) == TEXTS[:-4:-1]
    arrays = to_stream({"token_ids": np.arange(6)}, batch_size=3)
    np.testing.assert_array_equal(next(iter(arrays))["token_ids"], [0, 1, 2])


def test_the_last_examples_are_held_out():
    (a, b), (c, d) = hold_out((list("pqrstuvw"), list(range(8))), 0.25)
    assert list(a) == list("pqrstu") and list(c) == list("vw")
    assert list(b) == [0, 1, 2, 3, 4, 5] and list(d) == [6, 7]
    with pytest.raises(ValueError, match="for data in memory.*BatchStream"):
        hold_out(to_stream(["a", "b"]), 0.5)
    with pytest.raises(ValueError, match="`validation_split` must leave"):
        hold_out(["a", "b"], 0.9)


def test_other_data_sets_pass_through():
    data = iter([1])
    assert to_stream(data) is data


def test_batches_of_another_source_keep_its_position():
    source = MemoryBatches(TEXTS, 4, shuffle=True)
    source.position = 3
    assert BatchStream(source).position == 3


@pytest.mark.parametrize("data", [[], (["a"], ["b", "c"])])
def test_bad_data(data):
    with pytest.raises(ValueError, match="at least one example"):
        Rows(data)
