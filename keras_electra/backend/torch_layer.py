"""One encoder layer on a CPU, forward and backward written out.

The same numbers as `TransformerLayer`, to rounding. What it saves is
everything between the matrix products: biases are added by the products,
dropout is one pass over integers, nothing is cast or copied to please a
general operation, the residual sums are part of the products' gradients, and
the hundred small operations of a layer are not each recorded for autograd. In
training, only the tokens are computed: what the plain layer gives for padding,
which nothing reads, is zero here.

Shapes: B batch, L length, T tokens that are not padding (or B * L), D hidden,
F feed-forward.
"""

import torch
from torch.nn import functional

from keras_electra.backend.numerics import scale_of_kept
from keras_electra.backend.torch_attention import attend
from keras_electra.backend.torch_attention import attend_backward
from keras_electra.backend.torch_attention import make_groups
from keras_electra.backend.torch_attention import pick
from keras_electra.backend.torch_attention import spread
from keras_electra.backend.torch_dropout import drop_
from keras_electra.backend.torch_dropout import keep_mask
from keras_electra.backend.torch_dropout import sign_mask
from keras_electra.backend.torch_product import input_gradient
from keras_electra.backend.torch_product import kernel_gradient
from keras_electra.backend.torch_product import product
from keras_electra.backend.torch_product import type_to_compute_in

EPSILON = 1e-12  # of both layer normalizations
GELU = {"gelu": "none", "gelu_approximate": "tanh"}


def can_run(layer, x, training):
    """Whether a `TransformerLayer` can be run here, and gains by it.

    Products in float16 are slow on a CPU when they add a bias, a compiler
    does better with plain operations, and dense layers that are quantized or
    have a LoRA adapter compute something else.
    """
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and layer.activation in GELU
        and not torch.compiler.is_compiling()
        and not layer.is_adapted()
    )


def half_precision(x):
    """`"bfloat16"`, or `"float32"` on a processor that is slow at it."""
    slow = type_to_compute_in(torch.bfloat16) == torch.float32
    return "float32" if slow and x.device.type == "cpu" else "bfloat16"


def run(layer, x, padding_mask, training, seeds):
    """What `layer.call` returns, by `EncoderLayer`.

    Args:
        layer: `TransformerLayer`.
        x: tensor of shape `(B, L, D)`.
        padding_mask: tensor of shape `(B, L)`.
        training: bool.
        seeds: list of three, of `layer.draw_seeds(training)`.

    Returns:
        Tensor of shape `(B, L, D)`.
    """
    (batch, length, width), heads = x.shape, layer.num_heads
    dtype, x = x.dtype, x.to(type_to_compute_in(x.dtype))
    groups, rows = make_groups(padding_mask, x.dtype, training)
    rates = layer.attention.dropout_layer.rate, layer.dropout_layer.rate

    def keep(seed):
        if seed is None:
            return None
        shape = batch * length, width
        return keep_mask(shape, rates[1], seed, lambda draws: pick(draws, rows))

    def signs(group):
        if seeds[0] is None:
            return None
        shape = batch, heads, length, length
        return sign_mask(shape, rates[0], seeds[0], group.pick)

    masks = [signs(group) for group in groups], keep(seeds[1]), keep(seeds[2])
    scales = [
        1.0 if seed is None else scale_of_kept(rate)
        for seed, rate in zip(seeds, rates)
    ]
    qkv, out, inner, back = layer.dense_layers()
    norm, norm_2 = layer.attention_layer_norm, layer.output_layer_norm
    weights = [
        *(qkv.kernel, qkv.bias, out.kernel, out.bias, norm.gamma, norm.beta),
        *(inner.kernel, inner.bias, back.kernel, back.bias),
        *(norm_2.gamma, norm_2.beta),
    ]
    weights = [weight.value for weight in weights]
    gelu = GELU[layer.activation]
    result = EncoderLayer.apply(
        *(x, rows, groups, masks, scales, heads, gelu, *weights)
    )
    return result.to(dtype)


class EncoderLayer(torch.autograd.Function):
    """`apply(x, rows, groups, masks, scales, num_heads, gelu, *weights)`.

    Args:
        x: `(B, L, D)`, in the type to compute in.
        rows: `(T,)`, the tokens to compute of the `B * L`, or `None` for all.
        groups: list of `Group`, of the tokens in that order.
        masks: `sign_mask` of the attention weights of each group, and
            `keep_mask` of each of the two outputs `(T, D)`, or `None`s.
        scales: two floats that what is kept is multiplied by: attention
            weights, outputs.
        num_heads: int.
        gelu: `"none"` for the exact one, `"tanh"` for the approximate one.
        weights: kernels and biases of the four dense layers and scales and
            shifts of the two normalizations, in the order of the layer.

    Returns:
        `(B, L, D)`, in the type of `x`.
    """

    @staticmethod
    def forward(ctx, x, rows, groups, masks, scales, num_heads, gelu, *weights):
        ctx.weight_types = [weight.dtype for weight in weights]
        # The normalizations keep theirs, whose rounding would count.
        gain, shift, gain_2, shift_2 = *weights[4:6], *weights[10:]
        dense = [w.to(x.dtype) for w in (*weights[:4], *weights[6:10])]
        w_qkv, b_qkv, w_out, b_out, w_in, b_in, w_back, b_back = dense
        shape, width = x.shape, x.shape[-1]
        signs, *keeps = masks
        keep_attention, keep_output = keeps
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
        total = _add(x, y, keep_attention, output_scale)
        middle, *moments = _normalize(total, gain, shift)
        inner = product(middle, w_in, b_in)  # (T, F)
        active = functional.gelu(inner, approximate=gelu)
        y = product(active, w_back, b_back)
        total_2 = _add(middle, y, keep_output, output_scale)
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
        keep_attention, keep_output = ctx.keeps
        weight_scale, output_scale = ctx.scales
        gradient = pick(gradient.reshape(-1, shape[-1]), rows)

        d_total_2, d_gain_2, d_shift_2 = _normalize_backward(
            gradient, total_2, mean_2, deviation_2, gain_2, shift_2
        )
        d_y = _scaled(d_total_2, keep_output, output_scale)
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
        d_y = _scaled(d_total, keep_attention, output_scale)
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
        return (d_x, *[None] * 6, *gradients)


def _join(parts):
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _add(x, y, mask, scale):
    """`x + dropout(y)`; `y` may be overwritten."""
    return torch.add(x, y if mask is None else drop_(y, mask), alpha=scale)


def _scaled(gradient, mask, scale):
    """The gradient of the `y` of `_add`."""
    return gradient if mask is None else drop_(gradient * scale, mask)


def _normalize(x, gain, shift):
    return torch.native_layer_norm(x, x.shape[-1:], gain, shift, EPSILON)


def _normalize_backward(gradient, x, mean, deviation, gain, shift):
    shape, wanted = x.shape[-1:], [True, False, False]
    d_x, _, _ = torch.ops.aten.native_layer_norm_backward(
        gradient, x, shape, mean, deviation, gain, shift, wanted
    )
    # The same function sums these in half precision, off by 5 percent.
    normal = torch.native_layer_norm(x, shape, None, None, EPSILON)[0]
    return d_x, (gradient * normal).sum(0), gradient.sum(0)
