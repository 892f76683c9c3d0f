import keras
import numpy as np
import pytest

from keras_electra.tasks.token_losses import TokenBinaryCrossentropy

Y = np.array([[1, 0, 0], [0, 0, 1]])
LOGITS = np.array([[2.0, -1.0, 5.0], [0.0, 9.0, 9.0]], "float32")
WEIGHTS = np.array([[1, 1, 0], [1, 0, 0]])


def test_mean_over_the_weighted_tokens():
    loss = TokenBinaryCrossentropy()
    # log(1 + e^-2), log(1 + e^-1), log 2
    expected = (0.126928 + 0.313262 + 0.693147) / 3
    assert float(loss(Y, LOGITS, sample_weight=WEIGHTS)) == (
        pytest.approx(expected, abs=1e-5)
    )
    everything = np.logaddexp(0, np.where(Y, -LOGITS, LOGITS)).mean()
    assert float(loss(Y, LOGITS)) == pytest.approx(everything, abs=1e-5)


def test_config():
    loss = TokenBinaryCrossentropy(name="detection")
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == loss.get_config()
