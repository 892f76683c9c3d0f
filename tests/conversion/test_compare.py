"""The comparison sees a difference, and says what it cannot compare."""

import keras
import pytest

import keras_electra
from tests.conversion import foreign


@pytest.fixture
def detector(discriminator):
    return keras_electra.ElectraReplacedTokenDetector.from_preset(discriminator)


def test_differences_are_seen(detector, discriminator):
    same = foreign.compare_with_source(detector, discriminator)
    assert same.same_tokens and same.hidden_states < 1e-4
    assert "token ids equal" in str(same)
    bias = detector.head.output_dense.bias
    bias.assign(keras.ops.add(bias, 0.5))
    other = foreign.compare_with_source(detector, discriminator)
    assert other.hidden_states == same.hidden_states
    assert abs(other.logits - 0.5) < 1e-3
    beta = detector.backbone.transformer_layers[0].output_layer_norm.beta
    beta.assign(keras.ops.add(beta, 1.0))
    detector.preprocessor.tokenizer.lowercase = False
    other = foreign.compare_with_source(detector, discriminator)
    assert other.hidden_states > 1e-3


def test_tokens_that_differ(detector, discriminator):
    cased = keras_electra.ElectraTokenizer(
        detector.preprocessor.tokenizer.get_vocabulary(), lowercase=False
    )
    detector.preprocessor.tokenizer = cased
    result = foreign.compare_with_source(
        detector, discriminator, texts=["The chef"]
    )
    assert result.same_tokens is False and "DIFFERENT" in str(result)


def test_what_cannot_be_compared(detector, golden, discriminator):
    with pytest.raises(ValueError, match="no program to compare"):
        foreign.compare_with_source(detector, golden / "tiny_ckpt")
    with pytest.raises(ValueError, match="is compared on `x`"):
        foreign.compare_with_source(detector.backbone, discriminator)
