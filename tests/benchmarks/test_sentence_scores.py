import numpy as np
import pytest
from harness.sentence_scores import log_probability_of_original
from harness.sentence_scores import pseudo_log_likelihood

from keras_electra.tasks.masked_lm import ElectraMaskedLM
from keras_electra.tasks.masked_lm import ElectraMaskedLMPreprocessor
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetector,
)
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetectorPreprocessor,
)
from tests import checks

TEXTS = ["the chef ate", "a meal the meal.", "meal"]


@pytest.fixture(scope="module")
def detector():
    return ElectraReplacedTokenDetector(
        checks.tiny_backbone(dropout=0.0),
        preprocessor=ElectraReplacedTokenDetectorPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
    )


@pytest.fixture(scope="module")
def filler():
    return ElectraMaskedLM(
        checks.tiny_backbone(dropout=0.0),
        preprocessor=ElectraMaskedLMPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
    )


def test_detector_sums_what_detect_says(detector):
    expected = [
        sum(np.log1p(-token.probability) for token in tokens)
        for tokens in detector.detect(TEXTS)
    ]
    scores = log_probability_of_original(detector, TEXTS)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert len(set(np.round(scores, 4))) == 3
    one_by_one = log_probability_of_original(detector, TEXTS, batch_size=1)
    np.testing.assert_allclose(one_by_one, scores, rtol=1e-5)


def test_generator_sums_what_fill_mask_says(filler):
    words = TEXTS[0].split()
    expected = 0.0
    for place, word in enumerate(words):
        masked = " ".join([*words[:place], "[MASK]", *words[place + 1 :]])
        [pairs] = filler.fill_mask(masked, top_k=13)
        expected += np.log(dict(pairs)[word])
    scores = pseudo_log_likelihood(filler, TEXTS)
    assert scores.shape == (3,)
    assert scores[0] == pytest.approx(expected, rel=1e-5)
    alone = pseudo_log_likelihood(filler, TEXTS[:1], batch_size=1)
    assert alone[0] == pytest.approx(scores[0], rel=1e-5)


@pytest.mark.parametrize(
    "texts, error, message",
    [
        ("the chef", TypeError, "list of strings. Received: 'the chef'"),
        ([3], TypeError, "type int: 3"),
        (["a", ""], ValueError, "texts of 1 to 6 tokens.*one of 0 tokens"),
        (["a " * 7], ValueError, "one of 7 tokens: 'a a"),
    ],
)
def test_bad_texts_are_named(detector, filler, texts, error, message):
    with pytest.raises(error, match=message):
        log_probability_of_original(detector, texts)
    with pytest.raises(error, match=message):
        pseudo_log_likelihood(filler, texts)
