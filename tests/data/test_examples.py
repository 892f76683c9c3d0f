"""Batches: content, order, exact positions, and `fit` on every backend."""

import itertools
import json
import pickle

import keras
import keras_hub
import numpy as np
import pytest

from keras_electra.backend import replicas
from keras_electra.data.examples import decode_records
from keras_electra.data.examples import load_examples
from keras_electra.data.examples import order_examples
from keras_electra.text.build import build_examples
from keras_electra.text.shards import encode_record
from tests.text.tiny_corpus import NumberTokenizer
from tests.text.tiny_corpus import make_documents
from tests.text.tiny_corpus import read_examples
from tests.text.tiny_corpus import write_corpus

LENGTH = 16


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("examples")
    build_examples(
        write_corpus(root / "corpus.txt", make_documents(40)),
        root / "out",
        NumberTokenizer(),
        sequence_length=LENGTH,
        validation_fraction=0.2,
        verbose=False,
    )
    return root / "out"


@pytest.fixture
def folder(shared_folder, tmp_path):
    """A copy that may be damaged."""
    for path in shared_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def take(dataset, count):
    return list(itertools.islice(dataset, count))


def rows(batches):
    return [tuple(row) for batch in batches for row in batch["token_ids"]]


def assert_same(batches, expected):
    assert len(batches) == len(expected)
    for ours, theirs in zip(batches, expected):
        assert list(ours) == list(theirs)
        for key in ours:
            np.testing.assert_array_equal(ours[key], theirs[key])


def test_content_in_order(shared_folder):
    dataset = load_examples(shared_folder, "train", batch_size=8)
    batches = list(dataset)
    examples = read_examples(shared_folder, "train")
    assert dataset.num_examples == len(examples)
    assert dataset.sequence_length == LENGTH
    assert not dataset.endless
    assert len(batches) == len(dataset) == -(-len(examples) // 8)
    assert [len(batch["token_ids"]) for batch in batches[:-1]] == [8] * (
        len(batches) - 1
    )
    joined = {
        key: np.concatenate([batch[key] for batch in batches])
        for key in ("token_ids", "segment_ids", "padding_mask")
    }
    for row, (ids, first_length) in enumerate(examples):
        size = len(ids)
        padding = [0] * (LENGTH - size)
        segments = [0] * first_length + [1] * (size - first_length)
        assert joined["token_ids"][row].tolist() == ids + padding
        assert joined["segment_ids"][row].tolist() == segments + padding
        assert joined["padding_mask"][row].tolist() == [1] * size + padding
    assert all(array.dtype == "int32" for array in joined.values())


def test_remainder(shared_folder):
    full = load_examples(shared_folder, "train", 8, drop_remainder=True)
    assert len(full) == full.num_examples // 8 == len(list(full))


def test_passes_are_permutations(shared_folder):
    in_order = rows(load_examples(shared_folder, "train", batch_size=8))
    count = len(in_order)
    dataset = load_examples(shared_folder, "train", batch_size=8, seed=3)
    assert dataset.endless
    shuffled = rows(take(dataset, 2 * len(dataset)))
    first, second = shuffled[:count], shuffled[count : 2 * count]
    assert sorted(first) == sorted(second) == sorted(in_order)
    assert first != second and first != in_order
    again = load_examples(shared_folder, "train", batch_size=8, seed=3)
    assert rows(take(again, len(dataset))) == shuffled[: 8 * len(dataset)]


@pytest.mark.parametrize("seed", [None, 3])
def test_positions_are_exact(shared_folder, seed):
    dataset = load_examples(shared_folder, "train", batch_size=8, seed=seed)
    # With a seed this crosses the end of a pass.
    count = len(dataset) + (4 if seed else 0)
    expected = take(dataset, count)
    assert dataset.position == 0
    for position in (0, 1, 5, len(dataset) - 1, count - 1):
        dataset.position = position
        assert_same(take(dataset, count - position), expected[position:])
        assert dataset.position == position
    dataset.position = 0

    iterator = iter(dataset)
    for _ in range(3):
        next(iterator)
    state = json.loads(json.dumps(iterator.get_state()))
    other = iter(dataset)
    other.set_state(state)
    assert_same(take(other, count - 3), expected[3:])
    assert_same(take(iterator, count - 3), expected[3:])

    # The state of a mapped dataset is that of ours.
    mapped = iter(dataset.map(lambda batch: batch["token_ids"]))
    mapped.set_state(state)
    np.testing.assert_array_equal(next(mapped), expected[3]["token_ids"])


def test_position_errors(shared_folder):
    dataset = load_examples(shared_folder, "train", batch_size=8)
    for position in (-1, 1.5):
        dataset.position = position
        with pytest.raises(ValueError, match="`position` must be an integer"):
            iter(dataset)
    dataset.position = len(dataset)
    assert list(dataset) == []


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_feed_blocks_of_one_batch(
    shared_folder, monkeypatch, processes
):
    whole = load_examples(shared_folder, "train", batch_size=8)
    assert whole.num_examples % 8
    monkeypatch.setattr(replicas, "devices", lambda: processes)
    for position in range(len(whole)):
        expected, shares = whole.batch(position), []
        for index in range(processes):
            here = index, processes
            monkeypatch.setattr(replicas, "processes", lambda: here)
            shares.append(whole.own_batch(position))
        fillers = shares[0]["filler"].shape[1]
        rows = len(expected["token_ids"])
        assert fillers == -rows % processes
        for name, array in expected.items():
            parts = [share[name] for share in shares]
            assert len(set(map(len, parts))) == 1
            joined = np.concatenate(parts)
            np.testing.assert_array_equal(joined[:rows], array)
            assert len(joined) == rows + fillers and not joined[rows:].any()


def test_pickle(shared_folder):
    dataset = load_examples(shared_folder, "train", batch_size=8, seed=1)
    dataset.position = 2
    copy = pickle.loads(pickle.dumps(dataset))
    assert_same(take(copy, 3), take(dataset, 3))


def make_model(model_class):
    """A model that reads batches of examples and learns nothing of use."""
    inputs = {
        key: keras.Input((LENGTH,), dtype="int32", name=key)
        for key in ("token_ids", "segment_ids", "padding_mask")
    }
    mask = keras.ops.cast(inputs["padding_mask"], "float32")

    class Model(model_class):
        def preprocess_samples(self, x, y=None, sample_weight=None):
            assert x["token_ids"].ndim == 2
            return x

        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            return keras.ops.mean(keras.ops.square(y_pred))

    model = Model(inputs, keras.layers.Dense(1)(mask))
    model.compile("sgd", jit_compile=False)
    return model


class CountBatches(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.train = self.test = 0

    def on_train_batch_end(self, batch, logs=None):
        self.train += 1

    def on_test_batch_end(self, batch, logs=None):
        self.test += 1


# A `Task` maps its preprocessing over the data set, a model reads it directly.
PIPELINE_MODEL = keras_hub.models.Task.__base__


@pytest.mark.parametrize("model_class", [keras.Model, PIPELINE_MODEL])
def test_fit(shared_folder, model_class):
    train = load_examples(shared_folder, "train", batch_size=8, seed=0)
    validation = load_examples(shared_folder, "validation", batch_size=8)
    count = CountBatches()
    model = make_model(model_class)
    steps = len(train) + 2
    model.fit(
        train,
        validation_data=validation,
        validation_steps=len(validation),
        steps_per_epoch=steps,
        epochs=2,
        callbacks=[count],
        shuffle=False,
        verbose=0,
    )
    assert count.train == 2 * steps
    assert count.test == 2 * len(validation)


def test_errors(folder):
    with pytest.raises(ValueError, match="`split` must be one of"):
        load_examples(folder, "test", 8)
    with pytest.raises(FileNotFoundError, match="holds no examples"):
        load_examples(folder / "none", "train", 8)
    with pytest.raises(ValueError, match="`batch_size` must be an integer"):
        load_examples(folder, "train", 0)


def test_another_tokenizer(folder):
    load_examples(folder, "train", 8, tokenizer=NumberTokenizer())
    with pytest.raises(ValueError) as info:
        load_examples(folder, "train", 8, tokenizer=NumberTokenizer(900))
    message = str(info.value)
    for part in ("1000}", "numbers-1000", "900}", "numbers-900"):
        assert part in message


def test_empty_split(tmp_path):
    build_examples(
        write_corpus(tmp_path / "corpus.txt", make_documents(3)),
        tmp_path / "out",
        NumberTokenizer(),
        verbose=False,
    )
    with pytest.raises(ValueError, match="no validation.*fraction': 0.0"):
        load_examples(tmp_path / "out", "validation", 8)


def test_damaged_files(folder):
    path = folder / "train-00000.array_record"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="train-00000.*is damaged"):
        load_examples(folder, "train", 8)
    path.write_bytes(data[:100] + b"\1" + data[101:])
    with pytest.raises(ValueError, match="train-00000.*checksum"):
        load_examples(folder, "train", 8, verify=True)


def test_ids_beyond_the_vocabulary(folder):
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["tokenizer"]["vocabulary_size"] = 50
    del metadata["digest"]
    path.write_text(json.dumps(metadata))
    dataset = load_examples(folder, "train", 8)
    with pytest.raises(ValueError, match="train examples.*no token id"):
        next(iter(dataset))


def example(first, second):
    return np.array(first, "int32"), np.array(second, "int32")


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_records_by_hand(dtype):
    records = [
        encode_record(example([7], [9]), 2, 3, dtype),
        encode_record(example([8], []), 2, 3, dtype),
        encode_record(example([6, 6, 6, 6], []), 2, 3, dtype),
    ]
    assert np.frombuffer(records[0], dtype).tolist() == [3, 2, 7, 3, 9, 3]
    batch = decode_records(records, dtype, 6, pad_token_id=1)
    expected = {
        "token_ids": [
            [2, 7, 3, 9, 3, 1],
            [2, 8, 3, 1, 1, 1],
            [2, 6, 6, 6, 6, 3],
        ],
        "segment_ids": [[0, 0, 0, 1, 1, 0], [0] * 6, [0] * 6],
        "padding_mask": [[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0], [1] * 6],
    }
    assert list(batch) == list(expected)
    for key, value in expected.items():
        assert batch[key].dtype == "int32"
        assert batch[key].tolist() == value


def test_too_long_a_record_is_refused():
    record = encode_record(example([7, 7], [9]), 2, 3, "uint16")
    with pytest.raises(ValueError, match="has 6 tokens, more than .*=5"):
        decode_records([record], "uint16", 5)


def batches(order, count):
    return [order[position].tolist() for position in range(count)]


def test_order_without_seed():
    order = order_examples(7, batch_size=3)
    assert len(order) == 3
    assert batches(order, 3) == [[0, 1, 2], [3, 4, 5], [6]]
    order = order_examples(7, batch_size=3, drop_rest=True)
    assert batches(order, len(order)) == [[0, 1, 2], [3, 4, 5]]


def test_order_with_seed_is_another_permutation_each_pass():
    order = order_examples(10, batch_size=4, seed=1)
    places = sum(batches(order, 10), [])
    passes = [places[start : start + 10] for start in (0, 10, 20, 30)]
    assert all(sorted(one) == list(range(10)) for one in passes)
    assert len(set(map(tuple, passes))) == 4
    assert all(len(order[n]) == 4 for n in (2, 4, 1_000_000_007))


def test_seeds_give_unrelated_orders():
    # Neighbouring seeds must not repeat each other's passes.
    first, second, again = (
        batches(order_examples(50, batch_size=50, seed=seed), 4)
        for seed in (0, 1, 0)
    )
    assert first[1] != second[0] and first[0] != second[0]
    assert first == again


def test_bad_orders():
    with pytest.raises(ValueError, match="`batch_size` must be an integer"):
        order_examples(7, batch_size=0)
