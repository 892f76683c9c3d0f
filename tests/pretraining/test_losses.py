import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.pretraining import losses


def values_of(loss):
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    return np.asarray(ops.convert_to_numpy(loss))


def token_prediction_loss(logits, token_ids):
    shares, top, _ = losses.exponentials(logits)
    return losses.token_prediction_loss(logits, token_ids, shares, top)


def test_token_prediction_by_hand():
    logits = np.log(np.array([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]], "float32"))
    # A constant added to all scores of a position changes nothing.
    logits[0, 1] += 3.0
    loss = token_prediction_loss(
        ops.convert_to_tensor(logits), np.array([[1, 2]])
    )
    np.testing.assert_allclose(
        values_of(loss), [[np.log(4), -np.log(0.7)]], rtol=1e-5
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_token_prediction_of_extreme_logits(dtype):
    logits = ops.cast(
        [[100.0, -100.0, 0.0], [100.0, -100.0, 0.0], [100.0, 100.0, -100.0]],
        dtype,
    )
    loss = token_prediction_loss(logits, np.array([0, 1, 0]))
    np.testing.assert_allclose(
        values_of(loss), [0.0, 200.0, np.log(2)], rtol=1e-6, atol=1e-6
    )


def test_replaced_token_by_hand():
    logits = ops.convert_to_tensor(np.log([[3.0, 3.0], [0.25, 1.0]]))
    loss = losses.replaced_token_loss(logits, np.array([[1, 0], [1, 0]]))
    expected = -np.log([[0.75, 0.25], [0.2, 0.5]])
    np.testing.assert_allclose(values_of(loss), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_replaced_token_of_extreme_logits(dtype):
    logits = ops.cast([100.0, 100.0, -100.0, -100.0, 0.0], dtype)
    loss = losses.replaced_token_loss(logits, np.array([1, 0, 1, 0, 1]))
    np.testing.assert_allclose(
        values_of(loss),
        [0.0, 100.0, 100.0, 0.0, np.log(2)],
        rtol=1e-6,
        atol=1e-6,
    )


def test_losses_of_half_precision_add_up_in_float32():
    """70,000 losses of 1 are more than float16 can count."""
    mean = losses.weighted_mean(
        ops.ones((70_000,), dtype="float16"), ops.ones((70_000,), "float16")
    )
    np.testing.assert_allclose(values_of(mean), 1.0, rtol=1e-5)


def test_weighted_mean():
    mean = losses.weighted_mean(
        ops.convert_to_tensor([[1.0, 2.0], [30.0, 6.0]]),
        np.array([[1, 1], [0, 1]], "int32"),
    )
    np.testing.assert_allclose(values_of(mean), 3.0, rtol=1e-6)


def test_mean_of_nothing_is_zero():
    mean = losses.weighted_mean(ops.ones((3,)), ops.zeros((3,)))
    assert values_of(mean) == 0.0
