"""All tasks on all kinds of data."""

import grain
import keras
import numpy as np
import pytest

from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.pretraining.pretrainer import ElectraPretrainerPreprocessor
from keras_electra.tasks.multiple_choice import ElectraMultipleChoice
from keras_electra.tasks.question_answering import ElectraQuestionAnswering
from keras_electra.tasks.text_classifier import ElectraTextClassifier
from keras_electra.tasks.text_embedder import ElectraTextEmbedder
from keras_electra.tasks.token_classifier import ElectraTokenClassifier
from tests import checks

TEXTS = ["the chef", "a meal ."]
OTHERS = ["chef cooked", "ate the meal"]
CHOICES = [["ate", "cooked"], ["the", "."]]
LONG = ["the chef cooked a meal . the chef ate", "the meal"]

# Of each task: its class and arguments; inputs, labels; and examples as a
# data set holds them.
CASES = {
    "texts": (
        ElectraTextClassifier,
        {"labels": ["bad", "good"]},
        TEXTS,
        ["good", "bad"],
        list(zip(TEXTS, ["good", "bad"])),
    ),
    "pairs": (
        ElectraTextClassifier,
        {"num_classes": 2},
        (TEXTS, OTHERS),
        [1, 0],
        list(zip(zip(TEXTS, OTHERS), [1, 0])),
    ),
    "several labels": (
        ElectraTextClassifier,
        {"num_classes": 2, "problem_type": "multi_label"},
        TEXTS,
        [[1, 0], [1, 1]],
        list(zip(TEXTS, np.array([[1, 0], [1, 1]], "float32"))),
    ),
    "regression": (
        ElectraTextClassifier,
        {"num_classes": 1, "head": "transformers"},
        TEXTS,
        [0.5, 1.0],
        list(zip(TEXTS, np.array([0.5, 1.0], "float32"))),
    ),
    "words": (
        ElectraTokenClassifier,
        {"labels": ["O", "X"]},
        LONG,
        ["O X O O X O O X O", "O X"],
        list(zip(LONG, ["O X O O X O O X O", "O X"])),
    ),
    "answers": (
        ElectraQuestionAnswering,
        {"beam_size": 2},
        (OTHERS, LONG),
        ["a meal", None],
        list(zip(zip(OTHERS, LONG), [("a meal", 16), ("", -1)])),
    ),
    "choices": (
        ElectraMultipleChoice,
        {},
        (TEXTS, CHOICES),
        [1, 0],
        list(zip(zip(TEXTS, np.array(CHOICES, object)), [1, 0])),
    ),
    "groups": (
        ElectraTextEmbedder,
        {},
        TEXTS,
        [1, 1],
        list(zip(TEXTS, [1, 1])),
    ),
}


def build(cls, dtype="float32", **kwargs):
    arguments = {"stride": 3} if cls is ElectraQuestionAnswering else {}
    task = cls(
        checks.tiny_backbone(dtype=dtype, dropout=0.0, num_layers=1),
        preprocessor=cls.preprocessor_cls(
            checks.tiny_tokenizer(), sequence_length=10, **arguments
        ),
        **kwargs,
    )
    # Nothing here is about compilation.
    task.compile(run_eagerly=keras.config.backend() != "jax")
    return task


@pytest.fixture(scope="module", params=CASES)
def case(request):
    cls, arguments, *data = CASES[request.param]
    return build(cls, **arguments), *data


def loss_of(task, *data):
    return task.evaluate(*data, verbose=0, return_dict=True)["loss"]


def expected_loss(task, *data):
    return pytest.approx(loss_of(task, *data), abs=1e-5)


def test_all_data_sets_give_the_same(case):
    task, x, y, examples = case
    loss = expected_loss(task, x, y)
    source = grain.MapDataset.source(examples).batch(2)
    assert loss_of(task, source) == loss
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(
        [_as_lists(example) for example in examples], batch_size=2
    )
    assert loss_of(task, loader) == loss
    history = task.fit(loader, epochs=2, verbose=0, validation_data=(x, y))
    assert len(history.history["val_loss"]) == 2
    after = expected_loss(task, x, y)
    assert history.history["val_loss"][1] == after


def _as_lists(example):
    """torch stacks lists of strings, not arrays of them."""
    if isinstance(example, tuple):
        return tuple(_as_lists(part) for part in example)
    is_array = isinstance(example, np.ndarray) and example.dtype.kind == "O"
    return example.tolist() if is_array else example


def test_in_a_graph(case):
    tf = pytest.importorskip("tensorflow")
    task, x, y, examples = case
    columns = tf.nest.map_structure(lambda *parts: list(parts), *examples)
    data = tf.data.Dataset.from_tensor_slices(columns).batch(2)
    assert loss_of(task, data) == expected_loss(task, x, y)
    shapes = keras.tree.map_structure(np.shape, task.predict(x, verbose=0))
    in_graph = task.predict(data.map(lambda x, y: (x,)), verbose=0)
    assert keras.tree.map_structure(np.shape, in_graph) == shapes


def test_rows_pass(case):
    task, x, y, _ = case
    rows = keras.utils.unpack_x_y_sample_weight(task._to_rows(x, y))
    result = task.evaluate(
        *rows[:2], sample_weight=rows[2], verbose=0, return_dict=True
    )
    assert result["loss"] == expected_loss(task, x, y)


def test_weights_of_examples(case):
    task, x, y, _ = case
    first = task.evaluate(
        x, y, sample_weight=np.array([0.0, 0.0]), verbose=0, return_dict=True
    )
    assert first["loss"] == pytest.approx(0.0, abs=1e-6)


def test_errors_come_before_the_training(case):
    task, x, _, _ = case
    empty = [""] * 2
    bad = (empty, *x[1:]) if isinstance(x, tuple) else empty
    with pytest.raises(ValueError, match="not empty. Entry 0"):
        task.fit(bad, [0, 0])
    with pytest.raises((ValueError, TypeError)):
        task.fit(x, [7.5, object()])


@pytest.mark.parametrize("empty", ["", " \t\u3000"])
def test_an_empty_text_is_predicted_with_one_warning(case, empty):
    task, x, y, _ = case
    is_tuple = isinstance(x, tuple)
    first, *rest = x if is_tuple else (x,)
    columns = ([first[0], empty, empty], *(c[:1] * 3 for c in rest))
    many = columns if is_tuple else columns[0]
    alone = tuple(c[:1] for c in columns) if is_tuple else many[:1]
    size = task.predict(alone, verbose=0)
    size = len(keras.tree.flatten(size)[0])
    with pytest.warns(UserWarning, match="^2 examples have a text") as caught:
        outputs = task.predict(many, verbose=0)
    assert [w.category for w in caught].count(UserWarning) == 1
    for whole, part in zip(
        keras.tree.flatten(outputs),
        keras.tree.flatten(task.predict(alone, verbose=0)),
    ):
        assert len(whole) >= size + 2 and np.isfinite(whole).all()
        np.testing.assert_allclose(whole[:size], part, atol=1e-4)
    methods = ("classify", "tag", "find_entities", "answer", "choose", "embed")
    for name in methods:
        if not hasattr(task, name) or name == "find_entities":
            continue
        if name == "embed" and is_tuple:
            continue
        use = getattr(task, name)
        arguments = many if name in ("answer", "choose") else (many,)
        with pytest.warns(UserWarning, match="^2 examples") as caught:
            results = use(*arguments)
        assert [w.category for w in caught].count(UserWarning) == 1
        assert len(results) == 3
        if name == "tag":
            assert results[1:] == [[], []]
    bad = (many, y[:1] * 3) if y is not None else (many,)
    with pytest.raises(ValueError, match="not empty. Entry 1 is "):
        task.fit(*bad, verbose=0)


def test_empty_texts_of_a_stream_are_counted_once():
    cls, arguments, *_ = CASES["texts"]
    task = build(cls, **arguments)
    stream = grain.MapDataset.source(["the", "", "a", " "]).batch(2)
    with pytest.warns(UserWarning, match="^2 examples have a text") as caught:
        outputs = task.predict(stream, verbose=0)
    assert len(outputs) == 4
    assert [w.category for w in caught].count(UserWarning) == 1
    with pytest.raises(ValueError, match="not empty. Entry 1 is ''"):
        task.train_on_batch(["the", ""], ["bad", "good"])


class WholeRows(keras.metrics.Mean):
    """Somebody's own metric of whole sentences."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        assert len(y_true.shape) == 2 and len(y_pred.shape) == 3
        super().update_state(1.0)


@pytest.mark.parametrize("loss", ["auto", "categorical"])
def test_metrics_weigh_tokens_alike_in_batches_of_any_length(loss):
    """Some short rows that are right and a long one that is wrong."""
    task = build(ElectraTokenClassifier, labels=["O", "X"])
    weights = task.output_dense.get_weights()
    task.output_dense.set_weights([0 * weights[0], np.array([1.0, 0.0])])
    if loss != "auto":
        loss = keras.losses.CategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        )
    task.compile(loss=loss, run_eagerly=keras.config.backend() != "jax")
    x = ["the chef ate a meal . the", "the", "chef"]
    y = ["X X X X X X X", "O", "O"]
    for size in (1, 3):
        logs = task.evaluate(x, y, batch_size=size, verbose=0, return_dict=True)
        assert logs["accuracy"] == pytest.approx(2 / 9)
    task.compile(
        weighted_metrics=[WholeRows(name="rows")],
        run_eagerly=keras.config.backend() != "jax",
    )
    assert task.evaluate(x, y, verbose=0, return_dict=True)["rows"] == 1.0


def test_validation_split_is_for_data_in_memory():
    cls, arguments, x, y, examples = CASES["texts"]
    task = build(cls, **arguments)
    source = grain.MapDataset.source(examples).batch(2)
    with pytest.raises(ValueError, match="validation_split=0.5 and"):
        task.fit(source, validation_split=0.5)
    history = task.fit(x, y, validation_split=0.5, verbose=0)
    assert "val_loss" in history.history


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pretrainer = ElectraPretrainer(
        checks.tiny_backbone(),
        None,
        preprocessor=ElectraPretrainerPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
    )
    folder = tmp_path_factory.mktemp("preset")
    pretrainer.save_to_preset(str(folder))
    return str(folder), pretrainer.backbone.get_weights()


@pytest.mark.parametrize("name", ["texts", "words", "answers", "choices"])
def test_opens_the_folder_of_a_pretrainer(name, folder):
    cls, arguments, x, _, _ = CASES[name]
    path, weights = folder
    task = cls.from_preset(path, **arguments)
    for ours, theirs in zip(task.backbone.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # As many tokens as the network has positions.
    assert task.preprocessor.sequence_length == 16
    assert task.preprocessor(x, y=None)["token_ids"].shape[-1] == 16


def test_embedder_of_a_pretrainer(folder):
    path, weights = folder
    task = ElectraTextEmbedder.from_preset(path)
    for ours, theirs in zip(task.backbone.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert task.embed("the chef").shape == (8,)


def test_preprocessor_in_a_graph(case):
    """A preprocessor alone in a pipeline."""
    tf = pytest.importorskip("tensorflow")
    task, x, _, _ = case
    data = tf.data.Dataset.from_tensor_slices((x,)).batch(2)
    rows = data.map(lambda part: task.preprocessor(part, y=None))
    rows = keras.utils.unpack_x_y_sample_weight(next(iter(rows)))[0]
    assert rows["token_ids"].shape[-1] == 10


CALLS = {
    "texts": "classify",
    "pairs": "classify",
    "words": "tag",
    "answers": "answer",
    "choices": "choose",
    "groups": "embed",
}


@pytest.mark.parametrize("name", CALLS)
def test_methods_take_what_fit_takes(name):
    """Columns of any library, tables and streams, as lists."""
    pandas = pytest.importorskip("pandas")
    cls, arguments, x, _, _ = CASES[name]
    task = build(cls, **arguments)
    call = getattr(task, CALLS[name])
    columns = x if isinstance(x, tuple) else (x,)
    series = tuple(pandas.Series(column) for column in columns)
    names = task.names.inputs[0 if len(columns) > 1 else -1]
    forms = [
        series if len(columns) > 1 else series[0],
        dict(zip(names, columns, strict=True)),
        pandas.DataFrame(dict(zip(names, columns, strict=True))),
        (dict(zip(names, example)) for example in zip(*columns)),
    ]
    expected = flat(call(x))
    for form in forms:
        assert flat(call(form)) == pytest.approx(expected, abs=1e-4)


def flat(result):
    """Numbers and strings of nested results."""
    if isinstance(result, (list, tuple)):
        return [leaf for part in result for leaf in flat(part)]
    return result.ravel().tolist() if hasattr(result, "ravel") else [result]


@pytest.mark.parametrize("name", CASES)
def test_unknown_keywords_are_named(name):
    cls = CASES[name][0]
    backbone, tokenizer = checks.tiny_backbone(), checks.tiny_tokenizer()
    with pytest.raises(TypeError, match="preprocessr.*`preprocessor`"):
        cls(backbone, preprocessr=None)
    with pytest.raises(TypeError, match="sequence_len.*`sequence_length`"):
        cls.preprocessor_cls(tokenizer, sequence_len=8)


def test_logits_of_padding_are_masked():
    """`predict` computes no padding, but an argmax must not find it."""
    task = build(ElectraQuestionAnswering, beam_size=2)
    outputs = task.predict((["the"], ["a meal ."]), verbose=0)
    for name in ("start_logits", "end_logits"):
        assert outputs[name].shape == (1, 10)
        assert (outputs[name][0, 7:] <= -999).all()
