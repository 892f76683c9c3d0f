"""Products and dropout of an encoder layer on a CPU; loss and draw of tokens.

In float32 oneDNN is twice as fast as torch's MKL on an AMD EPYC, and it adds a
bias in registers. A mask of all or no bits makes dropping one `and`.
Shapes: T rows, I inputs, O outputs; R predicted positions, V vocabulary.
"""

import functools
import math
from typing import Any

import torch

import keras_electra.backend.numerics as numerics
import keras_electra.backend.replicas as replicas

BYTES_AT_ONCE = 2**23  # of float32 scores; 2**22 and 2**24 are no faster
ON_ACCELERATORS = 2**27
USES_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)


@functools.cache
def type_to_compute_in(dtype: Any) -> Any:
    """`dtype`, or float32 for bfloat16 on a processor without AVX-512.

    oneDNN cannot multiply it there, and torch takes ten times as long.
    """
    check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    slow = dtype == torch.bfloat16 and check is not None and not check()
    return torch.float32 if slow else dtype


def product(x: Any, kernel: Any, bias: Any = None) -> Any:
    """`x @ kernel + bias` for `(T, I)`, `(I, O)` and `(O,)`."""
    half = () if bias is None else (torch.bfloat16,)
    if _by_onednn(x, torch.float32, *half):
        return _linear(x, kernel.t(), bias)
    return x @ kernel if bias is None else torch.addmm(bias, x, kernel)


def input_gradient(gradient: Any, kernel: Any, total: Any) -> Any:
    """`gradient @ kernel.t() + total`; `total` may be overwritten."""
    if _by_onednn(gradient, torch.float32):
        return total.add_(_linear(gradient, kernel))
    return torch.addmm(total, gradient, kernel.t())


def weight_gradients(x: Any, gradient: Any) -> tuple[Any, ...]:
    """Of kernel, `x.t() @ gradient`, and bias, for `(T, I)` and `(T, O)`."""
    if not _by_onednn(x, torch.float32):
        kernel = x.t() @ gradient
    elif x.shape[1] <= gradient.shape[1]:  # more columns than rows: faster
        kernel = _linear(x.t(), gradient.t())
    else:
        kernel = _linear(gradient.t(), x.t()).t()
    return kernel, gradient.sum(0)


def _by_onednn(x, *dtypes):
    supported = USES_ONEDNN and type_to_compute_in(x.dtype) == x.dtype
    return supported and x.dtype in dtypes and x.numel() > 0


def _linear(x, kernel, bias=None):  # with no activation after it
    linear = torch.ops.mkldnn._linear_pointwise
    return linear(x, kernel, bias, "none", [], "")


def keep_mask(shape: Any, rate: float, seed: Any, pick: Any = None) -> Any:
    """int16 tensor: -1, all bits, where an element is kept, 0 where dropped.

    `pick` takes the part to draw of a tensor whose last axis counts pairs.
    """
    return _draw(shape, seed, pick).ge_(numerics.kept(rate)[0]).neg_()


def sign_mask(shape: Any, rate: float, seed: Any, pick: Any = None) -> Any:
    """As `keep_mask`, but the sign bit where an element is dropped, else 0."""
    draws = _draw(shape, seed, pick)
    return draws.lt_(numerics.kept(rate)[0]).bitwise_left_shift_(15)


def _draw(shape, seed, pick):
    *rows, width = shape
    lanes = -(-width // 2)
    counters = _counters(math.prod(rows) * lanes).view(*rows, lanes)
    key, second_key = numerics.keys(*seed.tolist())
    key += replicas.index() * counters.numel() * numerics.GOLDEN_RATIO
    key, second_key = map(numerics.int32, (key, second_key))
    bits = (counters if pick is None else pick(counters)) + key
    shifted = torch.empty_like(bits)
    _fold_(bits, 16, shifted).mul_(numerics.MULTIPLIER_1).add_(second_key)
    _fold_(bits, 15, shifted).mul_(numerics.MULTIPLIER_2)
    _fold_(bits, 16, shifted)
    return bits.view(torch.int16)[..., :width].contiguous()


def _fold_(x, bits, shifted):
    torch.bitwise_right_shift(x, bits, out=shifted)
    # The shift repeats the sign, which the mask takes off again.
    return x.bitwise_xor_(shifted.bitwise_and_((1 << (32 - bits)) - 1))


@functools.lru_cache(maxsize=8)  # as many shapes as a step has, and some
def _counters(count):
    return torch.arange(count, dtype=torch.int32).mul_(numerics.GOLDEN_RATIO)


def drop_(x: Any, mask: Any) -> Any:
    """Sets to zero, in place, what a `keep_mask` or `None` drops."""
    if mask is None:
        return x
    same_width = torch.int16 if x.element_size() == 2 else torch.int32
    x.view(same_width).bitwise_and_(mask.to(same_width))
    return x


def sign_(x: Any, mask: Any) -> Any:
    """Makes negative, in place, what a `sign_mask` drops of what is not.

    It carries its mask then: `relu` of it is what is kept, `abs` what it was.
    """
    if x.element_size() == 2:
        x.view(torch.int16).bitwise_or_(mask)
    else:
        x.view(torch.int32).bitwise_or_(mask.to(torch.int32) << 16)
    return x


def can_predict(logits: Any) -> bool:
    """Whether `predict` can be used: not under a compiler."""
    return not (logits.is_meta or torch.compiler.is_compiling())


@torch._disable_dynamo  # what it gave up on is left alone
def predict(logits, mask_ids, uniform, draw, block_width):
    """Losses (float32, nats), most probable and drawn ids (int32), `(...,)`.

    Softmax, loss and draw pass a dozen times over the scores, the largest array
    of a step: here a block of rows stays in the processor's cache for all of
    it, and the gradient is made on the way. On accelerators blocks are larger,
    to be worth their start: what is saved is a float32 array for each pass.

    Args:
        logits: `(..., V)`.
        mask_ids, uniform: `(...,)`, the right ids and numbers in `[0, 1)`.
        draw: function of unnormalized probabilities `(R, V)`, V a multiple of
            `block_width`, and uniform numbers `(R,)` that gives ids `(R,)`.
    """
    flat = logits.flatten(0, -2), mask_ids.flatten().long(), uniform.flatten()
    results = Prediction.apply(*flat, draw, block_width)
    return tuple(result.view(mask_ids.shape) for result in results)


class Prediction(torch.autograd.Function):
    """`apply(logits, right, uniform, draw, block_width)`; see `predict`."""

    @staticmethod
    def forward(ctx, logits, right, uniform, draw, block_width):
        (rows, width), trained = logits.shape, ctx.needs_input_grad[0]
        loss = torch.empty(rows, device=logits.device)
        best, drawn = (torch.empty_like(loss, dtype=torch.int32) for _ in "01")
        gradient = torch.empty_like(logits) if trained else None
        padded = -(-width // block_width) * block_width  # as the draw needs it
        parts = _parts(logits, padded)
        buffer = loss.new_zeros(parts[0].stop if parts else 0, padded)
        for part in parts:
            shares = buffer[: part.stop - part.start]
            scores = shares[:, :width].copy_(logits[part])
            ids = right[part, None]
            right_score = scores.gather(1, ids)
            top, index = scores.max(1, keepdim=True)
            best[part] = index[:, 0]
            scores.sub_(top).exp_()
            drawn[part] = draw(shares, uniform[part])
            total = scores.sum(1, keepdim=True)
            loss[part] = (total.log() + top - right_score)[:, 0]
            if trained:  # the gradient of a softmax: p, less 1 where right
                scores.mul_(1 / total)
                scores.scatter_add_(1, ids, -torch.ones_like(total))
                gradient[part] = scores
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(best, drawn)
        return loss, best, drawn

    @staticmethod
    @torch._disable_dynamo
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_loss, d_best, d_drawn):
        (gradient,) = ctx.saved_tensors
        # The factor in half precision would be off alike for every token.
        # In place, so that there is one such large array.
        for part in _parts(gradient, gradient.shape[1]):
            gradient[part] = gradient[part] * d_loss[part, None]
        return gradient, None, None, None, None


def _parts(array, width):
    """Slices that make up all rows, which are `width` wide in float32."""
    on_cpu, rows = array.device.type == "cpu", len(array)
    at_once = BYTES_AT_ONCE if on_cpu else ON_ACCELERATORS
    count = max(1, at_once // (4 * width))
    starts = range(0, rows, count)
    return [slice(start, min(start + count, rows)) for start in starts]
