"""The draws of `HashDropout` on a CPU, in place.

The same bits as the layer draws, by the same arithmetic. Operation by
operation that is fourteen passes over new memory each; here they work in one
buffer, and a comparison makes a mask of all or no bits, so that dropping is
one `and`.
"""

import functools
import math

import torch

from keras_electra.backend.numerics import GOLDEN_RATIO
from keras_electra.backend.numerics import LEVELS
from keras_electra.backend.numerics import MULTIPLIER_1
from keras_electra.backend.numerics import MULTIPLIER_2
from keras_electra.backend.numerics import dropped_levels


def keep_mask(shape, rate, seed, pick=None):
    """Draws what is kept.

    Args:
        shape: tuple of ints, of what is dropped from.
        rate: float, the share to drop.
        seed: integer tensor of shape `(2,)`, as `SeedGenerator` gives it.
        pick: function, to draw only some of it: what it returns of a tensor
            of that shape, whose last axis counts pairs of elements. Defaults
            to `None`, for all.

    Returns:
        int16 tensor of that shape, or of what is picked: -1, all bits, where
        an element is kept, 0 where it is dropped.
    """
    mask, threshold = _draw(shape, rate, seed, pick)
    return mask.ge_(threshold).neg_()


def sign_mask(shape, rate, seed, pick=None):
    """Draws what is dropped, for `sign_`.

    Args:
        shape, rate, seed, pick: as those of `keep_mask`, which keeps the
            others.

    Returns:
        int16 tensor of that shape, or of what is picked: only the sign bit
        where an element is dropped, 0 where it is kept.
    """
    mask, threshold = _draw(shape, rate, seed, pick)
    return mask.lt_(threshold).bitwise_left_shift_(15)


def _draw(shape, rate, seed, pick):
    """Random int16 tensor, and the threshold below which to drop."""
    *rows, width = shape
    lanes = -(-width // 2)
    key, second_key = _keys(*seed.tolist())
    counters = _counters(math.prod(rows) * lanes).view(*rows, lanes)
    bits = (counters if pick is None else pick(counters)) + key
    shifted = torch.empty_like(bits)
    _fold_(bits, 16, shifted).mul_(MULTIPLIER_1).add_(second_key)
    _fold_(bits, 15, shifted).mul_(MULTIPLIER_2)
    _fold_(bits, 16, shifted)
    mask = bits.view(torch.int16)[..., :width]
    threshold = dropped_levels(rate) - LEVELS // 2
    return mask.contiguous(), threshold


def drop_(x, mask):
    """Sets to zero, in place, what the mask drops; nothing is scaled.

    Args:
        x: contiguous float tensor.
        mask: what `keep_mask` gives for its shape.

    Returns:
        `x`.
    """
    same_width = torch.int16 if x.element_size() == 2 else torch.int32
    x.view(same_width).bitwise_and_(mask.to(same_width))
    return x


def sign_(x, mask):
    """Makes negative, in place, what the mask drops.

    What is not negative before, as the shares of a softmax, then carries its
    mask: `relu` of it is what is kept, `abs` is what it was.

    Args:
        x: contiguous float tensor, nowhere negative.
        mask: what `sign_mask` gives for its shape.

    Returns:
        `x`.
    """
    if x.element_size() == 2:
        x.view(torch.int16).bitwise_or_(mask)
    else:
        x.view(torch.int32).bitwise_or_(mask.to(torch.int32) << 16)
    return x


def _fold_(x, bits, shifted):
    torch.bitwise_right_shift(x, bits, out=shifted)
    # The shift repeats the sign, which the mask takes off again.
    return x.bitwise_xor_(shifted.bitwise_and_((1 << (32 - bits)) - 1))


@functools.lru_cache(maxsize=8)  # as many shapes as a step has, and some
def _counters(count):
    return torch.arange(count, dtype=torch.int32).mul_(GOLDEN_RATIO)


def _keys(first, second):
    """The two keys of `hash_counters`, in Python's integers."""
    key = _mix(first * GOLDEN_RATIO + second)
    return _signed(key), _signed(_mix(key + GOLDEN_RATIO))


def _mix(x):
    x &= 0xFFFFFFFF
    x = (x ^ x >> 16) * MULTIPLIER_1 & 0xFFFFFFFF
    x = (x ^ x >> 15) * MULTIPLIER_2 & 0xFFFFFFFF
    return x ^ x >> 16


def _signed(x):
    return x - (1 << 32) if x >= 1 << 31 else x
