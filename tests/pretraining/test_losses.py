"""Losses and metrics by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.pretraining import losses
from keras_electra.pretraining.losses import PretrainingMetrics


def values_of(loss):
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    return np.asarray(ops.convert_to_numpy(loss))


def token_prediction_loss(logits, token_ids):
    unnormalized, top, _ = losses.exponentials(logits)
    return losses.token_prediction_loss(logits, token_ids, unnormalized, top)


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


# Metrics.


NAMES = [
    "generator_loss",
    "generator_accuracy",
    "discriminator_loss",
    "sampled_accuracy",
    "replaced_fraction",
    "discriminator_accuracy",
    "discriminator_precision",
    "discriminator_recall",
    "discriminator_auc",
    "gradient_norm",
    "generator_gradient_norm",
    "skipped_steps",
]
# Seven tokens and three of padding, four slots in use and two that are not.
PADDING = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], "int32")
OUTPUTS = {
    "mask_ids": np.array([[5, 6, 7], [8, 0, 0]], "int32"),
    "mask_weights": np.array([[1, 1, 1], [1, 0, 0]], "float32"),
    "token_loss": np.array([[1.0, 2.0, 3.0], [4.0, 50.0, 60.0]], "float32"),
    "predicted_ids": np.array([[5, 9, 7], [8, 9, 9]], "int32"),
    "sampled_ids": np.array([[5, 9, 9], [9, 0, 0]], "int32"),
    "replaced": np.array([[0, 1, 1, 0, 0], [0, 1, 0, 0, 0]], "int32"),
    "discriminator_logits": np.array(
        [[-1.0, 2.0, -3.0, 4.0, -5.0], [-6.0, 7.0, 8.0, 9.0, 10.0]], "float32"
    ),
}


def results(padding, *batches, metrics=None):
    metrics = metrics or PretrainingMetrics()
    for outputs in batches:
        metrics.update(
            padding,
            {name: ops.convert_to_tensor(a) for name, a in outputs.items()},
        )
    return {m.name: float(m.result()) for m in metrics.all}


@pytest.fixture(scope="module")
def first():
    return results(PADDING, OUTPUTS)


def test_metrics_by_hand(first):
    logits = OUTPUTS["discriminator_logits"][PADDING == 1].astype("float64")
    replaced = OUTPUTS["replaced"][PADDING == 1]
    loss = np.log1p(np.exp(logits)) - logits * replaced
    expected = {
        "generator_loss": 2.5,
        "generator_accuracy": 3 / 4,
        "discriminator_loss": loss.mean(),
        "sampled_accuracy": 1 / 4,
        "replaced_fraction": 3 / 7,
        # Called replaced: the second, the fourth and the last token.
        "discriminator_accuracy": 5 / 7,
        "discriminator_precision": 2 / 3,
        "discriminator_recall": 2 / 3,
        # Of the twelve pairs (-3 against -1 and 4, 2 against 4) three wrong.
        "discriminator_auc": 9 / 12,
    }
    for name, value in expected.items():
        assert first[name] == pytest.approx(
            value, abs=1e-2 if "auc" in name else 1e-5
        ), name


def test_names_and_order(first):
    assert list(first) == NAMES
    metrics = PretrainingMetrics()
    assert [m.name for m in metrics.gradients] == NAMES[-3:]
    assert {m.dtype for m in metrics.all} == {"float32"}


def test_padding_never_counts(first):
    other = {name: array.copy() for name, array in OUTPUTS.items()}
    padding = PADDING == 0
    other["discriminator_logits"][padding] = [-80.0, 0.5, 3.0]
    other["replaced"][padding] = 1
    unused = OUTPUTS["mask_weights"] == 0
    for name in ("mask_ids", "predicted_ids", "sampled_ids", "token_loss"):
        other[name][unused] = 3
    assert results(PADDING, other) == first


def test_batches_count_by_their_tokens(first):
    """One batch in two, the second cut to its tokens: the same numbers."""
    metrics = PretrainingMetrics()
    for row, length in ([0], 5), ([1], 2):
        part = {name: array[row, :length] for name, array in OUTPUTS.items()}
        halves = results(PADDING[row, :length], part, metrics=metrics)
    assert halves == pytest.approx(first, abs=1e-5)


def test_a_batch_without_predictions_counts_nothing(first):
    nothing = {**OUTPUTS, "mask_weights": np.zeros((2, 3), "float32")}
    both = results(PADDING, OUTPUTS, nothing)
    assert both["generator_loss"] == pytest.approx(first["generator_loss"])
    assert both["sampled_accuracy"] == first["sampled_accuracy"]


def test_auc_against_the_share_of_ordered_pairs():
    rng = np.random.default_rng(0)
    replaced = (rng.random((4, 500)) < 0.1).astype("int32")
    logits = (rng.normal(size=(4, 500)) + replaced - 2).astype("float32")
    outputs = {**OUTPUTS, "replaced": replaced, "discriminator_logits": logits}
    padding = np.ones((4, 500), "int32")
    padding[:, 400:] = 0
    tokens = padding == 1
    positive = logits[tokens & (replaced == 1)]
    negative = logits[tokens & (replaced == 0)]
    expected = (positive[:, None] > negative).mean()
    assert 0.6 < expected < 0.9
    auc = results(padding, outputs)["discriminator_auc"]
    assert auc == pytest.approx(expected, abs=0.01)


def test_half_precision_logits(first):
    half = {
        **OUTPUTS,
        "discriminator_logits": OUTPUTS["discriminator_logits"].astype(
            "float16"
        ),
    }
    assert results(PADDING, half) == pytest.approx(first, abs=1e-6)


def test_without_a_discriminator(first):
    outputs = {**OUTPUTS}
    del outputs["discriminator_logits"]
    logs = results(PADDING, outputs, metrics=PretrainingMetrics(outputs))
    assert list(logs) == NAMES[:2] + NAMES[-3:]
    assert logs["generator_loss"] == first["generator_loss"]


def test_gradients_of_skipped_steps_do_not_count():
    metrics = PretrainingMetrics(outputs=())
    for norm, applied in ((2.0, True), (np.nan, False), (4.0, True)):
        metrics.update_gradients(
            ops.convert_to_tensor(np.float32(norm)),
            ops.convert_to_tensor(np.float32(norm / 2)),
            ops.convert_to_tensor(applied),
        )
    results = [float(metric.result()) for metric in metrics.gradients]
    assert results == [3.0, 1.5, 1.0]


def test_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    assert {m.dtype for m in PretrainingMetrics().all} == {"float32"}
