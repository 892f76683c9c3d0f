"""What the plain layers and the kernels of every backend do alike.

Dropout takes a quarter of a step with the backends' own generators. Here a
counter, one for two elements, is mixed with the step's seed to 32 bits, and
each half decides over one element: bit for bit equal on every backend.
"""

import contextlib
import functools
import math
import operator
from typing import Any

import keras
from keras import ops

import keras_electra.backend.replicas as replicas

# Added to the score of a padding key (original `model/modeling.py:613`).
MASKED_SCORE = -10000.0
LEVELS = 1 << 16  # of one half of a hash


def int32(value: Any) -> Any:
    """The signed number with the lowest 32 bits of an integer."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


# Shifts 16, 15, 16 and these multipliers were found by search to leave little
# bias (Chris Wellons' "lowbias32", public domain).
MULTIPLIER_1 = int32(0x7FEB352D)
MULTIPLIER_2 = int32(0x846CA68B)
GOLDEN_RATIO = int32(0x9E3779B1)  # 2**32 over the golden ratio, odd


def dropped_levels(rate: float) -> Any:
    """How many of the `LEVELS` numbers drop an element."""
    return round(rate * LEVELS)


def kept(rate: float) -> tuple[Any, ...]:
    """The least int16 that keeps an element, and a factor: the mean stays."""
    dropped = dropped_levels(rate)
    return dropped - LEVELS // 2, LEVELS / (LEVELS - dropped)


def hash_counters(counters: Any, seed: Any) -> Any:
    """Mixes int32 counters with a seed of shape `(2,)`, to the same shape."""
    seed = ops.cast(seed, "int32")
    key, second_key = keys(seed[0], seed[1])
    return _mix(counters * GOLDEN_RATIO + key, second_key)


def keys(first: Any, second: Any) -> tuple[Any, ...]:
    """Those of a seed, int32 scalars, or Python's of which 32 bits count.

    With one, two seeds would give the same numbers shifted.
    """
    key = _mix(first * GOLDEN_RATIO + second)
    return key, _mix(key + GOLDEN_RATIO)


def _mix(x, key=0):
    x = (x ^ _shift_right(x, 16)) * MULTIPLIER_1 + key
    x = (x ^ _shift_right(x, 15)) * MULTIPLIER_2
    return x ^ _shift_right(x, 16)


def _shift_right(x, bits):
    shift = operator.rshift if isinstance(x, int) else ops.right_shift
    # It repeats the sign, which the mask takes off again.
    return shift(x, bits) & ((1 << (32 - bits)) - 1)


def drop(x: Any, rate: float, seed: Any) -> Any:
    """What `HashDropout` does to `x` by a seed of shape `(2,)`, or `None`."""
    if seed is None or not dropped_levels(rate):
        return x
    *rows, width = ops.shape(x)
    lanes = (*rows, -(-width // 2))
    # In a column: TensorFlow's `view` wants to know the last axis.
    counters = ops.reshape(ops.arange(math.prod(lanes), dtype="int32"), (-1, 1))
    if replicas.count() > 1:  # those of its rows in the whole batch
        counters = counters + replicas.index() * math.prod(lanes)
    bits = hash_counters(counters, seed)
    bits = ops.reshape(ops.view(bits, "int16"), (*rows, 2 * lanes[-1]))
    # It may be a tensor, for rows of a length that varies.
    if not isinstance(width, int) or width % 2:
        bits = bits[..., :width]
    least, scale = kept(rate)
    scale = ops.cast(scale, x.dtype)
    is_kept = bits >= ops.cast(least, "int16")
    return x * ops.where(is_kept, scale, ops.zeros_like(scale))


def attention_weights(scores, padding_mask, dtype, rate, seed):
    """From scores `(B, N, L, L)` to weights of a `dtype`, some dropped."""
    # In half precision a softmax over hundreds of keys loses small weights.
    scores = ops.cast(scores, "float32")
    padding = 1.0 - ops.cast(padding_mask, "float32")
    # Not by indices of `None`, which LiteRT lacks.
    scores = scores + MASKED_SCORE * ops.expand_dims(padding, (1, 2))
    return drop(ops.cast(ops.softmax(scores), dtype), rate, seed)


def normalize(x: Any, gamma: Any, beta: Any, epsilon: Any) -> Any:
    """Layer normalization of each row, in float32."""
    wide = ops.cast(x, "float32")
    wide = wide - ops.mean(wide, -1, keepdims=True)
    variance = ops.mean(wide * wide, -1, keepdims=True)
    wide = wide * ops.rsqrt(variance + epsilon)
    return ops.cast(wide * gamma + beta, x.dtype)


@functools.cache
def on_accelerator() -> bool:
    """Whether tensors are made on something else than a CPU."""
    device = getattr(ops.convert_to_tensor([0]), "device", "cpu")
    return "cpu" not in str(device).lower()


def recomputed(function: Any, fused: Any) -> Any:
    """`function`; if `fused`, the backward pass computes it once more.

    On JAX nothing in float32 between its input and output is then kept. Not on
    TensorFlow: there XLA sees that both are the same, and decides by itself.
    """
    if not fused or kernels_are_off() or keras.config.backend() != "jax":
        return function
    return keras.remat(function)


_plain = []  # one entry inside of each `plain_layers`


@contextlib.contextmanager
def plain_layers() -> Any:
    """The switch: in it no kernel runs, and what is traced any program has."""
    _plain.append(True)
    try:
        yield
    finally:
        _plain.pop()


def kernels_are_off() -> bool:
    return bool(_plain)


def is_plain(layer: Any, x: Any) -> Any:
    """Whether kernels compute what a `TransformerLayer` does with `x`."""
    if kernels_are_off() or layer.attention.direction:
        return False
    # Nothing in float16, slow on a CPU, nor quantized, nor with LoRA.
    dtype, attention = keras.backend.standardize_dtype(x.dtype), layer.attention
    denses = attention.query_key_value, attention.output_dense
    return dtype in ("float32", "bfloat16") and not any(
        dense.lora_enabled or dense.quantization_mode
        for dense in (*denses, layer.intermediate_dense, layer.output_dense)
    )
