import numpy as np
import pytest
from keras import ops

from keras_electra.tasks.pooling import Pooling

X = np.array([[[3, 4], [1, 0], [9, 9]], [[0, 2], [0, 0], [5, 5]]], "float32")
MASK = np.array([[1, 1, 0], [1, 0, 0]], "int32")


@pytest.mark.parametrize(
    "pooling, normalize, expected",
    [
        ("mean", False, [[2, 2], [0, 2]]),
        ("cls", False, [[3, 4], [0, 2]]),
        ("cls", True, [[0.6, 0.8], [0, 1]]),
    ],
)
def test_by_hand(pooling, normalize, expected):
    layer = Pooling(pooling, normalize)
    result = ops.convert_to_numpy(layer(X, MASK))
    np.testing.assert_allclose(result, expected, atol=1e-6)
    again = Pooling.from_config(layer.get_config())
    assert (again.pooling, again.normalize) == (pooling, normalize)
