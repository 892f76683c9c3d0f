import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetector,
)
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetectorPreprocessor,
)
from keras_electra.tasks.replaced_token_detector import TokenBinaryCrossentropy
from tests import checks

X = checks.ids([2, 5, 6, 7, 3], [2, 12, 10, 3])
TEXTS = ["the chef cooked", "the chef ate", "a meal.", "a meal the meal"]


def build(dtype="float32", **kwargs):
    return ElectraReplacedTokenDetector(
        checks.tiny_backbone(dtype=dtype, dropout=0.0),
        preprocessor=ElectraReplacedTokenDetectorPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        **kwargs,
    )


@pytest.fixture(scope="module")
def task():
    return build()


def test_detect_names_pieces_and_their_place(task):
    text = " The  chef COOKED!"
    tokens = task.detect(text)
    assert [token[:3] for token in tokens] == [
        ("the", 1, 4),
        ("chef", 6, 10),
        ("cook", 11, 15),
        ("##ed", 15, 17),
        ("[UNK]", 17, 18),
    ]
    logits = checks.outputs_of(task, checks.ids([2, 5, 6, 7, 8, 1, 3]))
    expected = 1 / (1 + np.exp(-logits[0, 1:6]))
    probabilities = [token.probability for token in tokens]
    assert probabilities == pytest.approx(expected, abs=1e-5)
    assert type(tokens[0].probability) is float


def test_detect_many_texts(task):
    texts = ["the chef", "", "a meal."]
    found = task.detect(texts)
    assert [len(tokens) for tokens in found] == [2, 0, 3]
    assert task.detect(texts, batch_size=1)[2][0].probability == (
        pytest.approx(found[2][0].probability, abs=1e-5)
    )
    assert task.detect("") == [] and task.detect([]) == []


def test_detect_reads_long_texts_in_windows(task):
    words = ["the", "chef", "ate", "a", "meal", ".", "the", "meal", "the"]
    tokens = task.detect(" ".join(words))
    assert [token.token for token in tokens] == words
    # Room for 6: tokens 0-5 and 3-8, the border in the middle, before 5.
    first = task.detect(" ".join(words[:6]))
    second = task.detect(" ".join(words[3:]))
    expected = [token.probability for token in first[:4] + second[1:]]
    probabilities = [token.probability for token in tokens]
    assert probabilities == pytest.approx(expected, abs=1e-5)


def test_detect_errors(task):
    with pytest.raises(TypeError, match="list of strings.*7"):
        task.detect(7)
    with pytest.raises(TypeError, match="Entry 1 is None"):
        task.detect(["the", None])
    with pytest.raises(ValueError, match="detect.*preprocessor"):
        ElectraReplacedTokenDetector(checks.tiny_backbone()).detect("the")


def test_sure_predictions_stay_within_bounds():
    task = build()
    kernel, bias = task.head.output_dense.get_weights()
    with np.errstate(over="raise"):
        for value in (-200.0, 200.0):
            task.head.output_dense.set_weights([0 * kernel, bias + value])
            [token] = task.detect("the")
            assert token.probability == float(value > 0)


def test_fit_weighs_tokens_not_padding():
    task = build()
    checks.compile_eagerly(task)
    y = np.zeros((4, 8), "int32")
    y[:, 2] = 1
    x = task.preprocessor(TEXTS)
    x = {name: ops.convert_to_numpy(array) for name, array in x.items()}
    logits, mask = checks.outputs_of(task, x), x["padding_mask"] == 1
    token_loss = np.logaddexp(0, np.where(y, -logits, logits))
    right = (logits > 0) == y
    results = task.evaluate(TEXTS, y, verbose=0, return_dict=True)
    assert results["loss"] == pytest.approx(token_loss[mask].mean(), abs=1e-4)
    assert results["accuracy"] == pytest.approx(right[mask].mean(), abs=1e-5)

    first = np.zeros((4, 8), "float32")
    first[:, 0] = 1.0
    history = task.fit(
        TEXTS, y, sample_weight=first, batch_size=4, verbose=0
    ).history
    assert history["loss"][0] == pytest.approx(
        token_loss[:, 0].mean(), abs=1e-4
    )
    history = task.fit(
        x, y, sample_weight=first, batch_size=4, epochs=2, verbose=0
    ).history
    assert history["loss"][1] < history["loss"][0]


def test_saving(task, tmp_path):
    checks.check_config(task)
    checks.check_preset(task, X, tmp_path / "preset")
    checks.check_keras_file(task, X, tmp_path / "task.keras")
    half = ElectraReplacedTokenDetector.from_preset(
        str(tmp_path / "preset"), dtype="bfloat16"
    )
    assert half.head.dense.kernel.dtype == "bfloat16"
    assert isinstance(task.loss, keras.losses.Loss)


def test_precisions():
    checks.check_precisions(build, X, (2, 8))


def test_lora_and_quantization():
    task = build()
    checks.check_quantize(task, X, atol=0.2)
    checks.check_lora(build())


MASK = [[1, 1, 1, 1, 0, 0]]


def preprocessor():
    return ElectraReplacedTokenDetectorPreprocessor(
        checks.tiny_tokenizer(), sequence_length=6
    )


def test_padding_has_no_weight():
    y = np.zeros((1, 6), "int32")
    x, labels, weights = preprocessor()(["the chef"], y)
    assert labels is y
    assert np.array(ops.cast(weights, "int32")).tolist() == MASK
    x, _, weights = preprocessor()(["the chef"], y, y)
    assert weights is y


def test_packed_rows_stay_as_they_are():
    x = {"token_ids": np.ones((1, 6)), "padding_mask": np.array(MASK)}
    same, _, weights = preprocessor()(x, y=np.zeros((1, 6)))
    assert same["token_ids"] is x["token_ids"]
    assert weights.tolist() == MASK


TRUTHS = np.array([[1, 0, 0], [0, 0, 1]])
LOGITS = np.array([[2.0, -1.0, 5.0], [0.0, 9.0, 9.0]], "float32")
WEIGHTS = np.array([[1, 1, 0], [1, 0, 0]])


def test_mean_over_the_weighted_tokens():
    loss = TokenBinaryCrossentropy()
    # log(1 + e^-2), log(1 + e^-1), log 2
    expected = (0.126928 + 0.313262 + 0.693147) / 3
    assert float(loss(TRUTHS, LOGITS, sample_weight=WEIGHTS)) == (
        pytest.approx(expected, abs=1e-5)
    )
    everything = np.logaddexp(0, np.where(TRUTHS, -LOGITS, LOGITS)).mean()
    assert float(loss(TRUTHS, LOGITS)) == pytest.approx(everything, abs=1e-5)


def test_config_of_loss():
    loss = TokenBinaryCrossentropy(name="detection")
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == loss.get_config()
