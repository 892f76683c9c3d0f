import keras
import numpy as np
import pytest

from keras_electra.tasks.token_classifier import ElectraTokenClassifier
from keras_electra.tasks.token_classifier_preprocessor import (
    ElectraTokenClassifierPreprocessor,
)
from tests import checks

X = checks.ids([2, 5, 6, 7, 3], [2, 12, 10, 3])
NAMES = ["O", "B-N", "I-N"]
SENTENCES = [["the", "chef", "cooked"], "a meal . the chef ate a meal the chef"]
LABELS = [["B-N", "I-N", "O"], "B-N I-N O B-N I-N O B-N I-N B-N I-N"]


def build(dtype="float32", **kwargs):
    return ElectraTokenClassifier(
        checks.tiny_backbone(dtype=dtype, dropout=0.0),
        preprocessor=ElectraTokenClassifierPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        labels=NAMES,
        **kwargs,
    )


@pytest.fixture(scope="module")
def trained():
    task = build()
    checks.compile_quickly(task, optimizer=keras.optimizers.Adam(0.02))
    task.fit(SENTENCES, LABELS, batch_size=4, epochs=80, verbose=0)
    return task


def test_learns_labels_of_words_and_windows(trained):
    results = trained.evaluate(SENTENCES, LABELS, verbose=0, return_dict=True)
    assert results["accuracy"] == 1.0
    expected = [LABELS[0], LABELS[1].split()]
    assert trained.tag(SENTENCES) == expected
    assert trained.tag("the chef cooked") == expected[0]
    assert trained.tag([]) == []
    # The second is read in windows of six tokens.
    rows = trained.predict(SENTENCES, verbose=0)
    assert rows.shape == (4, 8, 3)


def test_entities(trained):
    [entity] = trained.find_entities("the  chef cooked")
    assert entity[:4] == ("N", 0, 2, "the chef")
    [probabilities] = trained.word_probabilities(["the chef cooked"])
    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1.0, atol=1e-5)
    expected = min(probabilities[0, 1], probabilities[1, 2])
    assert entity.probability == pytest.approx(expected, abs=1e-6)
    assert [len(some) for some in trained.find_entities(SENTENCES)] == [1, 4]


def test_one_label_whatever_the_pieces(trained):
    """`cooked` is two pieces, and judged by the first."""
    x = checks.ids([2, 5, 6, 7, 8, 3])
    logits = checks.outputs_of(trained, x)[0, [1, 2, 3]]
    scores = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    [probabilities] = trained.word_probabilities(["the chef cooked"])
    np.testing.assert_allclose(probabilities, scores, atol=1e-5)


def test_errors(trained):
    with pytest.raises(ValueError, match="Sentence 0 has more words"):
        trained.fit(["the chef"], [["O"]])
    with pytest.raises(ValueError, match="known labels. Label 1 is 'X'"):
        trained.fit(["the chef"], [["O", "X"]])
    with pytest.raises(ValueError, match="at least one word"):
        trained.tag(" ")
    with pytest.raises(TypeError, match="Sentence 0 holds 3"):
        trained.tag([3])
    with pytest.raises(ValueError, match="tag.*preprocessor"):
        ElectraTokenClassifier(checks.tiny_backbone(), 2).tag("the")
    with pytest.raises(ValueError, match="num_classes.*positive integer"):
        ElectraTokenClassifier(checks.tiny_backbone())


def test_saving(trained, tmp_path):
    checks.check_config(trained)
    opened = checks.check_preset(trained, X, tmp_path / "preset")
    assert opened.labels == NAMES
    assert opened.tag("the chef cooked") == LABELS[0]
    checks.check_keras_file(trained, X, tmp_path / "task.keras")


def test_precisions():
    checks.check_precisions(build, X, (2, 8, 3))


def test_lora_and_quantization():
    checks.check_quantize(build(), X, atol=0.2)
    checks.check_lora(build())
