import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_electra.tasks.text_classifier import ElectraTextClassifier
from keras_electra.tasks.text_classifier import (
    ElectraTextClassifierPreprocessor,
)
from keras_electra.training.optimizers import ElectraAdamW
from tests import checks

X = checks.ids([2, 5, 6, 7, 3], [2, 12, 10, 3])
TEXTS = ["the chef cooked", "the chef ate", "a meal.", "a meal the meal"]
LABELS = [0, 0, 1, 1]


def build(dtype="float32", **kwargs):
    return ElectraTextClassifier(
        checks.tiny_backbone(dtype=dtype, dropout=0.0),
        preprocessor=ElectraTextClassifierPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        **{"num_classes": 2, **kwargs},
    )


def test_logits_are_linear_in_the_first_vector():
    task = build(dropout=0.5)
    vectors = task.backbone.predict(X, verbose=0)["sequence_output"]
    first = vectors[:, 0]
    kernel, bias = task.output_dense.get_weights()
    assert first.shape == (2, 8)
    np.testing.assert_allclose(
        checks.outputs_of(task, X), first @ kernel + bias, atol=1e-5
    )


def test_learns_from_sorted_texts():
    task = build()
    task.compile(optimizer=keras.optimizers.Adam(0.02))
    task.fit(TEXTS, LABELS, batch_size=2, epochs=15, verbose=0)
    loss, accuracy = task.evaluate(TEXTS, LABELS, verbose=0)
    assert accuracy == 1.0
    logits = task.predict(TEXTS, verbose=0)
    assert logits.argmax(axis=-1).tolist() == LABELS


def test_default_compilation():
    task = build()
    assert isinstance(task.optimizer, ElectraAdamW)
    assert float(ops.convert_to_numpy(task.optimizer.learning_rate)) == (
        pytest.approx(3e-4)
    )
    assert task.loss.get_config()["from_logits"]


def test_head_of_transformers():
    task = build(head="transformers", dropout=0.5)
    vectors = task.backbone(
        {name: ops.convert_to_tensor(array) for name, array in X.items()}
    )["sequence_output"]
    kernel, bias = task.hidden_dense.get_weights()
    first = ops.convert_to_numpy(vectors)[:, 0] @ kernel + bias
    hidden = ops.gelu(first, approximate=False)
    expected = ops.convert_to_numpy(task.output_dense(hidden))
    np.testing.assert_allclose(checks.outputs_of(task, X), expected, atol=1e-5)


def test_classify_names_classes():
    task = build(num_classes=None, labels=["bad", "good"])
    logits = task.predict(TEXTS[:2], verbose=0)
    scores = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    results = task.classify(TEXTS[:2])
    for result, row in zip(results, scores):
        assert [name for name, _ in result] == (
            ["good", "bad"] if row[1] > row[0] else ["bad", "good"]
        )
        assert [p for _, p in result] == (
            pytest.approx(sorted(row, reverse=True), abs=1e-5)
        )
    one = task.classify(TEXTS[1], batch_size=1)
    assert one[0][0] == results[1][0][0]
    [pair] = task.classify((["the chef"], ["ate"]))
    assert len(pair) == 2
    assert build().classify("the")[0][0] in (0, 1)


def test_several_labels_and_regression():
    task = build(problem_type="multi_label", labels=["a", "b"])
    logits = task.predict(["the chef"], verbose=0)[0]
    found = dict(task.classify("the chef"))
    for name, logit in zip("ab", logits):
        assert found[name] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
    assert type(task.loss) is keras.losses.BinaryCrossentropy
    task = build(num_classes=1)
    assert task.problem_type == "regression"
    assert type(task.loss) is keras.losses.MeanSquaredError
    value = task.predict(["the chef"], verbose=0)[0, 0]
    assert task.classify("the chef") == pytest.approx(value, abs=1e-5)


def test_errors():
    task = build(labels=["bad", "good"])
    task.compile(run_eagerly=keras.config.backend() != "jax")
    for y, message in (
        (["good", "great"], "names.*Label 1 is 'great'"),
        ([0, 2], "from 0 to 1.*Label 1 is 2"),
        ([0.5, 1.0], "Label 0 is 0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            task.fit(TEXTS[:2], y)
    with pytest.raises(ValueError, match="not empty. Entry 1 is ''"):
        task.fit(["the", ""], ["good", "bad"])
    with pytest.raises(TypeError, match="list of strings.*3 of type int"):
        task.classify(3)
    task.fit(TEXTS[:2], ["good", "bad"], verbose=0)
    assert task.text_pairs is False
    for use in (task.classify, task.predict):
        with pytest.raises(ValueError, match="trained on single texts"):
            use((TEXTS[:2], TEXTS[:2]))
    with pytest.raises(ValueError, match="`x` holds pairs of texts"):
        task.fit((TEXTS[:2], TEXTS[:2]), [0, 1])
    with pytest.raises(ValueError, match="classify.*preprocessor"):
        ElectraTextClassifier(checks.tiny_backbone(), 2).classify("the")
    with pytest.raises(ValueError, match="`head` must be one of"):
        build(head="official")
    with pytest.raises(ValueError, match="`problem_type` must be one of"):
        build(problem_type="ranking")


@pytest.mark.parametrize("num_classes", [0, -1, 2.0, "2", None, True])
def test_num_classes_must_be_a_positive_integer(num_classes):
    with pytest.raises(ValueError, match="num_classes.*integer"):
        ElectraTextClassifier(checks.tiny_backbone(), num_classes)


def test_num_classes_may_come_from_numpy():
    task = ElectraTextClassifier(checks.tiny_backbone(), np.int64(3))
    assert type(task.num_classes) is int
    assert task.output_shape == (None, 3)


def test_saving(tmp_path):
    task = build(
        activation="softmax",
        dropout=0.2,
        labels=["bad", "good"],
        head="transformers",
        text_pairs=True,
    )
    checks.check_config(task)
    checks.check_preset(task, X, tmp_path / "preset")
    checks.check_keras_file(task, X, tmp_path / "task.keras")
    folder = str(tmp_path / "preset")
    opened = keras_hub.models.TextClassifier.from_preset(folder)
    checks.check_same_outputs(task, opened, X)
    assert opened.preprocessor.sequence_length == 8
    assert opened.labels == ["bad", "good"] and opened.text_pairs
    other = ElectraTextClassifier.from_preset(
        folder, num_classes=5, labels=None
    )
    assert checks.outputs_of(other, X).shape == (2, 5)
    half = ElectraTextClassifier.from_preset(folder, dtype="bfloat16")
    assert half.backbone.weights[0].dtype == "bfloat16"


def test_precisions():
    checks.check_precisions(build, X, (2, 2))
    task = build("mixed_float16")
    checks.compile_quickly(task)
    history = task.fit(TEXTS, LABELS, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"][0])


def test_lora_and_quantization():
    task = build()
    checks.check_quantize(task, X, atol=0.2)
    task = build()
    checks.check_lora(task)
    layer = task.backbone.transformer_layers[0].attention.query_key_value
    kernel = ops.convert_to_numpy(layer.kernel)
    frozen = ops.convert_to_numpy(layer._kernel)
    checks.compile_quickly(task)
    task.fit(TEXTS, LABELS, batch_size=2, verbose=0)
    assert not np.allclose(ops.convert_to_numpy(layer.kernel), kernel)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer._kernel), frozen)


def test_pairs_have_two_segments():
    preprocess = ElectraTextClassifierPreprocessor(
        checks.tiny_tokenizer(), sequence_length=8
    )
    x = preprocess((["the chef"], ["ate a meal"]), y=None)
    assert ops.convert_to_numpy(x["token_ids"]).tolist() == [
        [2, 5, 6, 3, 9, 12, 10, 3]
    ]
    assert ops.convert_to_numpy(x["segment_ids"]).tolist() == [
        [0, 0, 0, 0, 1, 1, 1, 1]
    ]
    x, y = preprocess(["a meal"], [1])
    mask = ops.cast(x["padding_mask"], "int32")
    assert ops.convert_to_numpy(mask).tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
    assert list(y) == [1]


def test_a_text_alone_and_rows():
    preprocess = ElectraTextClassifierPreprocessor(
        checks.tiny_tokenizer(), sequence_length=4, truncate="waterfall"
    )
    x = preprocess("the chef")
    assert x["token_ids"].tolist() == [2, 5, 6, 3]
    assert preprocess(x) is x
    pair = preprocess(("the chef", "ate"), y=None)
    assert pair["token_ids"].tolist() == [2, 5, 3, 3]
    pairs = preprocess((["the chef"], [""]), y=None)
    assert pairs["token_ids"].tolist() == [[2, 5, 6, 3]]
