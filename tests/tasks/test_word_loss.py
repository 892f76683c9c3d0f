import keras
import numpy as np
import pytest

from keras_electra.tasks.word_loss import WordCrossentropy

Y = np.array([[0, 1, 0], [1, 0, 0]])
LOGITS = np.log(np.array([[[1, 3], [1, 1], [9, 1]], [[1, 3], [7, 1], [1, 1]]]))
WEIGHTS = np.array([[1, 1, 0], [2, 0, 0]], "float32")


def value(**kwargs):
    loss = WordCrossentropy(**kwargs)
    result = loss(Y, LOGITS.astype("float32"), sample_weight=WEIGHTS)
    return float(keras.ops.convert_to_numpy(result))


def test_weighted_words_count():
    total = np.log(4) + np.log(2) + 2 * np.log(4 / 3)
    assert value() == pytest.approx(total / 4, abs=1e-5)
    assert value(reduction="sum") == pytest.approx(total, abs=1e-5)
    # As a protocol names the mean.
    assert value(reduction="sum_over_batch_size") == pytest.approx(
        total / 4, abs=1e-5
    )


def test_config():
    loss = WordCrossentropy(reduction="sum")
    again = WordCrossentropy.from_config(loss.get_config())
    assert again.reduction == "sum"
