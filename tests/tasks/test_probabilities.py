import numpy as np

from keras_electra.tasks.probabilities import sigmoid
from keras_electra.tasks.probabilities import softmax


def test_by_hand():
    logits = np.log([[1.0, 3.0], [4.0, 1.0]])
    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75], [0.8, 0.2]])
    np.testing.assert_allclose(sigmoid(np.log([1.0, 3.0])), [0.5, 0.75])


def test_large_logits():
    with np.errstate(over="raise"):
        assert softmax(np.array([900.0, 0.0])).tolist() == [1.0, 0.0]
        assert sigmoid(np.array([-900.0, 900.0])).tolist() == [0.0, 1.0]
