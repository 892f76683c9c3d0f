"""What the plain layers and the kernels of every backend must do alike.

Drawing dropout masks takes a quarter of a training step with the generators
of the backends, which are made for better randomness than this needs. Here a
counter, one for every two elements, goes through a 32-bit mixing function
keyed by the seed of the step, and each half of the result decides over one
element. It is plain integer arithmetic, the same on every backend and bit for
bit equal between them, and compilers fuse it with what comes before and after.
"""

import functools
import math

from keras import ops

# Added to the score of a padding key (original `model/modeling.py:613`).
MASKED_SCORE = -10000.0
LEVELS = 1 << 16  # of one half of a hash


def _int32(value):
    """An unsigned constant as the signed number with the same bits."""
    return value - (1 << 32) if value >= 1 << 31 else value


# Shifts 16, 15, 16 and these multipliers were found by search to leave little
# bias (Chris Wellons' "lowbias32", public domain).
MULTIPLIER_1 = _int32(0x7FEB352D)
MULTIPLIER_2 = _int32(0x846CA68B)
GOLDEN_RATIO = _int32(0x9E3779B1)  # 2**32 over the golden ratio, odd


def dropped_levels(rate):
    """How many of the `LEVELS` numbers drop an element."""
    return round(rate * LEVELS)


def scale_of_kept(rate):
    """What is kept is multiplied by this, so that the mean stays."""
    return LEVELS / (LEVELS - dropped_levels(rate))


def hash_counters(counters, seed):
    """Mixes counters and a seed to 32 bits that look random.

    Args:
        counters: int32 array of any shape.
        seed: integer array of shape `(2,)`, as `keras.random.SeedGenerator`
            gives it.

    Returns:
        int32 array of the shape of `counters`.
    """
    seed = ops.cast(seed, "int32")
    # Two keys: with one, two seeds would give the same numbers shifted.
    key = _mix(seed[0] * GOLDEN_RATIO + seed[1])
    second_key = _mix(key + GOLDEN_RATIO)
    return _mix(counters * GOLDEN_RATIO + key, second_key)


def _mix(x, key=0):
    x = ops.bitwise_xor(x, _shift_right(x, 16)) * MULTIPLIER_1 + key
    x = ops.bitwise_xor(x, _shift_right(x, 15)) * MULTIPLIER_2
    return ops.bitwise_xor(x, _shift_right(x, 16))


def _shift_right(x, bits):
    # The shift repeats the sign, which the mask takes off again.
    return ops.bitwise_and(ops.right_shift(x, bits), (1 << (32 - bits)) - 1)


def drop(x, rate, seed):
    """What `HashDropout` does in training.

    Args:
        x: float array of any shape with at least one axis.
        rate: float, the share to drop.
        seed: integer array of shape `(2,)`.

    Returns:
        Array of the shape of `x`.
    """
    *rows, width = ops.shape(x)
    lanes = (*rows, -(-width // 2))
    # In a column: TensorFlow's `view` wants to know the last axis.
    counters = ops.reshape(ops.arange(_size(lanes), dtype="int32"), (-1, 1))
    bits = hash_counters(counters, seed)
    bits = ops.reshape(ops.view(bits, "int16"), (*rows, 2 * lanes[-1]))
    # It may be a tensor, for rows of a length that varies.
    if not isinstance(width, int) or width % 2:
        bits = bits[..., :width]
    first_kept = dropped_levels(rate) - LEVELS // 2
    kept = bits >= ops.cast(first_kept, "int16")
    scale = ops.cast(scale_of_kept(rate), x.dtype)
    return x * ops.where(kept, scale, ops.zeros_like(scale))


def _size(shape):
    if all(isinstance(size, int) for size in shape):
        return math.prod(shape)
    size = shape[0]
    for other in shape[1:]:
        size = size * other
    return size


@functools.cache
def on_accelerator():
    """Whether tensors are made on something else than a CPU."""
    device = getattr(ops.convert_to_tensor([0]), "device", "cpu")
    return "cpu" not in str(device).lower()
