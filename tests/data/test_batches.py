import keras
import numpy as np
import pytest

from keras_electra.data.batches import Batches
from keras_electra.data.batches import Rows
from keras_electra.data.batches import round_length
from keras_electra.data.streams import Stream


def rows_of(lengths, width=100, **kwargs):
    """Row `i` holds `i + 1` as often as its length; its label is `i`."""
    shape = (len(lengths), width)
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype("int32")
    ids = np.where(mask, np.arange(1, len(lengths) + 1)[:, None], 7)
    x = {"token_ids": ids, "padding_mask": mask}
    assert mask.shape == shape
    return Rows([(x, np.arange(len(lengths)), None)], 7, **kwargs)


LENGTHS = [3, 50, 7, 20, 5, 60, 6, 21, 4, 90, 22]


def labels(batches, count, start=0):
    return [batches.batch(start + i)[1].tolist() for i in range(count)]


def test_rows_come_back():
    rows = rows_of([3, 5, 1])
    x, y, weights = rows.take(np.array([2, 0]), 4)
    assert x["token_ids"].tolist() == [[3, 7, 7, 7], [1, 1, 1, 7]]
    assert x["padding_mask"].tolist() == [[1, 0, 0, 0], [1, 1, 1, 0]]
    assert x["token_ids"].dtype == "int32"
    assert y.tolist() == [2, 0] and weights is None


def test_chunks_of_other_lengths_choices_and_labels_of_tokens():
    mask = np.ones((2, 3, 4), "int32")
    short = {"token_ids": 2 * mask[..., :2], "padding_mask": mask[..., :2]}
    rows = Rows([({"token_ids": mask, "padding_mask": mask}, None, None),
                 (short, None, None)])  # fmt: skip
    x, _, _ = rows.take(np.array([1, 3]), 4)
    assert x["token_ids"][1].tolist() == [[2, 2, 0, 0]] * 3
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    x = {"token_ids": mask, "padding_mask": mask}
    rows = Rows([(x, 5 * mask, mask / 2)], token_labels=True)
    _, y, weights = rows.take(np.array([0]), 2)
    assert y.tolist() == [[5, 5]] and weights.tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("order", ["grouped", "shuffled"])
def test_a_new_order_every_pass(order):
    batches = Batches(rows_of(LENGTHS), 3, order)
    assert len(batches) == 4 and batches.endless
    passes = [sum(labels(batches, 4, start), []) for start in (0, 4)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(11))
    assert passes[0] != passes[1]
    again = Batches(rows_of(LENGTHS), 3, order)
    again._seed = batches._seed
    assert labels(again, 8) == labels(batches, 8)
    keras.utils.set_random_seed(3)
    one = labels(Batches(rows_of(LENGTHS), 3, order), 4)
    keras.utils.set_random_seed(3)
    assert labels(Batches(rows_of(LENGTHS), 3, order), 4) == one


def test_rows_of_alike_length_go_together():
    short, long = [5] * 40, [90] * 40
    batches = Batches(rows_of(short + long), 8, "grouped")
    widths = [batches.batch(i)[0]["token_ids"].shape[1] for i in range(10)]
    assert sorted(widths) == [round_length(5)] * 5 + [round_length(90, 100)] * 5
    assert widths != sorted(widths)


def test_orders_with_an_end():
    given = Batches(rows_of(LENGTHS), 4)
    assert labels(given, 3) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert labels(given, 3, start=3) == labels(given, 3)
    by_length = Batches(rows_of(LENGTHS), 4, "by_length")
    assert labels(by_length, 3)[0] == [9, 5, 1, 10]
    assert by_length.indices(2).tolist() == [4, 8, 0]


def test_neighbours_stay_together():
    batches = Batches(rows_of(LENGTHS[:10]), 2, "grouped", unit=2)
    for batch in labels(batches, 3):
        assert all(a % 2 == 0 and b == a + 1 for a, b in
                   zip(batch[::2], batch[1::2]))  # fmt: skip


def test_lengths_are_few_where_shapes_are_compiled():
    exact = keras.config.backend() == "torch"
    assert [round_length(n) for n in (9, 17, 100, 513)] == (
        [9, 17, 100, 513] if exact else [16, 24, 128, 640]
    )
    assert round_length(90, 92) == (90 if exact else 92)


def test_streams_of_batches_have_positions():
    batches = Batches(rows_of(LENGTHS), 4, "grouped")
    stream = Stream(batches)
    assert len(stream) == stream.steps == 3 and stream.endless
    iterator = iter(stream)
    seen = [next(iterator)[1].tolist() for _ in range(7)]
    assert seen == labels(batches, 7)
    assert iterator.get_state() == {"position": 7}
    stream.position = 5
    assert next(iter(stream))[1].tolist() == seen[5]
    begun_again = Stream(Batches(rows_of(LENGTHS), 4))
    iterator = iter(begun_again)
    assert [len(next(iterator)[1]) for _ in range(5)] == [4, 4, 3, 4, 4]
