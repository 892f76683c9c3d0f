import grain
import numpy as np
import pytest

from keras_electra.tasks.loaders import LoaderBatches
from keras_electra.tasks.loaders import is_loader
from keras_electra.tasks.loaders import to_batch


class Loader:
    def __len__(self):
        return 2

    def __iter__(self):
        yield [("a", "b"), [[1, 2]]]
        yield [("c",), [[3]]]


def test_batches_begin_again():
    batches = LoaderBatches(Loader())
    assert batches.num_batches == 2
    iterator = iter(batches)
    firsts = [next(iterator)[0].tolist() for _ in range(5)]
    assert firsts == [["a", "b"], ["c"], ["a", "b"], ["c"], ["a", "b"]]


def test_what_is_a_loader():
    assert is_loader(Loader())
    data = grain.MapDataset.source([1])
    for other in (["a"], ("a",), {}, np.zeros(2), "a", data, None, iter([1])):
        assert not is_loader(other)


def test_collated_batches():
    first, (second, third) = to_batch([("a", "b"), [["c", "d"], ["e", "f"]]])
    assert first.tolist() == ["a", "b"] and first.dtype == object
    assert (second.tolist(), third.tolist()) == (["c", "d"], ["e", "f"])
    x = to_batch({"x": np.array([1])})
    assert x["x"].tolist() == [1]
    assert to_batch(["a"]).tolist() == ["a"]


def test_torch():
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader([("a", 0), ("b", 1)], batch_size=2)
    assert is_loader(loader)
    x, y = next(iter(LoaderBatches(loader)))
    assert x.tolist() == ["a", "b"] and y.tolist() == [0, 1]
