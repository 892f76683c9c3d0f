"""One encoder layer on a CPU, forward and backward written out.

The numbers of `TransformerLayer`, to rounding. Saved is what lies between the
products: biases and residual sums are added by them, dropout is one pass over
integers, and a hundred small operations are not each recorded for autograd. In
training only tokens are computed: what the plain layer gives for padding, which
nothing reads, is zero here.

Shapes: B batch, L length, T tokens that are not padding (or B * L), D hidden,
F feed-forward.
"""

import torch
from torch.nn import functional

import keras_electra.backend.numerics as numerics
from keras_electra.backend.torch_attention import attend
from keras_electra.backend.torch_attention import attend_backward
from keras_electra.backend.torch_attention import make_groups
from keras_electra.backend.torch_attention import pick
from keras_electra.backend.torch_attention import spread
from keras_electra.backend.torch_operations import drop_
from keras_electra.backend.torch_operations import input_gradient
from keras_electra.backend.torch_operations import keep_mask
from keras_electra.backend.torch_operations import kernel_gradient
from keras_electra.backend.torch_operations import product
from keras_electra.backend.torch_operations import sign_mask
from keras_electra.backend.torch_operations import type_to_compute_in

GELU = {"gelu": "none", "gelu_approximate": "tanh"}


def can_run(layer, x, training):
    """Whether a `TransformerLayer` can be run here, and gains by it.

    A compiler does better with plain operations.
    """
    return (
        x.device.type == "cpu"
        and layer.activation in GELU
        and not torch.compiler.is_compiling()
        and numerics.is_plain(layer, x)
    )


def run(layer, x, padding_mask, training, seeds):
    """What `layer.call` returns; see there."""
    (batch, length, width), heads = x.shape, layer.num_heads
    dtype, x = x.dtype, x.to(type_to_compute_in(x.dtype))
    groups, rows = make_groups(padding_mask, x.dtype, training)
    rates = layer.attention.dropout_layer.rate, layer.dropout_layer.rate
    scales = [
        1.0 if seed is None else numerics.scale_of_kept(rate)
        for seed, rate in zip(seeds, rates)
    ]

    def draw(mask, shape, rate, seed, picked):
        return None if seed is None else mask(shape, rate, seed, picked)

    shape = batch, heads, length, length
    signs = [draw(sign_mask, shape, rates[0], seeds[0], g.pick) for g in groups]
    shape = batch * length, width
    keeps = [
        draw(keep_mask, shape, rates[1], seed, lambda draws: pick(draws, rows))
        for seed in seeds[1:]
    ]
    weights = [weight.value for weight in layer.weights]
    settings = signs, keeps, scales, heads, GELU[layer.activation]
    return EncoderLayer.apply(x, rows, groups, *settings, *weights).to(dtype)


class EncoderLayer(torch.autograd.Function):
    """`apply(x, rows, groups, signs, keeps, scales, num_heads, gelu, *weights)`

    Args:
        x: `(B, L, D)`, in the type to compute in.
        rows: `(T,)`, the tokens to compute of the `B * L`, or `None` for all.
        groups: list of `Group`, of the tokens in that order.
        signs: `sign_mask` of the attention weights of each group, or `None`s.
        keeps: `keep_mask` of both outputs `(T, D)`, or `None`s.
        scales: what kept attention weights and kept outputs are multiplied by.
        num_heads: int.
        gelu: `"none"` for the exact one, `"tanh"` for the approximate one.
        weights: as of `numerics.weights_of`, twelve.

    Returns:
        `(B, L, D)`, in the type of `x`.
    """

    @staticmethod
    def forward(
        ctx, x, rows, groups, signs, keeps, scales, num_heads, gelu, *weights
    ):
        ctx.weight_types = [weight.dtype for weight in weights]
        # The normalizations keep theirs, whose rounding would count.
        gain, shift, gain_2, shift_2 = *weights[4:6], *weights[10:]
        dense = [w.to(x.dtype) for w in (*weights[:4], *weights[6:10])]
        w_qkv, b_qkv, w_out, b_out, w_in, b_in, w_back, b_back = dense
        shape, width = x.shape, x.shape[-1]
        weight_scale, output_scale = scales
        x = pick(x.reshape(-1, width), rows)

        qkv = product(x, w_qkv, b_qkv)
        read, *attended = zip(
            *(
                attend(qkv[g.tokens], g, mask, num_heads, weight_scale)
                for g, mask in zip(groups, signs)
            )
        )
        del qkv
        read = _join(read)  # (T, D)

        y = product(read, w_out, b_out)
        total = _add(x, y, keeps[0], output_scale)
        middle, *moments = _normalize(total, gain, shift)
        inner = product(middle, w_in, b_in)  # (T, F)
        active = functional.gelu(inner, approximate=gelu)
        y = product(active, w_back, b_back)
        total_2 = _add(middle, y, keeps[1], output_scale)
        result, *moments_2 = _normalize(total_2, gain_2, shift_2)

        ctx.groups, ctx.num_heads, ctx.gelu = groups, num_heads, gelu
        ctx.scales, ctx.keeps, ctx.drops = scales, keeps, signs[0] is not None
        ctx.save_for_backward(
            x, read, total, *moments, middle, inner, total_2, *moments_2,
            w_qkv, w_out, gain, shift, w_in, w_back, gain_2, shift_2, rows,
            *attended[0], *attended[1],
        )  # fmt: skip
        return spread(result, rows, shape[:-1].numel()).view(shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        (
            x, read, total, mean, deviation, middle, inner, total_2,
            mean_2, deviation_2, w_qkv, w_out, gain, shift, w_in, w_back,
            gain_2, shift_2, rows, *attended,
        ) = ctx.saved_tensors  # fmt: skip
        groups, shape = ctx.groups, gradient.shape
        weight_scale, output_scale = ctx.scales
        gradient = pick(gradient.reshape(-1, shape[-1]), rows)

        d_total_2, d_gain_2, d_shift_2 = _normalize_backward(
            gradient, total_2, mean_2, deviation_2, gain_2, shift_2
        )
        d_y = _scaled(d_total_2, ctx.keeps[1], output_scale)
        # Computed again in little time: kept, it takes a tenth of the memory.
        active = functional.gelu(inner, approximate=ctx.gelu)
        d_w_back, d_b_back = kernel_gradient(active, d_y), d_y.sum(0)
        del active
        d_inner = torch.ops.aten.gelu_backward(
            input_gradient(d_y, w_back), inner, approximate=ctx.gelu
        )
        d_w_in, d_b_in = kernel_gradient(middle, d_inner), d_inner.sum(0)
        d_middle = input_gradient(d_inner, w_in, d_total_2)

        d_total, d_gain, d_shift = _normalize_backward(
            d_middle, total, mean, deviation, gain, shift
        )
        d_y = _scaled(d_total, ctx.keeps[0], output_scale)
        d_w_out, d_b_out = kernel_gradient(read, d_y), d_y.sum(0)
        d_read = input_gradient(d_y, w_out)
        qkv, shares = attended[: len(groups)], attended[len(groups) :]
        settings = ctx.drops, ctx.num_heads, weight_scale
        d_qkv = _join(
            [
                attend_backward(d_read[g.tokens], *tensors, g, *settings)
                for g, *tensors in zip(groups, qkv, shares)
            ]
        )
        d_w_qkv, d_b_qkv = kernel_gradient(x, d_qkv), d_qkv.sum(0)
        d_x = input_gradient(d_qkv, w_qkv, d_total)
        d_x = spread(d_x, rows, shape[:-1].numel()).view(shape)

        gradients = [
            d_w_qkv, d_b_qkv, d_w_out, d_b_out, d_gain, d_shift,
            d_w_in, d_b_in, d_w_back, d_b_back, d_gain_2, d_shift_2,
        ]  # fmt: skip
        gradients = [g.to(t) for g, t in zip(gradients, ctx.weight_types)]
        return (d_x, *[None] * 7, *gradients)


def _join(parts):
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _add(x, y, mask, scale):
    """`x + dropout(y)`; `y` may be overwritten."""
    return torch.add(x, y if mask is None else drop_(y, mask), alpha=scale)


def _scaled(gradient, mask, scale):
    """The gradient of the `y` of `_add`."""
    return gradient if mask is None else drop_(gradient * scale, mask)


def _normalize(x, gain, shift):
    shape = x.shape[-1:]
    return torch.native_layer_norm(x, shape, gain, shift, numerics.EPSILON)


def _normalize_backward(gradient, x, mean, deviation, gain, shift):
    shape, wanted = x.shape[-1:], [True, False, False]
    d_x, _, _ = torch.ops.aten.native_layer_norm_backward(
        gradient, x, shape, mean, deviation, gain, shift, wanted
    )
    # The same function sums these in half precision, off by 5 percent.
    normal = _normalize(x, None, None)[0]
    return d_x, (gradient * normal).sum(0), gradient.sum(0)
