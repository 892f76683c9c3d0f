"""Which tokens are masked, and what they are replaced by."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.pretraining import masking
from keras_electra.pretraining.masking import MaskTokens
from keras_electra.pretraining.masking import ReplaceTokens

SPECIAL = [0, 2, 3, 4]
MASK = 4
LENGTHS = [40, 40, 25, 12, 7, 3]


def batch(rows=24, length=40, seed=0):
    """Rows `[CLS] ... [SEP] ... [SEP]` of several lengths, padded."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, 50, (rows, length)).astype("int32")
    padding = np.zeros_like(ids)
    for i in range(rows):
        end = min(LENGTHS[i % len(LENGTHS)], length)
        ids[i, 0] = 2
        ids[i, [end // 2, end - 1]] = 3
        ids[i, end:] = 0
        padding[i, :end] = 1
    return ids, padding


def build(**kwargs):
    return MaskTokens(MASK, SPECIAL, **{"seed": 7, **kwargs})


def mask(layer, ids, padding, training=True):
    y = layer(ops.convert_to_tensor(ids), padding, training=training)
    return {name: np.asarray(ops.convert_to_numpy(y[name])) for name in y}


@functools.cache
def one_draw():
    return mask(build(), *batch())


# Which positions.


def test_as_many_as_asked_for():
    ids, padding = batch()
    tokens = padding.sum(axis=1)
    candidates = (~np.isin(ids, SPECIAL)).sum(axis=1)
    limit = int(0.155 * 40)
    wanted = np.clip(np.round(tokens * 0.15), 1, limit)
    assert sorted(set(wanted)) == [1, 2, 4, 6]
    got = one_draw()["mask_weights"].sum(axis=1)
    np.testing.assert_array_equal(got, np.minimum(wanted, candidates))
    # A row of [CLS] [SEP] [SEP] alone has nothing to predict.
    assert got[5] == 0


def test_distinct_and_never_special_or_padding():
    ids, padding = batch()
    y = one_draw()
    for row in range(len(ids)):
        used = y["mask_positions"][row][y["mask_weights"][row] == 1]
        assert len(set(used)) == len(used)
        assert np.all(padding[row, used] == 1)
        assert not np.isin(ids[row, used], SPECIAL).any()
    # Unused slots are distinct positions, too, so no write meets another.
    assert all(len(set(row)) == len(row) for row in y["mask_positions"])


def test_ids_are_the_original_ones():
    ids, _ = batch()
    y = one_draw()
    np.testing.assert_array_equal(
        y["mask_ids"], np.take_along_axis(ids, y["mask_positions"], axis=1)
    )
    assert y["mask_positions"].dtype == y["mask_ids"].dtype == "int32"
    assert y["mask_weights"].dtype == "float32"
    assert y["token_ids"].dtype == "int32"


def test_nothing_else_changes():
    ids, _ = batch()
    y = one_draw()
    allowed = np.zeros(ids.shape, bool)
    for row in range(len(ids)):
        used = y["mask_positions"][row][y["mask_weights"][row] == 1]
        allowed[row, used] = True
    changed = y["token_ids"] != ids
    assert not np.any(changed & ~allowed)
    assert np.all(y["token_ids"][changed] == MASK)


def test_shares():
    """Every candidate is as likely, and 85% of the selected are shown masked.

    2,000 rows of 17 candidates, 3 selected: bounds are four standard errors.
    """
    ids = np.tile(np.array([2, *range(5, 22), 3, 0], "int32"), (2000, 1))
    y = mask(build(), ids, (ids > 0).astype("int32"))
    assert np.all(y["mask_weights"] == 1) and y["mask_weights"].shape[1] == 3
    counts = np.bincount(y["mask_positions"].ravel(), minlength=20)
    assert counts[0] == counts[18] == counts[19] == 0
    share = 3 / 17
    error = np.sqrt(2000 * share * (1 - share))
    assert np.all(np.abs(counts[1:18] - 2000 * share) < 4 * error)
    shown = np.take_along_axis(y["token_ids"], y["mask_positions"], axis=1)
    masked = (shown == MASK).mean()
    assert abs(masked - 0.85) < 4 * np.sqrt(0.85 * 0.15 / 6000)
    kept = shown != MASK
    np.testing.assert_array_equal(shown[kept], y["mask_ids"][kept])


def test_random_tokens():
    """40% [MASK], 40% other tokens of the batch, 20% as they are."""
    rng = np.random.default_rng(3)
    ids = np.arange(5, 5 + 17 * 2000).reshape(2000, 17).astype("int32")
    ids = np.pad(ids, ((0, 0), (1, 0)), constant_values=2)
    lengths = rng.integers(10, 19, (2000, 1))
    padding = (np.arange(18) < lengths).astype("int32")
    layer = build(mask_token_rate=0.4, random_token_rate=0.4)
    y = mask(layer, ids * padding, padding)
    used = y["mask_weights"] == 1
    shown = np.take_along_axis(y["token_ids"], y["mask_positions"], axis=1)
    masked, kept = shown == MASK, shown == y["mask_ids"]
    other = used & ~masked & ~kept
    error = 4 * np.sqrt(0.4 * 0.6 / used.sum())
    assert abs(masked[used].mean() - 0.4) < error
    # Rows with fewer slots in use have nothing to give for some.
    assert 0.25 < other.sum() / used.sum() < 0.4 + error
    # From the row before, where it was selected, never padding or [CLS].
    source = (shown - 5) // 17
    rows = np.arange(2000)[:, None]
    assert np.all(
        source[other] == np.broadcast_to(rows - 1, shown.shape)[other] % 2000
    )
    for row in range(1, 40):
        given = y["mask_ids"][row - 1][used[row - 1]]
        assert np.isin(shown[row][other[row]], given).all()


def test_random_tokens_in_a_batch_of_one():
    ids = np.arange(5, 105, dtype="int32")[None]
    layer = build(mask_token_rate=0.0, random_token_rate=1.0)
    y = mask(layer, ids, np.ones_like(ids))
    assert (y["token_ids"] != ids).sum() == y["mask_weights"].sum() == 15
    assert np.isin(y["token_ids"], ids).all()


@pytest.mark.parametrize("rate, expected", [(0.0, 0.0), (1.0, 1.0)])
def test_all_or_none_shown_as_mask(rate, expected):
    ids, padding = batch()
    y = mask(build(mask_token_rate=rate), ids, padding)
    assert (y["token_ids"] == MASK).sum() == expected * y["mask_weights"].sum()


def test_mask_fraction():
    ids, padding = batch(rows=1)
    y = mask(build(mask_fraction=0.25), ids, padding)
    assert y["mask_positions"].shape == (1, 10)
    assert y["mask_weights"].sum() == 10


def test_rows_of_length_5():
    """int(0.155 * 5) is 0, yet there is a slot."""
    ids = np.array([[2, 7, 8, 9, 3], [2, 3, 3, 0, 0]], "int32")
    y = mask(build(mask_token_rate=1.0), ids, (ids > 0).astype("int32"))
    assert y["mask_positions"].shape == (2, 1)
    np.testing.assert_array_equal(y["mask_weights"], [[1], [0]])
    assert (y["token_ids"][0] == MASK).sum() == 1
    np.testing.assert_array_equal(y["token_ids"][1], ids[1])


def test_nothing_but_padding():
    ids = np.zeros((2, 5), "int32")
    y = mask(build(), ids, ids)
    np.testing.assert_array_equal(y["token_ids"], ids)
    assert y["mask_weights"].sum() == 0


# When, and from which seed.


def test_same_seed_same_masks_another_each_step():
    ids, padding = batch()
    first, second = build(), build()
    for _ in range(2):
        a, b = mask(first, ids, padding), mask(second, ids, padding)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    c = mask(first, ids, padding)
    assert np.any(a["mask_positions"] != c["mask_positions"])
    other = mask(build(seed=8), ids, padding)
    start = mask(build(), ids, padding)
    assert np.any(other["mask_positions"] != start["mask_positions"])


def test_state_of_the_seed_can_be_restored():
    ids, padding = batch()
    layer = build()
    mask(layer, ids, padding)
    state = {}
    layer.save_own_variables(state)
    expected = mask(layer, ids, padding)
    other = build(seed=None)
    other.load_own_variables(state)
    restored = mask(other, ids, padding)
    for name in expected:
        np.testing.assert_array_equal(restored[name], expected[name])


def test_evaluation_starts_anew_whatever_the_seed():
    ids, padding = batch()
    one, two = build(seed=1), build(seed=2)
    mask(two, ids, padding)
    a = mask(one, ids, padding, training=False)
    b = mask(two, ids, padding, training=False)
    np.testing.assert_array_equal(a["mask_positions"], b["mask_positions"])
    assert np.any(
        mask(one, ids, padding, training=False)["mask_positions"]
        != a["mask_positions"]
    )
    one.restart_evaluation()
    again = mask(one, ids, padding, training=False)
    np.testing.assert_array_equal(a["mask_positions"], again["mask_positions"])


# The pieces.


def test_max_predictions():
    cases = [(128, 0.15, 19), (512, 0.15, 79), (512, 0.25, 130), (5, 0.15, 1)]
    for length, fraction, expected in cases:
        assert masking.max_predictions(length, fraction) == expected


def test_count_predictions():
    counts = masking.count_predictions(
        ops.convert_to_tensor([0, 1, 3, 20, 100, 128]), 0.15, 16
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(counts), [1, 1, 1, 3, 15, 16]
    )


def test_select_positions():
    keys = np.array([[0.1, 0.9, 0.5, 0.0], [0.9, 0.8, 0.7, 0.0]], "float32")
    candidates = np.array([[True, True, True, True], [False] * 3 + [True]])
    positions, weights = masking.select_positions(
        ops.convert_to_tensor(keys),
        ops.convert_to_tensor(candidates),
        ops.convert_to_tensor([2, 2]),
        3,
    )
    positions = ops.convert_to_numpy(positions)
    np.testing.assert_array_equal(positions[0], [1, 2, 0])
    # A candidate with the key 0 goes before what is no candidate.
    assert positions[1, 0] == 3
    np.testing.assert_array_equal(
        ops.convert_to_numpy(weights), [[1, 1, 0], [1, 0, 0]]
    )


def test_replace_ids():
    ids = np.array([[5, 6, 7], [8, 9, 10]], "int32")
    replaced = masking.replace_ids(
        ops.convert_to_tensor(ids),
        ops.convert_to_tensor(np.array([[2, 0], [1, 2]], "int32")),
        ops.convert_to_tensor(np.array([[50, 51], [52, 53]], "int32")),
        ops.convert_to_tensor(np.array([[1.0, 1.0], [1.0, 0.0]], "float32")),
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(replaced), [[51, 6, 50], [8, 52, 10]]
    )


def test_spec_of_masked_tokens():
    layer = build(mask_fraction=0.2, mask_token_rate=0.5, random_token_rate=0.1)
    x = keras.KerasTensor((24, 40), dtype="int32")
    spec = layer.compute_output_spec(x, x)
    y = mask(layer, *batch())
    for name in y:
        assert spec[name].shape == y[name].shape
        assert spec[name].dtype == y[name].dtype


# Replacing.


ROWS = np.array([[2, 5, 6, 7, 3], [2, 8, 9, 3, 0]], "int32")
POSITIONS = np.array([[1, 3], [2, 0]], "int32")


def replace(sampled, weights):
    y = ReplaceTokens()(
        ops.convert_to_tensor(ROWS),
        ops.convert_to_tensor(POSITIONS),
        ops.convert_to_tensor(np.array(sampled, "int32")),
        ops.convert_to_tensor(np.array(weights, "float32")),
    )
    y = {name: np.asarray(ops.convert_to_numpy(y[name])) for name in y}
    assert y["token_ids"].dtype == y["replaced"].dtype == "int32"
    return y["token_ids"].tolist(), y["replaced"].tolist()


def test_labels_are_where_tokens_differ():
    ids, replaced = replace([[10, 11], [12, 13]], [[1, 1], [1, 0]])
    assert ids == [[2, 10, 6, 11, 3], [2, 8, 12, 3, 0]]
    assert replaced == [[0, 1, 0, 1, 0], [0, 0, 1, 0, 0]]


def test_a_draw_of_the_right_token_is_original():
    ids, replaced = replace([[5, 11], [9, 2]], [[1, 1], [1, 1]])
    assert ids == [[2, 5, 6, 11, 3], [2, 8, 9, 3, 0]]
    assert replaced == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]


def test_unused_slots_change_nothing():
    ids, replaced = replace([[10, 11], [12, 13]], [[0, 0], [0, 0]])
    assert ids == ROWS.tolist()
    assert not np.any(replaced)


def test_replaced_under_mixed_precision():
    """Ids above 256 are no bfloat16 numbers; they must not pass through it."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    ids, replaced = replace([[30521, 1001], [12, 13]], [[1, 1], [1, 0]])
    assert ids[0] == [2, 30521, 6, 1001, 3]
    assert replaced == [[0, 1, 0, 1, 0], [0, 0, 1, 0, 0]]


def test_spec_of_replaced_tokens():
    ids, slots = keras.KerasTensor((2, 5)), keras.KerasTensor((2, 2))
    spec = ReplaceTokens().compute_output_spec(ids, slots, slots, slots)
    for name in ("token_ids", "replaced"):
        assert spec[name].shape == (2, 5)
        assert spec[name].dtype == "int32"


def test_mask_fraction_of_a_range():
    ids = np.full((300, 20), 7, "int32")
    ids[:, 0], padding = 2, np.ones_like(ids)
    segments = np.repeat([[0] * 8 + [1] * 12], 300, 0)
    layer = build(
        mask_fraction=(0.25, 1.0), fill_fraction=0.0, mask_targets_only=True
    )
    y = layer(ids, padding, segments, training=True)
    y = {name: ops.convert_to_numpy(array) for name, array in y.items()}
    counts, rate = y["mask_weights"].sum(1), y["mask_rate"]
    assert y["mask_weights"].shape == (300, 20)
    # A rate for each row, of the tokens of the second segment.
    np.testing.assert_array_equal(counts, np.round(12 * rate))
    assert rate.min() < 0.3 and rate.max() > 0.95
    assert rate.mean() == pytest.approx(0.625, abs=0.06)
    assert y["mask_positions"][y["mask_weights"] > 0].min() == 8
    # Every second row is filled whole, the others by any share.
    filled = y["fill_weights"].sum(1)
    assert np.mean(filled == counts) == pytest.approx(0.5, abs=0.15)
    assert (filled[filled < counts] / counts[filled < counts]).min() < 0.2
    assert (y["fill_weights"] <= y["mask_weights"]).all()
