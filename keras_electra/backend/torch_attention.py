"""Self-attention on a CPU, forward and backward, for rows of similar length.

In training rows are taken in groups by length, each cut to its longest row.
Tokens are in the order of the groups. Shapes: B rows of a group, L its length,
T its tokens but padding (or B * L), D hidden, N heads, H = D / N.

On other devices torch's kernels do it: `fused_attention`.
"""

import dataclasses
import functools
from typing import Any

import torch
from torch.nn import functional

from keras_electra.backend.numerics import MASKED_SCORE
from keras_electra.backend.torch_operations import sign_

GROUP_ROWS = 8
LENGTH_STEP = 8  # lengths are multiples, for the products' sake


@dataclasses.dataclass
class Group:
    """Rows of a batch that attention is computed for together."""

    length: int  # L
    tokens: slice  # of the tokens of all groups
    rows: torch.Tensor = None  # (B,) places in the batch; None: the whole batch
    inside: torch.Tensor = None  # (T,) its tokens among the B * L; None: all
    bias: torch.Tensor = None  # (B, 1, L) to add to the scores

    def pick(self, draws: Any) -> Any:
        """Its part of an array `(batch, N, length, pairs)` of a batch."""
        if self.rows is None:
            return draws
        pairs = -(-self.length // 2)
        return draws[self.rows, :, : self.length, :pairs]


def make_groups(padding_mask, dtype, training):
    """Groups of rows, in training without padding, else all rows as one.

    And the places of their tokens in the batch, `None` for all in their order.
    """
    batch, length = padding_mask.shape
    padded = not padding_mask.all()
    if not (padded and training):
        bias = _bias(padding_mask, dtype) if padded else None
        return [Group(length, slice(0, batch * length), bias=bias)], None
    lengths = (padding_mask * torch.arange(1, length + 1)).amax(1)
    groups, places, start = [], [], 0
    for rows in lengths.argsort().split(GROUP_ROWS):
        longest = max(1, int(lengths[rows[-1]]))
        longest = min(length, -(-longest // LENGTH_STEP) * LENGTH_STEP)
        mask = padding_mask[rows, :longest]
        inside = mask.reshape(-1).nonzero()[:, 0]
        places.append(rows[inside // longest] * length + inside % longest)
        group = Group(longest, slice(start, start + len(inside)), rows)
        start = group.tokens.stop
        if len(inside) < mask.numel():
            group.inside, group.bias = inside, _bias(mask, dtype)
        groups.append(group)
    return groups, torch.cat(places)


def attend(qkv, group, signs, num_heads, weight_scale):
    """What the tokens of a group read, and two tensors for `attend_backward`.

    `qkv` is `(T, 3 * D)`, `signs` is `sign_mask` of the weights `(B, N, L, L)`
    or `None`, `weight_scale` times the weights that are not dropped.
    """
    length, width = group.length, qkv.shape[1] // 3
    count = len(qkv) if group.inside is None else len(group.bias) * length
    head = width // num_heads
    qkv = spread(qkv, group.inside, count)
    qkv = qkv.view(-1, length, 3, num_heads, head).permute(2, 0, 3, 1, 4)
    query, key, value = qkv = qkv.reshape(3, -1, length, head)  # (BN, L, H)
    scores = qkv.new_empty(len(query), length, length)
    _scaled_product(scores, query, key.transpose(1, 2), head**-0.5)
    if group.bias is not None:
        scores.view(-1, num_heads, *scores.shape[1:]).add_(group.bias[:, None])
    shares = torch.softmax(scores, -1)
    del scores
    kept = shares
    if signs is not None:  # what is dropped is kept as negative: no mask is
        kept = sign_(shares, signs.view(shares.shape)).relu()
    read = torch.empty_like(value)
    _scaled_product(read, kept, value, weight_scale)
    read = read.view(-1, num_heads, length, head).transpose(1, 2)
    return pick(read.reshape(-1, width), group.inside), qkv, shares


def attend_backward(d_read, qkv, shares, group, drops, num_heads, weight_scale):
    """The gradient of the `qkv` of `attend`, which had `signs` if `drops`."""
    _, count, length, head = qkv.shape
    count, width = count * length // num_heads, num_heads * head
    d_read = spread(d_read, group.inside, count)
    d_read = d_read.view(-1, length, num_heads, head)
    d_read = d_read.transpose(1, 2).reshape(-1, length, head)  # (BN, L, H)
    query, key, value = qkv
    d_qkv = torch.empty_like(qkv)
    kept = shares.relu() if drops else shares
    _scaled_product(d_qkv[2], kept.transpose(1, 2), d_read, weight_scale)
    d_shares = torch.empty_like(shares)
    _scaled_product(d_shares, d_read, value.transpose(1, 2), weight_scale)
    if drops:
        d_shares = torch.ops.aten.threshold_backward(d_shares, kept, 0)
        shares = shares.abs()
    d_scores = torch._softmax_backward_data(d_shares, shares, -1, shares.dtype)
    _scaled_product(d_qkv[0], d_scores, key, head**-0.5)
    _scaled_product(d_qkv[1], d_scores.transpose(1, 2), query, head**-0.5)
    d_qkv = d_qkv.view(3, -1, num_heads, length, head)
    d_qkv = d_qkv.permute(1, 3, 0, 2, 4).reshape(-1, 3 * width)
    return pick(d_qkv, group.inside)


def fused_attention(x: Any, padding_mask: Any, rate: float) -> Any:
    """What tokens read, by torch's kernels, which never write the scores.

    Args:
        x: `(B, L, 3, N, H)`, queries, keys and values.
        padding_mask: `(B, L)`, 1 for a token; rows with padding are computed by
            kernels for rows of any lengths, for padding the result is zero.
        rate: float, the share of weights dropped. They are drawn by the state
            of the device, which runs keep to resume, not by the layer's seed:
            of several processes each drops the same places of its rows.

    Returns `(B, L, N, H)`, on GPUs bit for bit the same gradients only under
    `torch.use_deterministic_algorithms`. One number is read by the host for a
    `padding_mask`; none under a compiler or in `torch.inference_mode`, whose
    changes of masks are not counted: there padding is computed as well.
    """
    attend = functools.partial(
        functional.scaled_dot_product_attention, dropout_p=rate
    )
    packing = bias = None
    mode = torch.is_inference_mode_enabled() or padding_mask.is_inference()
    others = x.device.type not in ("cuda", "cpu")  # lack those kernels
    if torch.compiler.is_compiling() or mode or others:
        bias = _bias(padding_mask, x.dtype)[:, None]  # (B, 1, 1, L)
    else:
        packing = _pack(padding_mask, padding_mask._version)
    if packing is None:
        dense = (part.transpose(1, 2) for part in x.unbind(2))
        return attend(*dense, attn_mask=bias).transpose(1, 2)
    tokens, jagged = packing
    parts = x.flatten(0, 1).unbind(1)  # (B * L, N, H)
    rows = (jagged(pick(part, tokens)).transpose(1, 2) for part in parts)
    read = attend(*rows).transpose(1, 2).values().flatten(1)
    return spread(read, tokens, padding_mask.numel()).view_as(x[:, :, 0])


@functools.lru_cache(1)  # the layers of a network are called with one mask
def _pack(padding_mask, version):
    """Places `(T,)` of tokens, and what makes rows of theirs; `None`: all.

    A tensor is the same key as itself only, `version` counts its changes.
    """
    mask = padding_mask.bool()
    nothing = ~mask.any(1, keepdim=True)  # the kernels want a token in a row
    mask = torch.cat([mask[:, :1] | nothing, mask[:, 1:]], 1)
    tokens = mask.flatten().nonzero()[:, 0]
    if len(tokens) == mask.numel():
        return None
    return tokens, functools.partial(
        torch.nested.nested_tensor_from_jagged,
        offsets=functional.pad(mask.sum(1).cumsum(0), (1, 0)),
        min_seqlen=1,
        max_seqlen=mask.shape[1],  # at most
    )


def pick(x: Any, rows: Any) -> Any:
    return x if rows is None else x.index_select(0, rows)


def spread(x: Any, rows: Any, count: Any) -> Any:
    """The inverse of `pick`, with zeros elsewhere."""
    if rows is None:
        return x
    return x.new_zeros(count, x.shape[1]).index_copy_(0, rows, x)


def _bias(padding_mask, dtype):
    return MASKED_SCORE * (1 - padding_mask[:, None].to(dtype))


def _scaled_product(result, a, b, scale):
    result.baddbmm_(a, b, beta=0, alpha=scale)
