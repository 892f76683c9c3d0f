"""The length of all gradients together, and clipping by it.

Always in float32, whatever the gradients are in. On torch and TensorFlow the
work goes to few kernels instead of many small ones (see `torch_update.py` and
`tensorflow_update.py` in `backend`).
"""

import keras
from keras import ops


def densify(gradient):
    """Sums the rows of TensorFlow's sparse embedding gradients.

    A plain lookup yields one slice per looked-up token. Squaring them one by
    one would be wrong where a token repeats, for the norm as for Adam.
    """
    # By name: the package imports no backend outside one folder.
    if type(gradient).__name__ == "IndexedSlices":
        return ops.add(ops.zeros(gradient.shape, gradient.dtype), gradient)
    return gradient


def global_norm(gradients):
    """The Euclidean length of all gradients taken as one vector.

    Args:
        gradients: list of arrays of any shape, real.

    Returns:
        A float32 scalar.
    """
    gradients = [densify(gradient) for gradient in gradients]
    if keras.config.backend() == "torch":
        from keras_electra.backend import torch_update

        return torch_update.global_norm(gradients)
    if keras.config.backend() == "tensorflow":
        from keras_electra.backend import tensorflow_update

        return tensorflow_update.global_norm(gradients)
    squares = [ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients]
    return ops.sqrt(ops.sum(ops.stack(squares)))


def clip_by_global_norm(gradients, clip_norm):
    """Scales all gradients alike if their common length is over `clip_norm`.

    One not finite value makes every gradient NaN, as in the original, rather
    than letting an infinite norm scale the finite ones to zero in silence.

    Args:
        gradients: list of arrays of any shape, real.
        clip_norm: float > 0, the greatest length allowed.

    Returns:
        A list of dense arrays, shapes and dtypes as in `gradients`.
    """
    gradients = [densify(gradient) for gradient in gradients]
    norm = global_norm(gradients)
    scale = clip_norm / ops.maximum(norm, clip_norm) + (norm - norm)
    if keras.config.backend() == "torch":
        from keras_electra.backend import torch_update

        return torch_update.scale(gradients, scale)
    return [g * ops.cast(scale, g.dtype) for g in gradients]
