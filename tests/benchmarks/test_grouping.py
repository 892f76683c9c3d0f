import keras
import numpy as np
import pytest
from harness.grouping import GroupedBatches
from harness.grouping import bucket_lengths

# Tokens in each of 23 rows of 16.
SIZES = np.array([3, 4, 2, 9, 16, 4, 4, 5, 8, 1, 3, 16, 7, 2, 4, 4, 6, 12, 3])
SIZES = np.append(SIZES, [4, 4, 2, 10])


def grouped(**kwargs):
    mask = np.arange(16) < SIZES[:, None]
    x = {
        "token_ids": np.where(mask, np.arange(23)[:, None] + 1, 0),
        "padding_mask": mask,
        "start_positions": np.arange(23),
    }
    options = {"batch_size": 4, "lengths": (4, 8)}
    return GroupedBatches(x, np.arange(23), **{**options, **kwargs})


def test_every_row_once_in_batches_of_full_size():
    batches = grouped()
    assert len(batches) == 6
    for epoch in range(3):
        plan = batches.plan(epoch)
        assert sorted(np.concatenate(plan)) == list(range(23))
        assert sorted(len(rows) for rows in plan) == [3, 4, 4, 4, 4, 4]


def test_rows_are_cut_to_the_longest_of_a_batch():
    batches = grouped()
    lengths = []
    for index in range(6):
        x, y = batches.batch(index)
        length = x["token_ids"].shape[1]
        lengths.append(length)
        assert length == min(n for n in (4, 8, 16) if n >= SIZES[y].max())
        # Nothing but padding is cut, and what belongs together stays so.
        assert (x["padding_mask"].sum(axis=1) == SIZES[y]).all()
        assert (x["token_ids"][:, 0] == y + 1).all()
        assert (x["start_positions"] == y).all()
    # 12 rows of the 23 have up to 4 tokens, so 3 batches are as short.
    assert lengths.count(4) == 3 and len(set(lengths)) == 3
    assert lengths[0] != lengths[1]


def test_epochs_differ_and_seeds_repeat():
    batches = grouped()
    first, second = (np.concatenate(batches.plan(i)) for i in (0, 1))
    assert not np.array_equal(first, second)
    again, other = grouped(seed=0), grouped(seed=1)
    assert np.array_equal(first, np.concatenate(again.plan(0)))
    assert not np.array_equal(first, np.concatenate(other.plan(0)))
    assert batches.batch(7)[1].tolist() == batches.plan(1)[1].tolist()


def test_the_data_set_goes_on_with_new_orders():
    batches = grouped()
    repeated = batches.dataset().repeat(2)
    assert len(repeated) == 12
    for index in range(12):
        _, y = repeated[index]
        epoch, number = divmod(index, 6)
        assert y.tolist() == batches.plan(epoch)[number].tolist()


def test_labels_of_tokens_are_cut_too():
    labels = np.arange(23 * 16).reshape(23, 16)
    mask = {"padding_mask": np.arange(16) < SIZES[:, None]}
    options = {"batch_size": 4, "lengths": (4, 8)}
    cut = GroupedBatches(mask, labels, labels, cut_labels=True, **options)
    whole = GroupedBatches(mask, labels, **options)
    for index in range(6):
        x, y, weights = cut.batch(index)
        assert x["padding_mask"].shape == y.shape == weights.shape
        np.testing.assert_array_equal(y, whole.batch(index)[1][:, : y.shape[1]])


def test_without_lengths_nothing_is_cut():
    batches = grouped(lengths=None)
    assert {batches.batch(i)[0]["token_ids"].shape[1] for i in range(6)} == {16}
    assert bucket_lengths(100, (8, 64)) == [8, 64, 100]
    assert bucket_lengths(800) == [*bucket_lengths(512), 640, 768, 800]


def test_tensors_are_taken():
    x = {"padding_mask": keras.ops.ones((3, 4), "int32")}
    (rows,) = GroupedBatches(x).plan(0)
    assert sorted(rows) == [0, 1, 2]


@pytest.mark.parametrize(
    "x, y, message",
    [
        ([1], None, "padding_mask.*list"),
        ({"token_ids": np.ones((2, 3))}, None, "padding_mask.*token_ids"),
        ({"padding_mask": np.ones((2, 3))}, np.ones(3), r"rows.*\[2, 3\]"),
        ({"padding_mask": np.ones((0, 3))}, None, "at least one"),
    ],
)
def test_bad_arguments(x, y, message):
    with pytest.raises(ValueError, match=message):
        GroupedBatches(x, y)
