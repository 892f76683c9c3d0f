import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.training import clipping


def tensors(*arrays, dtype="float32"):
    return [ops.convert_to_tensor(np.array(a), dtype=dtype) for a in arrays]


def numbers(arrays):
    return [ops.convert_to_numpy(ops.cast(a, "float32")) for a in arrays]


def test_norm_of_all_together():
    gradients = tensors([3.0, 0.0], [[4.0], [12.0]])
    assert float(clipping.global_norm(gradients)) == pytest.approx(13.0)


def test_norm_is_in_float32():
    gradients = tensors([300.0] * 4, dtype="float16")  # squares overflow
    assert float(clipping.global_norm(gradients)) == pytest.approx(600.0)


def test_only_what_is_too_long_is_scaled():
    gradients = tensors([3.0], [4.0])
    for limit, expected in ((10.0, (3.0, 4.0)), (1.0, (0.6, 0.8))):
        clipped = numbers(clipping.clip_by_global_norm(gradients, limit))
        np.testing.assert_allclose(np.ravel(clipped), expected, rtol=1e-6)


def test_one_bad_number_shows_in_all():
    gradients = tensors([1.0], [np.inf])
    clipped = numbers(clipping.clip_by_global_norm(gradients, 1.0))
    assert np.isnan(np.ravel(clipped)).all()


def test_rows_of_a_lookup_are_summed():
    if keras.config.backend() != "tensorflow":
        gradient = tensors([1.0, 2.0])[0]
        assert clipping.densify(gradient) is gradient
        return
    import tensorflow as tf

    rows = tf.IndexedSlices(
        tf.constant([[1.0], [2.0]]),
        tf.constant([1, 1]),
        tf.constant([3, 1]),
    )
    dense = clipping.densify(rows)
    np.testing.assert_array_equal(dense.numpy(), [[0.0], [3.0], [0.0]])
