"""One encoder layer on a CPU, forward and backward written out.

The same numbers as `TransformerLayer`, to rounding. What it saves is
everything between the matrix products: biases are added by the products,
dropout is one pass over integers, nothing is cast or copied to please a
general operation, the residual sums are part of the products' gradients, and
the hundred small operations of a layer are not each recorded for autograd. In
training, only the tokens are computed: what the plain layer gives for padding,
which nothing reads, is zero here.

Shapes: B batch, L length, T tokens that are not padding (or B * L), D hidden,
F feed-forward, N heads, H = D / N.
"""

import torch
from torch.nn import functional

from keras_electra.model.attention import MASKED_SCORE
from keras_electra.model.dropout import scale_of_kept
from keras_electra.pretraining.train_step.torch_dropout import drop_
from keras_electra.pretraining.train_step.torch_dropout import keep_mask
from keras_electra.pretraining.train_step.torch_dropout import sign_
from keras_electra.pretraining.train_step.torch_dropout import sign_mask
from keras_electra.pretraining.train_step.torch_product import input_gradient
from keras_electra.pretraining.train_step.torch_product import kernel_gradient
from keras_electra.pretraining.train_step.torch_product import product

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
    bias = rows = None
    if not padding_mask.all():
        bias = MASKED_SCORE * (1 - padding_mask[:, None].to(x.dtype))
        if training:
            rows = padding_mask.reshape(-1).nonzero()[:, 0]

    rates = layer.attention.dropout_layer.rate, layer.dropout_layer.rate

    def kept(seed):
        if seed is None:
            return None
        return _pick(keep_mask((batch * length, width), rates[1], seed), rows)

    signs = None
    if seeds[0] is not None:
        shape = batch * heads, length, length
        signs = sign_mask(shape, rates[0], seeds[0])
    masks = signs, kept(seeds[1]), kept(seeds[2])
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
    return EncoderLayer.apply(
        *(x, rows, bias, masks, scales, heads, gelu, *weights)
    )


class EncoderLayer(torch.autograd.Function):
    """`apply(x, rows, bias, masks, scales, num_heads, gelu, *weights)`.

    Args:
        x: `(B, L, D)`, in the type to compute in.
        rows: `(T,)`, the tokens to compute of the `B * L`, or `None` for all.
        bias: `(B, 1, L)` to add to the scores, or `None`.
        masks: three, or `None` each: `sign_mask` of the attention weights
            `(B * N, L, L)`, `keep_mask` of the two outputs `(T, D)`.
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
    def forward(ctx, x, rows, bias, masks, scales, num_heads, gelu, *weights):
        ctx.weight_types = [weight.dtype for weight in weights]
        # The normalizations keep theirs, whose rounding would count.
        gain, shift, gain_2, shift_2 = *weights[4:6], *weights[10:]
        dense = [w.to(x.dtype) for w in (*weights[:4], *weights[6:10])]
        w_qkv, b_qkv, w_out, b_out, w_in, b_in, w_back, b_back = dense
        (batch, length, width), head = x.shape, x.shape[2] // num_heads
        signs, *keeps = masks
        keep_attention, keep_output = keeps
        weight_scale, output_scale = scales
        x = _pick(x.reshape(-1, width), rows)

        qkv = _spread(product(x, w_qkv, b_qkv), rows, batch * length)
        qkv = _split_heads(qkv.view(batch, length, 3, num_heads, head))
        query, key, value = qkv  # (BN, L, H)
        scores = x.new_empty(len(query), length, length)  # (BN, L, L)
        _scaled_product(scores, query, key.transpose(1, 2), head**-0.5)
        if bias is not None:
            scores.view(batch, num_heads, length, length).add_(bias[:, None])
        shares = torch.softmax(scores, -1)
        del scores
        # Negative is what is dropped: no mask has to be kept.
        kept = shares if signs is None else sign_(shares, signs).relu()
        read = torch.empty_like(value)
        _scaled_product(read, kept, value, weight_scale)
        read = read.view(batch, num_heads, length, head)
        read = _pick(read.transpose(1, 2).reshape(-1, width), rows)  # (T, D)

        y = product(read, w_out, b_out)
        total = _add(x, y, keep_attention, output_scale)
        middle, *moments = _normalize(total, gain, shift)
        inner = product(middle, w_in, b_in)  # (T, F)
        active = functional.gelu(inner, approximate=gelu)
        y = product(active, w_back, b_back)
        total_2 = _add(middle, y, keep_output, output_scale)
        result, *moments_2 = _normalize(total_2, gain_2, shift_2)

        ctx.shape = (batch, length, num_heads, head)
        ctx.scales, ctx.gelu, ctx.keeps = scales, gelu, keeps
        ctx.drops_weights = signs is not None
        ctx.save_for_backward(
            x, qkv, shares, read, total, *moments, middle, inner, active,
            total_2, *moments_2, w_qkv, w_out, gain, shift, w_in, w_back,
            gain_2, shift_2, rows,
        )  # fmt: skip
        result = _spread(result, rows, batch * length)
        return result.view(batch, length, width)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        (
            x, qkv, shares, read, total, mean, deviation, middle, inner,
            active, total_2, mean_2, deviation_2, w_qkv, w_out, gain, shift,
            w_in, w_back, gain_2, shift_2, rows,
        ) = ctx.saved_tensors  # fmt: skip
        batch, length, num_heads, head = ctx.shape
        keep_attention, keep_output = ctx.keeps
        weight_scale, output_scale = ctx.scales
        width = x.shape[1]
        gradient = _pick(gradient.reshape(-1, width), rows)

        d_total_2, d_gain_2, d_shift_2 = _normalize_backward(
            gradient, total_2, mean_2, deviation_2, gain_2, shift_2
        )
        d_y = _scaled(d_total_2, keep_output, output_scale)
        d_w_back, d_b_back = kernel_gradient(active, d_y), d_y.sum(0)
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
        d_read = _spread(input_gradient(d_y, w_out), rows, batch * length)
        d_read = d_read.view(batch, length, num_heads, head)
        d_read = d_read.transpose(1, 2).reshape(-1, length, head)  # (BN, L, H)

        query, key, value = qkv
        d_qkv = torch.empty_like(qkv)
        kept = shares.relu() if ctx.drops_weights else shares
        _scaled_product(d_qkv[2], kept.transpose(1, 2), d_read, weight_scale)
        d_shares = torch.empty_like(shares)
        _scaled_product(d_shares, d_read, value.transpose(1, 2), weight_scale)
        if ctx.drops_weights:
            d_shares = torch.ops.aten.threshold_backward(d_shares, kept, 0)
            shares = shares.abs()
        d_scores = torch._softmax_backward_data(
            d_shares, shares, -1, shares.dtype
        )
        _scaled_product(d_qkv[0], d_scores, key, head**-0.5)
        _scaled_product(d_qkv[1], d_scores.transpose(1, 2), query, head**-0.5)
        d_qkv = d_qkv.view(3, batch, num_heads, length, head)
        d_qkv = d_qkv.permute(1, 3, 0, 2, 4).reshape(-1, 3 * width)
        d_qkv = _pick(d_qkv, rows)
        d_w_qkv, d_b_qkv = kernel_gradient(x, d_qkv), d_qkv.sum(0)
        d_x = input_gradient(d_qkv, w_qkv, d_total)
        d_x = _spread(d_x, rows, batch * length)

        gradients = [
            d_w_qkv, d_b_qkv, d_w_out, d_b_out, d_gain, d_shift,
            d_w_in, d_b_in, d_w_back, d_b_back, d_gain_2, d_shift_2,
        ]  # fmt: skip
        gradients = [g.to(t) for g, t in zip(gradients, ctx.weight_types)]
        return (d_x.view(batch, length, width), *[None] * 6, *gradients)


def _pick(x, rows):
    return x if rows is None else x.index_select(0, rows)


def _spread(x, rows, count):
    """The inverse of `_pick`, with zeros elsewhere."""
    if rows is None:
        return x
    return x.new_zeros(count, x.shape[1]).index_copy_(0, rows, x)


def _split_heads(x):
    batch, length, three, num_heads, head = x.shape
    x = x.permute(2, 0, 3, 1, 4)
    return x.reshape(three, batch * num_heads, length, head)


def _scaled_product(result, a, b, scale):
    """Writes `scale * a @ b` into `result`."""
    result.baddbmm_(a, b, beta=0, alpha=scale)


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
