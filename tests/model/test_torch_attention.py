"""Attention in groups of rows of similar length, on torch."""

import keras
import numpy as np
import pytest

from tests.model.test_encoder_layer import make_layer
from tests.model.test_encoder_layer import results

torch = pytest.importorskip("torch")
torch_attention = pytest.importorskip("keras_electra.backend.torch_attention")
pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="the torch backend's own layer"
)


def settings(monkeypatch, rows, step):
    monkeypatch.setattr(torch_attention, "GROUP_ROWS", rows)
    monkeypatch.setattr(torch_attention, "LENGTH_STEP", step)


@pytest.mark.parametrize("rows, step", [(1, 2), (2, 2), (1, 8)])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_groups_change_nothing(monkeypatch, rows, step, dropout):
    # Three rows of 7, 3 and 5 tokens.
    plain = results(make_layer(dropout=dropout), monkeypatch, False)
    settings(monkeypatch, rows, step)
    ours = results(make_layer(dropout=dropout), monkeypatch, True)
    for expected, received in zip(plain, ours, strict=True):
        np.testing.assert_allclose(received, expected, atol=2e-5, rtol=1e-5)


def test_groups_are_cut_to_their_longest_row(monkeypatch):
    settings(monkeypatch, rows=2, step=2)
    mask = torch.tensor(
        [[1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    )
    (short, long), places = torch_attention.make_groups(
        mask, torch.float32, True
    )
    assert [short.rows.tolist(), long.rows.tolist()] == [[3, 1], [2, 0]]
    assert [short.length, long.length] == [2, 5]
    assert places.tolist() == [5, 11, 12, 0, 1, 2, 3, 4]
    assert [short.inside.tolist(), long.inside.tolist()] == [
        [2],
        [1, 2, 5, 6, 7, 8, 9],
    ]
    assert [short.tokens, long.tokens] == [slice(0, 1), slice(1, 8)]
    assert long.bias[:, 0].tolist() == [
        [-10000.0, 0.0, 0.0, -10000.0, -10000.0],
        [0.0] * 5,
    ]


def test_a_group_of_full_rows_has_nothing_to_leave_out(monkeypatch):
    settings(monkeypatch, rows=1, step=2)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    groups, places = torch_attention.make_groups(mask, torch.float32, True)
    assert [(g.inside, g.bias) for g in groups] == [(None, None)] * 2
    assert places.tolist() == [4, 5, 0, 1, 2, 3]


@pytest.mark.parametrize("training, tokens", [(True, 2), (False, 1)])
def test_the_whole_batch_is_one_group(training, tokens):
    mask = torch.tensor([[1, 1], [1, 1]])
    mask[1] = torch.tensor([1, tokens - 1])
    (group,), places = torch_attention.make_groups(
        mask, torch.float32, training
    )
    assert places is None and group.inside is None and group.rows is None
    assert (group.length, group.tokens) == (2, slice(0, 4))
    assert (group.bias is None) == training
