import itertools

import numpy as np
import pytest

from keras_electra.data.inputs import split_examples
from keras_electra.pretraining.batch_stream import read
from keras_electra.pretraining.batch_stream import to_stream

TEXTS = [f"text {i}" for i in range(10)]


def take(stream, count):
    return [list(batch) for batch in itertools.islice(iter(stream), count)]


def test_a_new_order_every_pass():
    stream = to_stream(read(TEXTS), batch_size=5, shuffle=True)
    assert len(stream) == 2
    batches = take(stream, 4)
    first, second = batches[0] + batches[1], batches[2] + batches[3]
    assert sorted(first) == sorted(second) == TEXTS
    assert first != second != TEXTS


def test_position_is_exact():
    stream = to_stream(read(TEXTS), batch_size=4, shuffle=True)
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
    stream = to_stream(read(TEXTS), batch_size=4)
    sizes = [len(batch) for batch in take(stream, 6)]
    assert sizes == [4, 4, 2, 4, 4, 2]


def test_pairs_arrays_and_streams():
    pairs = to_stream(read((TEXTS, TEXTS[::-1])), batch_size=3)
    first, second = next(iter(pairs))
    assert list(first) == TEXTS[:3] and list(second) == TEXTS[:-4:-1]
    rows = {"token_ids": np.arange(12).reshape(6, 2)}
    arrays = to_stream(read(rows), batch_size=3)
    np.testing.assert_array_equal(
        next(iter(arrays))["token_ids"], [[0, 1], [2, 3], [4, 5]]
    )
    for x in (iter(TEXTS), iter([TEXTS[:4], TEXTS[4:8], TEXTS[8:]])):
        stream = to_stream(read(x), batch_size=4)
        assert [len(batch) for batch in stream] == [4, 4, 2]
        assert stream.position is None
    table = read({"text": TEXTS, "title": TEXTS})
    assert list(next(iter(to_stream(table, 2)))) == TEXTS[:2]


def test_the_last_examples_are_held_out():
    (a, *_), (b, *_) = split_examples(read(list("pqrstuvw")), 0.25)
    assert a == list("pqrstu") and b == list("vw")
    with pytest.raises(ValueError, match="`validation_split` must leave"):
        split_examples(read(["a", "b"]), 0.9)
    with pytest.raises(ValueError, match="for data in memory"):
        split_examples(iter(["a"]), 0.5)


def test_bad_data():
    with pytest.raises(ValueError, match="at least one example"):
        to_stream(read([]))
    with pytest.raises(ValueError, match="lengths"):
        read((["a"], ["b", "c"]))
    with pytest.raises(TypeError, match="Entry 1 is .*missing"):
        read(["a", None])
