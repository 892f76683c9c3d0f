"""One encoder layer on a CPU, forward and backward written out.

No small operation is recorded for autograd. In training only tokens are
computed: for padding, which nothing reads, the result is zero. Shapes: B batch,
L length, T tokens but padding (or B * L), D hidden, F feed-forward.
"""

import functools
import types
from typing import Any

import torch
from torch.nn import functional

import keras_electra.backend.numerics as numerics
import keras_electra.backend.torch_attention as attention
import keras_electra.backend.torch_operations as operations

fused_attention: Any = attention.fused_attention  # for other devices
GELU = {"gelu": "none", "gelu_approximate": "tanh"}


def can_run(layer: Any, x: Any, training: bool | None) -> Any:
    # A compiler does better with plain operations.
    on_cpu = x.device.type == "cpu" and not torch.compiler.is_compiling()
    return on_cpu and layer.activation in GELU and numerics.is_plain(layer, x)


@torch._disable_dynamo  # what it gave up on is left alone
def run(layer, x, padding_mask, training, seeds):
    (batch, length, width), heads = x.shape, layer.num_heads
    dtype, x = x.dtype, x.to(operations.type_to_compute_in(x.dtype))
    groups, rows = attention.make_groups(padding_mask, x.dtype, training)
    rates = layer.attention_dropout, layer.dropout
    scales = [numerics.kept(r)[1] if training else 1.0 for r in rates]

    def draw(mask, shape, rate, seed, pick):
        return None if seed is None else mask(shape, rate, seed, pick)

    settings = (batch, heads, length, length), rates[0], seeds[0]
    signs = [draw(operations.sign_mask, *settings, g.pick) for g in groups]
    settings = operations.keep_mask, (batch * length, width), rates[1]
    pick = functools.partial(attention.pick, rows=rows)
    keeps = [draw(*settings, seed, pick) for seed in seeds[1:]]
    settings = _settings(layer, groups, keeps, scales)
    given = x, rows, signs, settings, *_weights(layer)
    return EncoderLayer.apply(*given).to(dtype)


def run_all(layers: Any, x: Any, padding_mask: Any) -> Any:
    """What layers give, one after another, in prediction.

    Half the time of a short text is what Keras and autograd do around them:
    here nothing is, for float32 and layers for which `can_run` holds.
    """
    fast = x.dtype == torch.float32 and not torch.is_grad_enabled()
    if not fast or not all(can_run(layer, x, False) for layer in layers):
        return functools.reduce(lambda x, f: f(x, padding_mask), layers, x)
    groups, _ = attention.make_groups(padding_mask, x.dtype, training=False)
    context = types.SimpleNamespace(save_for_backward=lambda *_: None)
    for layer in layers:
        given = x, None, [None], _settings(layer, groups), *_weights(layer)
        x = EncoderLayer.forward(context, *given)
    return x


def _settings(layer, groups, keeps=(None, None), scales=(1.0, 1.0)):
    settings = groups, keeps, scales, layer.num_heads, GELU[layer.activation]
    return *settings, layer.layer_norm_epsilon


def _weights(layer):
    return [weight.value for weight in layer.weights]


class EncoderLayer(torch.autograd.Function):
    """The layer as a function of `x`, `(B, L, D)` in the type to compute in.

    `rows`, `(T,)` or `None` for all, are the tokens to compute of the `B * L`,
    the groups are of them in that order. `signs` are `sign_mask`s of groups,
    `keeps` are `keep_mask`s of both outputs; `scales` are of what is kept.
    """

    @staticmethod
    def forward(ctx, x, rows, signs, settings, *weights):
        ctx.settings = settings
        groups, keeps, scales, num_heads, gelu, epsilon = settings
        ctx.drops = signs[0] is not None
        ctx.weight_types = [weight.dtype for weight in weights]
        # The normalizations keep theirs, whose rounding would count.
        norm, norm_2 = weights[4:6], weights[10:]
        dense = [w.to(x.dtype) for w in (*weights[:4], *weights[6:10])]
        w_qkv, b_qkv, w_out, b_out, w_in, b_in, w_back, b_back = dense
        shape, product = x.shape, operations.product
        x = attention.pick(x.reshape(-1, shape[-1]), rows)
        qkv = product(x, w_qkv, b_qkv)
        read, *attended = zip(
            *(
                attention.attend(qkv[g.tokens], g, mask, num_heads, scales[0])
                for g, mask in zip(groups, signs)
            )
        )
        del qkv
        read = _join(read)  # (T, D)
        y = operations.drop_(product(read, w_out, b_out), keeps[0])
        total = torch.add(x, y, alpha=scales[1])
        middle, *moments = _normalize(total, *norm, epsilon)
        inner = product(middle, w_in, b_in)  # (T, F)
        active = functional.gelu(inner, approximate=gelu)
        y = operations.drop_(product(active, w_back, b_back), keeps[1])
        total_2 = torch.add(middle, y, alpha=scales[1])
        result, *moments_2 = _normalize(total_2, *norm_2, epsilon)
        ctx.save_for_backward(
            rows, x, read, middle, inner, w_qkv, w_out, w_in, w_back,
            total, *moments, *norm, total_2, *moments_2, *norm_2,
            *attended[0], *attended[1],
        )  # fmt: skip
        return attention.spread(result, rows, shape[:-1].numel()).view(shape)

    @staticmethod
    @torch._disable_dynamo
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        rows, x, read, middle, inner, *saved = ctx.saved_tensors
        w_qkv, w_out, w_in, w_back, *saved = saved
        groups, keeps, scales, num_heads, gelu, epsilon = ctx.settings
        first, second = (*saved[:5], epsilon), (*saved[5:10], epsilon)
        attended = saved[10:]
        shape = gradient.shape
        gradient = attention.pick(gradient.reshape(-1, shape[-1]), rows)

        d_total_2, *d_norm_2 = _normalize_backward(gradient, *second)
        d_y = operations.drop_(d_total_2 * scales[1], keeps[1])
        # Computed again in little time: kept, it takes a tenth of the memory.
        active = functional.gelu(inner, approximate=gelu)
        d_back = operations.weight_gradients(active, d_y)
        del active
        d_inner = torch.ops.aten.gelu_backward(
            operations.product(d_y, w_back.t()), inner, approximate=gelu
        )
        d_in = operations.weight_gradients(middle, d_inner)
        d_middle = operations.input_gradient(d_inner, w_in, d_total_2)

        d_total, *d_norm = _normalize_backward(d_middle, *first)
        d_y = operations.drop_(d_total * scales[1], keeps[0])
        d_out = operations.weight_gradients(read, d_y)
        d_read = operations.product(d_y, w_out.t())
        settings = ctx.drops, num_heads, scales[0]
        qkv, shares = attended[: len(groups)], attended[len(groups) :]
        d_y = [
            attention.attend_backward(d_read[g.tokens], *tensors, g, *settings)
            for g, *tensors in zip(groups, qkv, shares)
        ]
        d_y = _join(d_y)  # (T, 3D)
        d_qkv = operations.weight_gradients(x, d_y)
        d_x = operations.input_gradient(d_y, w_qkv, d_total)
        d_x = attention.spread(d_x, rows, shape[:-1].numel()).view(shape)
        gradients = *d_qkv, *d_out, *d_norm, *d_in, *d_back, *d_norm_2
        gradients = [g.to(t) for g, t in zip(gradients, ctx.weight_types)]
        return (d_x, None, None, None, *gradients)


def _join(parts):
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _normalize(x, gain, shift, epsilon):
    return torch.native_layer_norm(x, x.shape[-1:], gain, shift, epsilon)


def _normalize_backward(gradient, x, mean, deviation, gain, shift, epsilon):
    shape, wanted = x.shape[-1:], [True, False, False]
    d_x, _, _ = torch.ops.aten.native_layer_norm_backward(
        gradient, x, shape, mean, deviation, gain, shift, wanted
    )
    # The same function sums these in half precision, off by 5 percent.
    normal = _normalize(x, None, None, epsilon)[0]
    return d_x, (gradient * normal).sum(0), gradient.sum(0)
