"""Whatever holds texts and labels gives what a list gives."""

import collections

import grain
import keras
import numpy as np
import pytest

from keras_electra.tasks.text_classifier import ElectraTextClassifier
from tests import checks

TEXTS = ["the chef", "a meal .", "the chef cooked a meal", "ate", "the meal"]
LABELS = [0, 1, 0, 1, 1]
EXAMPLES = list(zip(TEXTS, LABELS))


def build(**kwargs):
    task = ElectraTextClassifier(
        checks.tiny_backbone(dropout=0.0),
        preprocessor=ElectraTextClassifier.preprocessor_cls(
            checks.tiny_tokenizer(), sequence_length=12
        ),
        **{"labels": ["bad", "good"], "dropout": 0.0, **kwargs},
    )
    task.compile(run_eagerly=keras.config.backend() != "jax")
    return task


@pytest.fixture(scope="module")
def task():
    return build()


def library(name):
    return pytest.importorskip(name, reason=f"{name} is not installed")


def with_tf(make):
    return make(library("tensorflow"))


# Columns: a function of a list.
COLUMNS = {
    "list": list,
    "array": np.array,
    "objects": lambda column: np.array(column, dtype=object),
    "deque": collections.deque,
    "pandas": lambda column: library("pandas").Series(column),
    "polars": lambda column: library("polars").Series(column),
    "pyarrow": lambda column: library("pyarrow").array(column),
    "chunks": lambda column: library("pyarrow").chunked_array([column]),
    "datasets": lambda column: library("datasets").Dataset.from_dict(
        {"column": column}
    )["column"],
    "tensors": lambda column: with_tf(lambda tf: tf.constant(column)),
    "tuple": tuple,
}
TABLE = {"sentence": TEXTS, "label": LABELS, "index": LABELS}
TABLES = {
    "dict": lambda: TABLE,
    "records": lambda: [
        {"text": text, "label": label} for text, label in EXAMPLES
    ],
    "pandas": lambda: library("pandas").DataFrame(TABLE),
    "polars": lambda: library("polars").DataFrame(TABLE),
    "pyarrow": lambda: library("pyarrow").table(TABLE),
    "datasets": lambda: library("datasets").Dataset.from_dict(TABLE),
}


def batches(examples=EXAMPLES, size=2):
    for start in range(0, len(examples), size):
        texts, labels = zip(*examples[start : start + size])
        yield list(texts), list(labels)


class PyDataset(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        texts, labels = list(batches())[index]
        return np.array(texts, dtype=object), np.array(labels)


class MapStyle:
    def __len__(self):
        return len(EXAMPLES)

    def __getitem__(self, index):
        return EXAMPLES[index]


def iterable_loader(**kwargs):
    data = library("torch").utils.data

    class Iterable(data.IterableDataset):
        def __iter__(self):
            return iter(EXAMPLES)

    return data.DataLoader(Iterable(), **kwargs)


def loader(data, **kwargs):
    return library("torch").utils.data.DataLoader(data, batch_size=2, **kwargs)


def tf_data():
    columns = (TEXTS, LABELS)
    return with_tf(lambda tf: tf.data.Dataset.from_tensor_slices(columns))


STREAMS = {
    "generator": batches,
    "examples": lambda: iter(EXAMPLES),
    "map": lambda: map(tuple, EXAMPLES),
    "map style": MapStyle,
    "loader": lambda: loader(EXAMPLES),
    "loader of dicts": lambda: loader(
        [{"text": text, "labels": label} for text, label in EXAMPLES]
    ),
    "iterable": lambda: iterable_loader(batch_size=2),
    "not collated": lambda: iterable_loader(batch_size=None),
    "tf.data": lambda: tf_data().batch(2),
    "tf.data, examples": tf_data,
    "tf.data, unknown": lambda: tf_data().batch(2).filter(lambda x, y: True),
    "grain": lambda: grain.MapDataset.source(EXAMPLES).batch(2),
    "grain, examples": lambda: grain.MapDataset.source(EXAMPLES),
    "grain, iterable": lambda: (
        grain.MapDataset.source(EXAMPLES).to_iter_dataset().batch(2)
    ),
    "grain.DataLoader": lambda: grain.DataLoader(
        data_source=EXAMPLES,
        sampler=grain.samplers.SequentialSampler(
            len(EXAMPLES), shard_options=grain.sharding.NoSharding()
        ),
        operations=[grain.transforms.Batch(2)],
        worker_count=0,
    ),
    "PyDataset": PyDataset,
    "datasets, iterable": lambda: (
        library("datasets").Dataset.from_dict(TABLE).to_iterable_dataset()
    ),
}


def loss_of(task, *data, **kwargs):
    return task.evaluate(*data, verbose=0, return_dict=True, **kwargs)["loss"]


def check(task, make_data, make_texts):
    expected = pytest.approx(loss_of(task, TEXTS, LABELS), abs=1e-5)
    assert loss_of(task, *make_data()) == expected
    np.testing.assert_allclose(
        task.predict(make_texts(), verbose=0),
        task.predict(TEXTS, verbose=0),
        atol=1e-5,
    )
    assert task.classify(make_texts())[2][0][0] in ("bad", "good")
    history = task.fit(
        *make_data(), batch_size=2, epochs=2, verbose=0,
        validation_data=(
            make_data() if len(make_data()) > 1 else make_data()[0]
        ),
    ).history  # fmt: skip
    assert np.isfinite(history["loss"]).all()
    after = loss_of(task, TEXTS, LABELS)
    assert history["val_loss"][1] == pytest.approx(after, abs=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in COLUMNS if kind != "tuple"])
def test_columns(task, kind):
    make = COLUMNS[kind]
    check(task, lambda: (make(TEXTS), make(LABELS)), lambda: make(TEXTS))


@pytest.mark.parametrize("kind", TABLES)
def test_tables(task, kind):
    check(task, lambda: (TABLES[kind](),), TABLES[kind])


@pytest.mark.parametrize("kind", STREAMS)
def test_streams(task, kind):
    check(task, lambda: (STREAMS[kind](),), STREAMS[kind])


def test_what_is_wrong_in_a_stream_names_the_batch(task):
    def examples():
        for i in range(9):
            yield (None if i == 6 else "the chef"), 0

    for use in (task.fit, task.evaluate, task.predict):
        with pytest.raises(TypeError, match="In batch 1, from 0: .*Entry 2 is"):
            use(examples(), batch_size=4)


def labels_seen(task, *data, epochs=1, **kwargs):
    """Labels of the steps of `fit`, in their order; on torch only."""
    seen, step = [], task.train_step

    def record(data):
        _, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        seen.extend(keras.ops.convert_to_numpy(y).tolist())
        return step(data)

    task.train_step = record
    try:
        task.fit(*data, epochs=epochs, verbose=0, **kwargs)
    finally:
        del task.train_step
    return seen


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="looks into the steps of torch"
)
def test_what_is_in_memory_is_shuffled_anew(task):
    pandas = library("pandas")
    texts, numbers = ["the"] * 40, [0] * 20 + [1] * 20
    for x in (texts, pandas.Series(texts), {"text": texts}):
        seen = labels_seen(task, x, numbers, epochs=2, batch_size=5)
        first, second = seen[:40], seen[40:]
        assert sorted(first) == sorted(second) == numbers
        assert first != second and first != numbers
    kept = labels_seen(task, texts, numbers, shuffle=False)
    assert kept == numbers
    assert labels_seen(task, loader(list(zip(texts, numbers)))) == numbers


def test_validation_split(task):
    pandas = library("pandas")
    for x, y in (
        (pandas.Series(TEXTS), LABELS),
        (pandas.DataFrame(TABLE), None),
    ):
        history = task.fit(x, y, validation_split=0.4, verbose=0).history
        held_out = loss_of(task, TEXTS[3:], LABELS[3:])
        assert history["val_loss"][0] == pytest.approx(held_out, abs=1e-5)
        assert "val_accuracy" in history
    with pytest.raises(ValueError, match="split=0.4 and 0 DataLoader"):
        task.fit(loader(EXAMPLES), validation_split=0.4)


def test_missing_values_name_their_row(task):
    pandas, pyarrow = library("pandas"), library("pyarrow")
    for texts in (
        ["the", None],
        pandas.Series(["the", None]),
        pandas.Series(["the", pandas.NA], dtype="string"),
        pyarrow.array(["the", None]),
    ):
        for call in (
            lambda: task.predict(texts),
            lambda: task.fit(texts, [0, 1]),
            lambda: task.classify(texts),
        ):
            with pytest.raises(TypeError, match="Entry 1 is .*missing"):
                call()
    with pytest.raises(TypeError, match="none missing. Label 1 is"):
        task.fit(["the", "a"], pandas.Series([1.0, None]))


def test_what_is_read_once(task):
    """Remembered if needed again, unless the number of steps is given."""
    history = task.fit(batches(), epochs=3, verbose=0).history
    assert len(history["loss"]) == 3
    endless = (batch for _ in range(100) for batch in batches())
    task.fit(endless, epochs=2, steps_per_epoch=4, verbose=0)
    with pytest.raises(ValueError, match="read once.*used up"):
        task.fit(
            batches(EXAMPLES * 4),
            batch_size=1,  # of which as many are remembered as Keras looks at
            epochs=2,
            steps_per_epoch=9,
            verbose=0,
        )


def test_length_changes_nothing(task):
    texts = ["the", "the chef cooked a meal . the chef ate", "a meal"] * 3
    labels = [0, 1, 1] * 3
    outputs = task.predict(texts, batch_size=2, verbose=0)
    one_by_one = [task.predict([text], verbose=0)[0] for text in texts[:3]]
    np.testing.assert_allclose(outputs[:3], one_by_one, atol=1e-5)
    rows = task.preprocessor(texts, y=None)
    assert rows["token_ids"].shape == (9, 12)
    whole = checks.outputs_of(task, rows)
    np.testing.assert_allclose(outputs, whole, atol=1e-5)
    np.testing.assert_allclose(task.predict(rows, verbose=0), whole, atol=1e-5)
    weights = np.arange(9.0)
    results = [
        task.evaluate(
            texts, labels, batch_size=size, sample_weight=weights, verbose=0
        )
        for size in (9, 2, 4)
    ]
    np.testing.assert_allclose(results[1:], results[:1] * 2, atol=1e-5)


def test_labels_follow_the_loss():
    task = build()
    eager = {"run_eagerly": keras.config.backend() != "jax"}
    rows = np.eye(2)[LABELS]
    assert loss_of(task, TEXTS, np.array(LABELS, "float64")) == (
        pytest.approx(loss_of(task, TEXTS, LABELS))
    )
    with pytest.raises(
        ValueError, match="sparse_categorical_crossentropy.*rows"
    ):
        task.fit(TEXTS, rows)
    sparse = loss_of(task, TEXTS, LABELS)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    task.compile(loss=loss, **eager)
    for y in (rows, LABELS, ["good" if label else "bad" for label in LABELS]):
        assert loss_of(task, TEXTS, y) == pytest.approx(sparse, abs=1e-5)
    task.compile(
        loss=keras.losses.CategoricalCrossentropy(True, label_smoothing=0.1),
        metrics=[keras.metrics.F1Score("macro")],
        **eager,
    )
    soft = 0.8 * rows + 0.1
    assert "f1_score" in task.fit(TEXTS, soft, verbose=0).history
    task.compile(
        loss=keras.losses.CategoricalFocalCrossentropy(from_logits=True),
        **eager,
    )
    assert "accuracy" in task.fit(TEXTS, LABELS, verbose=0).history


def test_class_weights(task):
    names = ["good" if label else "bad" for label in LABELS]
    nothing = {"bad": 0.0, "good": 0.0}
    for class_weight in (nothing, {0: 0.0, 1: 0.0}):
        history = task.fit(
            TEXTS, names, class_weight=class_weight, verbose=0
        ).history
        assert history["loss"] == [0.0]
    task.fit(TEXTS, LABELS, class_weight="balanced", verbose=0)
    with pytest.raises(ValueError, match="'balanced'.*|class_weight"):
        task.fit(loader(EXAMPLES), class_weight="balanced")
    with pytest.raises(ValueError, match="from classes.*'great'"):
        task.fit(TEXTS, names, class_weight={"great": 1.0})


def test_nothing_in(task):
    assert task.predict([]).shape == (0, 2)
    assert task.classify([]) == []
    with pytest.raises(ValueError, match="at least one example"):
        task.fit([], [])


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda t: t.fit(TEXTS), ValueError, "`y` is needed"),
        (lambda t: t.fit(iter([TEXTS])), ValueError, "`y` is needed"),
        (lambda t: t.fit(TEXTS, LABELS, batch_size=0), ValueError, "batch_si"),
        (lambda t: t.fit(tuple(TEXTS), LABELS), TypeError, "tuple of strings"),
        (lambda t: t.predict(tuple(TEXTS)), TypeError, "tuple of strings"),
        (lambda t: t.fit("the", [0]), TypeError, "Received: 'the'"),
        (lambda t: t.fit(3, [0]), (TypeError, ValueError), "int"),
        (lambda t: t.fit(TEXTS, LABELS[1:]), ValueError, "lengths"),
        (lambda t: t.fit(iter([(TEXTS, LABELS[1:])])), ValueError, "lengths"),
        (lambda t: t.fit(iter(EXAMPLES), LABELS), ValueError, "come with"),
        (lambda t: t.fit(TEXTS, LABELS, epoch=2), TypeError, "mean `epochs`"),
        (lambda t: t.predict(TEXTS, batchsize=2), TypeError, "`batch_size`"),
        (lambda t: t.evaluate(TEXTS, LABELS, step=2), TypeError, "`steps`"),
        (lambda t: t.compile(metric=[]), TypeError, "mean `metrics`"),
        (
            lambda t: t.fit({"review": TEXTS, "stars": LABELS}),
            ValueError,
            r"'text'.*Found: \['review', 'stars'\]",
        ),
        (
            lambda t: t.fit(iter([{"review": "the", "stars": 0}])),
            ValueError,
            r"Found: \['review', 'stars'\]",
        ),
    ],
)
def test_bad_input(task, call, error, message):
    with pytest.raises(error, match=message):
        call(task)
