import keras
import numpy as np
import pytest

from keras_electra.tasks.shuffling import shuffled_fit


def record(x, y=None, epochs=1, validation_data=None, **kwargs):
    """Stands for `fit`: what a KerasHub task would see."""
    if hasattr(x, "repeat"):
        x = list(x.repeat(epochs))
    return x, validation_data


def test_each_epoch_has_its_own_order():
    texts = [str(i) for i in range(8)]
    batches, _ = shuffled_fit(record, texts, list(range(8)), 4, epochs=2)
    assert [len(y) for _, y in batches] == [4, 4, 4, 4]
    for x, y in batches:
        assert [int(text) for text in x] == y.tolist()
        assert y.dtype == "int32"
    orders = [
        np.concatenate([y for _, y in batches[i : i + 2]]) for i in (0, 2)
    ]
    for order in orders:
        assert sorted(order) == list(range(8))
        assert order.tolist() != list(range(8))
    assert orders[0].tolist() != orders[1].tolist()


def test_order_follows_the_seed_and_can_be_kept():
    def order(**kwargs):
        keras.utils.set_random_seed(1)
        batches, _ = shuffled_fit(
            record, {"a": np.arange(8)}, np.arange(8), 8, **kwargs
        )
        [(x, y)] = batches
        assert x["a"].tolist() == y.tolist()
        return y.tolist()

    assert order() == order() != list(range(8))
    assert order(shuffle=False) == list(range(8))


def test_pairs_weights_and_held_out_examples():
    pairs = (["a", "b", "c", "d"], ["e", "f", "g", "h"])
    batches, held_out = shuffled_fit(
        record, pairs, [0, 1, 2, 3], 2, [0.0, 1.0, 2.0, 3.0],
        validation_split=0.5,
    )  # fmt: skip
    [((first, second), y, weights)] = batches
    assert set(zip(first, second)) == {("a", "e"), ("b", "f")}
    assert weights.tolist() == y.tolist()
    assert held_out[0][1].tolist() == ["g", "h"]
    assert held_out[1].tolist() == [2, 3]


def test_pairs_without_labels():
    batches, _ = shuffled_fit(record, (["a"], ["b"]))
    [((first, second),)] = batches
    assert (first.tolist(), second.tolist()) == (["a"], ["b"])


def test_data_sets_are_left_alone():
    data = iter([1])
    assert shuffled_fit(record, data)[0] is data


def test_errors():
    with pytest.raises(ValueError, match=r"different lengths: \[1, 2\]"):
        shuffled_fit(record, ["a", "b"], [1])
    with pytest.raises(ValueError, match="validation_split=0.9 for 2"):
        shuffled_fit(record, ["a", "b"], [1, 2], validation_split=0.9)
    with pytest.raises(ValueError, match="validation_split=0.5 and a data"):
        shuffled_fit(record, iter([["a", "b"]]), validation_split=0.5)
