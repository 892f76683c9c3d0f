import math
import types

import keras
import numpy as np
import pytest

import tests.tasks.test_question_answering as test_question_answering
import tests.tasks.test_replaced_token_detector as test_replaced_token_detector
import tests.tasks.test_text_classifier as test_text_classifier
import tests.tasks.test_token_classifier as test_token_classifier
from keras_electra.tasks.calibration import Calibrates
from keras_electra.tasks.calibration import report
from keras_electra.tasks.labels import sigmoid
from keras_electra.tasks.labels import softmax
from keras_electra.tasks.text_classifier import ElectraTextClassifier
from tests import checks

on_one_backend = pytest.mark.skipif(
    keras.config.backend() != "torch",
    reason="It is the same arithmetic; the classifier shows all backends.",
)
RANDOM = np.random.default_rng(0)
TEXTS = [" ".join(words) for words in RANDOM.choice(checks.WORDS, (60, 4))]
LABELS = RANDOM.integers(0, 2, 60)


def fit_scale(logits, targets, method, is_exclusive):
    task = types.SimpleNamespace(is_exclusive=is_exclusive)
    return Calibrates._fit_scale(task, logits, targets, method)


@pytest.mark.parametrize("method", ["temperature", "vector", "platt"])
def test_finds_what_the_logits_were_scaled_by(method):
    shape, scale, bias = (20000, 3), 0.4, 0.0
    logits = RANDOM.normal(0.0, 4.0, shape)
    if method != "temperature":
        scale, bias = np.array([0.2, 0.4, 0.8]), np.array([-0.5, 0.0, 0.5])
    if method == "platt":
        targets = RANDOM.random(shape) < sigmoid(scale * logits + bias)
    else:
        p = softmax(scale * logits + bias)
        drawn = (RANDOM.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
        targets = np.eye(3)[np.minimum(drawn, 2)]
    found = fit_scale(logits, np.float64(targets), method, method != "platt")
    np.testing.assert_allclose(found[0], scale, atol=0.03)
    np.testing.assert_allclose(found[1], bias, atol=0.08)


def test_separated_logits_have_a_solution():
    logits = np.array([[9.0, -9.0], [-9.0, 9.0]] * 50)
    for method in ("temperature", "vector"):
        scale, _ = fit_scale(logits, np.float64(logits > 0), method, True)
        assert np.all(np.isfinite(scale)) and np.all(scale > 0)
        scale, _ = fit_scale(logits, np.float64(logits < 0), method, True)
        assert np.all(np.isfinite(scale))


def test_report_by_hand(tmp_path):
    given = np.array([0.6, 0.9, 0.8, 0.7]), np.array([1.0, 1.0, 1.0, 0.0])
    found = report(*given, (given[0] - given[1]) ** 2, 0.2)
    assert (found.count, found.accuracy) == (4, 0.75)
    assert found.brier_score == pytest.approx(0.7 / 4 + 0.0)
    # Each has a bin of its own.
    assert len(found.bins) == 4 and found.bins[0] == (0.6, 1.0, 1)
    assert found.expected_calibration_error == pytest.approx(1.4 / 4)
    assert (found.coverage, found.error) == (0.5, 0.0)
    assert found.threshold == pytest.approx(0.75)
    assert report(*given, given[1], 0.25).coverage == 1.0
    never = report(given[0], 0 * given[1], given[1], 0.2)
    assert never.threshold == math.inf and never.coverage == 0.0
    assert "abstain_below=0.75 decides 50.0%, wrong 0.0%" in str(found)
    found.save(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<rect") == 4 and "<script" not in page


@pytest.fixture(scope="module")
def task():
    return test_text_classifier.build(labels=["bad", "good"])


def test_classifier(task, tmp_path):
    logits = task.predict(TEXTS, verbose=0)
    before = task.coverage_report(TEXTS, LABELS)
    assert before.accuracy == np.mean(logits.argmax(axis=-1) == LABELS)
    found = task.calibrate(TEXTS, LABELS)
    assert found["method"] == "temperature" and found["bias"] == [0.0]
    np.testing.assert_array_equal(task.predict(TEXTS, verbose=0), logits)
    after = task.coverage_report(TEXTS, LABELS, error_budget=0.45)
    assert after.accuracy == before.accuracy
    assert after.expected_calibration_error < before.expected_calibration_error
    p = dict(task.classify(TEXTS[0]))
    expected = softmax(logits[0] * found["scale"][0])
    assert list(p[n] for n in ("bad", "good")) == pytest.approx(expected)
    sure = task.classify(TEXTS, abstain_below=after.threshold)
    assert np.mean([len(pairs) == 2 for pairs in sure]) == after.coverage
    assert task.classify(TEXTS[0], abstain_below=1.1) == []

    task.save_to_preset(tmp_path)
    opened = ElectraTextClassifier.from_preset(str(tmp_path))
    assert opened.calibration == found
    other = ElectraTextClassifier.from_preset(
        str(tmp_path), num_classes=3, labels=None
    )
    assert other.calibration is None
    checks.compile_eagerly(task)
    with pytest.warns(UserWarning, match="`fit` drops `calibration`"):
        task.fit(TEXTS[:4], LABELS[:4], batch_size=4, verbose=0)
    assert task.calibration is None


@on_one_backend
def test_vector_and_several_labels(task):
    found = task.calibrate(TEXTS, LABELS, method="vector")
    assert len(found["scale"]) == len(found["bias"]) == 2
    task.calibration = None
    many = test_text_classifier.build(problem_type="multi_label")
    rows = np.stack([LABELS, 1 - LABELS], axis=1).astype("float32")
    assert many.calibrate(TEXTS, rows)["method"] == "platt"
    found = many.coverage_report(TEXTS, rows)
    assert found.count == 120 and found.expected_calibration_error < 0.1
    p = dict(many.classify(TEXTS[0]))
    assert 0.5 < max(p.values()) < 0.9
    kept = many.classify(TEXTS[0], abstain_below=0.9)
    assert kept == []


@on_one_backend
def test_words_and_tokens():
    tagger = test_token_classifier.build()
    count = tagger.num_classes
    labels = [RANDOM.integers(0, count, len(t.split())) for t in TEXTS]
    tagger.calibrate(TEXTS, labels)
    found = tagger.coverage_report(TEXTS, labels)
    assert found.count == 240 and found.expected_calibration_error < 0.15
    assert tagger.tag("the chef", abstain_below=1.1) == [None, None]
    assert tagger.find_entities("the chef", abstain_below=1.1) == []
    p = tagger.word_probabilities("the chef").max(axis=-1)
    assert len(tagger.tag("the chef", abstain_below=float(p.min()))) == 2

    detector = test_replaced_token_detector.build()
    ids = detector.preprocessor(TEXTS)["token_ids"]
    before = detector.coverage_report(TEXTS, ids % 2)
    assert detector.calibrate(TEXTS, ids % 2)["method"] == "platt"
    found = detector.coverage_report(TEXTS, ids % 2)
    assert found.count == (ids > 0).sum()
    assert found.brier_score < before.brier_score
    tokens = detector.detect("the chef ate")
    logits = checks.outputs_of(detector, checks.ids([2, 5, 6, 9, 3]))[0]
    expected = detector.probabilities(logits[1:4])
    assert [t.probability for t in tokens] == pytest.approx(expected, abs=1e-5)
    assert detector.detect("the chef ate", abstain_below=1.1) == []


@on_one_backend
def test_answers():
    reader = test_question_answering.build(null_threshold=None)
    texts = [f"the {word} ate a meal. a {word} cooked" for word in "ab"] * 10
    x, y = (["the chef"] * 20, texts), ["meal", None] * 10
    right = reader.answer("the chef", texts[0]).text
    assert right
    before = reader.answer(*x)
    found = reader.calibrate(x, [right, None] * 10)
    assert found["method"] == "temperature"
    after = reader.answer(*x)
    assert [a.text for a in after] == [b.text for b in before]
    assert after[0].n_best[0].probability != before[0].n_best[0].probability
    report = reader.coverage_report(x, y)
    assert report.count == 20 and report.coverage == 0.0
    assert reader.answer("the chef", texts[0], abstain_below=1.1).text == ""


def test_errors(task):
    for build, message in (
        (dict(num_classes=1), "problem_type='regression'"),
        (dict(activation="softmax"), "activation='softmax'"),
    ):
        with pytest.raises(ValueError, match=message):
            test_text_classifier.build(**build).calibrate(TEXTS, LABELS)
    with pytest.raises(ValueError, match="`method` must be one of 'temp"):
        task.calibrate(TEXTS, LABELS, method="platt")
    with pytest.raises(ValueError, match="`y` is needed"):
        task.calibrate(TEXTS)
    with pytest.raises(ValueError, match="`error_budget` must be a number"):
        task.coverage_report(TEXTS, LABELS, error_budget=5)
    for use in (task.classify, test_replaced_token_detector.build().detect):
        with pytest.raises(ValueError, match="`abstain_below` must be a num"):
            use("the", abstain_below="much")
