import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_electra.tasks.text_classifier import ElectraTextClassifier
from keras_electra.tasks.text_classifier_preprocessor import (
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
        num_classes=2,
        preprocessor=ElectraTextClassifierPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        **kwargs,
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


@pytest.mark.parametrize("num_classes", [0, -1, 2.0, "2", None, True])
def test_num_classes_must_be_a_positive_integer(num_classes):
    with pytest.raises(ValueError, match="num_classes.*positive integer"):
        ElectraTextClassifier(checks.tiny_backbone(), num_classes)


def test_num_classes_may_come_from_numpy():
    task = ElectraTextClassifier(checks.tiny_backbone(), np.int64(3))
    assert type(task.num_classes) is int
    assert task.output_shape == (None, 3)


def test_saving(tmp_path):
    task = build(activation="softmax", dropout=0.2)
    checks.check_config(task)
    checks.check_preset(task, X, tmp_path / "preset")
    checks.check_keras_file(task, X, tmp_path / "task.keras")
    folder = str(tmp_path / "preset")
    opened = keras_hub.models.TextClassifier.from_preset(folder)
    checks.check_same_outputs(task, opened, X)
    assert opened.preprocessor.sequence_length == 8
    other = ElectraTextClassifier.from_preset(folder, num_classes=5)
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
