"""Adam's update and the global norm by TensorFlow's own kernels.

The same arithmetic as the backend-neutral code in `training/`. That is some
thirty operations a variable, half of all operations of a training step of
ELECTRA-Small; these are a third of them to trace and to compile, and an update
is one pass over memory.
"""

import numpy as np
import tensorflow as tf


def global_norm(gradients):
    """Euclidean length of a list of tensors together, a float32 scalar."""
    return tf.linalg.global_norm([tf.cast(g, tf.float32) for g in gradients])


def can_run(dtype, *betas):
    """Whether `adam_step` can update a variable of a type.

    The kernel takes `1 - beta` in the type of the variable. In half precision
    that is far off or 0, in float32 it is 0 for a beta of nearly 1.
    """
    return dtype == "float32" and all(np.float32(beta) < 1 for beta in betas)


def adam_step(
    weight,
    gradient,
    momentum,
    velocity,
    decay,
    learning_rate,
    beta_1,
    beta_2,
    epsilon,
    powers=None,
):
    """One step of Adam with decoupled weight decay, in place.

    The kernel takes `1 - beta` of a beta in float32, which is off by 1.3e-5 of
    it for 0.999. So is the moment, always by the same factor; the update is
    not, because the factors are taken out of it.

    Args:
        weight: `tf.Variable` in float32, changed.
        gradient: float32 tensor, shape as `weight`.
        momentum: `tf.Variable`, like `weight`, changed.
        velocity: `tf.Variable`, like `weight`, changed.
        decay: float, weight decay, 0 for none.
        learning_rate: float32 scalar tensor.
        beta_1: float, decay of `momentum`.
        beta_2: float, decay of `velocity`.
        epsilon: float, added to the root of the second moment.
        powers: two float32 scalar tensors, `beta_1` and `beta_2` to the power
            of the number of this step from 1, for the correction of the bias
            of both moments, or `None` to leave it. Defaults to `None`.
    """
    if decay:
        weight.assign_sub(weight * (learning_rate * decay))
    root = _excess(beta_2) ** 0.5
    epsilon *= root
    if powers is None:  # after endless steps there is no bias
        powers = 0.0, 0.0
    else:  # the kernel adds epsilon before it corrects the root
        epsilon *= tf.sqrt(1.0 - powers[1])
    tf.raw_ops.ResourceApplyAdam(
        var=weight.handle,
        m=momentum.handle,
        v=velocity.handle,
        beta1_power=powers[0],
        beta2_power=powers[1],
        lr=learning_rate * (root / _excess(beta_1)),
        beta1=beta_1,
        beta2=beta_2,
        epsilon=epsilon,
        grad=gradient,
    )


def _excess(beta):
    """By what factor the kernel's `1 - beta` is too large."""
    return (1.0 - float(np.float32(beta))) / (1.0 - beta)
