"""The order of examples: permutations, passes, shares of processes."""

import pytest

from keras_electra.data.order import ExampleOrder


def batches(order, count):
    return [order.indices(position) for position in range(count)]


def test_without_seed():
    order = ExampleOrder(7, batch_size=3)
    assert order.batches_in_pass == 3
    assert batches(order, 3) == [[0, 1, 2], [3, 4, 5], [6]]
    assert order.has_batch(2) and not order.has_batch(3)
    with pytest.raises(IndexError, match="There are 3 batches"):
        order.indices(3)
    order = ExampleOrder(7, batch_size=3, drop_remainder=True)
    assert batches(order, order.batches_in_pass) == [[0, 1, 2], [3, 4, 5]]


def test_with_seed_each_pass_is_another_permutation():
    order = ExampleOrder(10, batch_size=4, seed=1)
    assert order.batches_in_pass == 3
    places = sum(batches(order, 10), [])
    passes = [places[start : start + 10] for start in (0, 10, 20, 30)]
    assert all(sorted(one) == list(range(10)) for one in passes)
    assert len(set(map(tuple, passes))) == 4
    assert all(len(order.indices(n)) == 4 for n in (2, 4, 1_000_000_007))


def test_seeds_give_unrelated_orders():
    # Neighbouring seeds must not repeat each other's passes.
    first = ExampleOrder(50, batch_size=50, seed=0)
    second = ExampleOrder(50, batch_size=50, seed=1)
    assert first.indices(1) != second.indices(0)
    assert first.indices(0) != second.indices(0)
    again = ExampleOrder(50, batch_size=50, seed=0)
    assert first.indices(3) == again.indices(3)


@pytest.mark.parametrize("seed", [None, 5])
def test_processes_share_one_order(seed):
    alone = ExampleOrder(13, batch_size=6, seed=seed)
    shares = [ExampleOrder(13, 2, seed, index, 3) for index in range(3)]
    counts = {share.batches_in_pass for share in shares}
    assert len(counts) == 1
    for position in range(2):
        parts = [share.indices(position) for share in shares]
        together = [parts[p][i] for i in range(2) for p in range(3)]
        assert together == alone.indices(position)


def test_processes_have_equally_many_batches():
    # 13 = 4 * 3 + 1: one example is left out, no process has a third batch.
    shares = [ExampleOrder(13, 2, None, index, 3) for index in range(3)]
    seen = [sum(batches(share, share.batches_in_pass), []) for share in shares]
    assert [len(one) for one in seen] == [4, 4, 4]
    assert sorted(sum(seen, [])) == list(range(12))


def test_bad_arguments():
    with pytest.raises(ValueError, match="`batch_size` must be an integer"):
        ExampleOrder(7, batch_size=0)
    with pytest.raises(ValueError, match="`process_index` must be in"):
        ExampleOrder(7, 2, process_index=2, num_processes=2)
    with pytest.raises(ValueError, match="=8` processes cannot share 7"):
        ExampleOrder(7, 2, num_processes=8)
