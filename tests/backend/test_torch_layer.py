"""Torch's encoder layer: its groups of rows, and where it is used."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.backend.test_encoder_layer import compute
from tests.backend.test_encoder_layer import make_layer

torch = pytest.importorskip("torch")
torch_attention = pytest.importorskip("keras_electra.backend.torch_attention")
operations = pytest.importorskip("keras_electra.backend.torch_operations")
torch_layer = pytest.importorskip("keras_electra.backend.torch_layer")
pytestmark = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="the torch backend's own layer"
)


def test_other_activations_get_the_plain_layer():
    layer, x = make_layer(), ops.ones((3, 7, 12))
    other = make_layer(activation="relu")
    assert torch_layer.can_run(layer, x, True) == (x.device.type == "cpu")
    assert not torch_layer.can_run(other, x, True)


def test_where_bfloat16_is_slow_a_layer_is_computed_in_float32(monkeypatch):
    layer = make_layer("mixed_bfloat16", dropout=0.0)
    x = torch.linspace(-2, 2, 3 * 7 * 12).view(3, 7, 12).bfloat16()
    x.requires_grad_()
    mask = torch.ones(3, 7, dtype=torch.int32)
    types, product = [], operations.product
    monkeypatch.setattr(
        operations, "type_to_compute_in", lambda dtype: torch.float32
    )
    monkeypatch.setattr(
        operations,
        "product",
        lambda x, *rest: types.append(x.dtype) or product(x, *rest),
    )
    output = layer(x, mask, training=True)
    assert types == 4 * [torch.float32]
    assert output.dtype == torch.bfloat16
    exact = make_layer(dropout=0.0)(x.float(), mask, training=True)
    torch.testing.assert_close(output.float(), exact, atol=0.02, rtol=0.01)
    output.sum().backward()
    assert x.grad.dtype == torch.bfloat16


# Attention in groups of rows of similar length.


def settings(monkeypatch, rows, step):
    monkeypatch.setattr(torch_attention, "GROUP_ROWS", rows)
    monkeypatch.setattr(torch_attention, "LENGTH_STEP", step)


@pytest.mark.parametrize("rows, step", [(1, 2), (2, 2), (1, 8)])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_groups_change_nothing(monkeypatch, rows, step, dropout):
    # Three rows of 7, 3 and 5 tokens.
    plain = compute(make_layer(dropout=dropout), False)
    settings(monkeypatch, rows, step)
    ours = compute(make_layer(dropout=dropout), True)
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
