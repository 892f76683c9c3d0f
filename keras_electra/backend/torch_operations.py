"""Products and dropout of an encoder layer on a CPU.

In float32 oneDNN is twice as fast as torch's MKL on an AMD EPYC, and it adds a
bias in registers. A mask of all or no bits makes dropping one `and`.
Shapes: T rows, I inputs, O outputs.
"""

import functools
import math
from typing import Any

import torch

import keras_electra.backend.numerics as numerics
import keras_electra.backend.replicas as replicas

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
    return _draw(shape, seed, pick).ge_(numerics.first_kept(rate)).neg_()


def sign_mask(shape: Any, rate: float, seed: Any, pick: Any = None) -> Any:
    """As `keep_mask`, but the sign bit where an element is dropped, else 0."""
    draws = _draw(shape, seed, pick)
    return draws.lt_(numerics.first_kept(rate)).bitwise_left_shift_(15)


def _draw(shape, seed, pick):
    *rows, width = shape
    lanes = -(-width // 2)
    key, second_key = _keys(*seed.tolist())
    counters = _counters(math.prod(rows) * lanes).view(*rows, lanes)
    start = replicas.index() * counters.numel() * numerics.GOLDEN_RATIO
    key = numerics.int32(key + start)
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


def _keys(first, second):
    """The two keys of `hash_counters`, in Python's integers."""
    key = _mix(first * numerics.GOLDEN_RATIO + second)
    return map(numerics.int32, (key, _mix(key + numerics.GOLDEN_RATIO)))


def _mix(x):
    x &= 0xFFFFFFFF
    x = (x ^ x >> 16) * numerics.MULTIPLIER_1 & 0xFFFFFFFF
    x = (x ^ x >> 15) * numerics.MULTIPLIER_2 & 0xFFFFFFFF
    return x ^ x >> 16


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
