"""Muon for short pre-training runs.

Muon moves a matrix by its orthogonalized momentum, so that all directions
learn alike. Where there is time for a few thousand steps only, that is worth
more than it costs. Keras' own class does the work. Two things are added,
because the orthogonalization is a good part of the step otherwise: half
precision, as the authors have it (Keller Jordan, "Muon: An optimizer for
hidden layers in neural networks", 2024), and one product for all matrices of a
shape in place of one for each, which spares accelerators a thousand small
kernels and compilers a long program.
"""

import keras
from keras import ops

from keras_electra.training.optimizers import UNDECAYED_NAMES
from keras_electra.training.recipes import WarmupPolynomialDecay

# Of the discriminator's head: one column, which has no directions.
ADAM_LAYERS = ("head/output_dense",)


def half_precision(x):
    """`"bfloat16"`, or `"float32"` by torch on a processor slow at it.

    Compilers take float32 themselves there.
    """
    if keras.config.backend() == "torch" and x.device.type == "cpu":
        from keras_electra.backend import torch_operations

        bfloat16 = ops.cast(0, "bfloat16").dtype
        if torch_operations.type_to_compute_in(bfloat16) != bfloat16:
            return "float32"
    return "bfloat16"


@keras.saving.register_keras_serializable(package="keras_electra")
class HalfPrecisionMuon(keras.optimizers.Muon):
    """`keras.optimizers.Muon` that orthogonalizes in bfloat16, all at once.

    In float32 by torch on a processor that cannot multiply in bfloat16.

    Arguments are those of `keras.optimizers.Muon`.
    """

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        self._directions = self._orthogonalize(grads, trainable_variables)
        super()._backend_update_step(grads, trainable_variables, learning_rate)
        self._directions = None

    def _orthogonalize(self, grads, variables):
        """Where Muon goes, by the index of the variable."""
        groups = {}
        for gradient, variable in zip(grads, variables):
            index = self._get_variable_index(variable)
            if self.adam_velocities[index] is None:
                momentum = self.momentums[index] * self.momentum + gradient
                if self.nesterov:
                    momentum = gradient + self.momentum * momentum
                group = groups.setdefault(tuple(variable.shape), {})
                group[index] = momentum
        found = {}
        for group in groups.values():
            directions = self.zeropower_via_newtonschulz5(
                ops.stack(list(group.values())), self.ns_steps
            )
            found.update(zip(group, ops.unstack(directions, len(group))))
        return found

    def _muon_update_step(self, gradient, variable, lr, m):
        self.assign_add(m, gradient + m * (self.momentum - 1))
        direction = self._directions[self._get_variable_index(variable)]
        self.assign_sub(variable, self.lr_adjust(lr * direction))

    def zeropower_via_newtonschulz5(self, x, steps):
        """The orthogonalization of `keras.optimizers.Muon`, in bfloat16."""
        half = super().zeropower_via_newtonschulz5(
            ops.cast(x, half_precision(x)), steps
        )
        return ops.cast(half, x.dtype)


def short_run_optimizer(
    num_steps, learning_rate=4e-3, warmup_steps=None, weight_decay=0.01
):
    """The optimizer for a pre-training run of a few thousand steps.

    Matrices of the layers take Muon's steps, embeddings, biases and
    LayerNorms Adam's, at one learning rate (Liu et al. 2025, "Muon is
    scalable for LLM training": steps of Muon are scaled to Adam's size).

    Args:
        num_steps: int > 0, weight updates of the whole run: the rate reaches
            0 there.
        learning_rate: float, the rate before warm-up and decay. Defaults to
            `4e-3`.
        warmup_steps: int or `None`. Defaults to a twentieth of the run.
        weight_decay: float >= 0. Defaults to `0.01`. Biases and LayerNorms
            are not decayed.

    Returns:
        A `HalfPrecisionMuon`.
    """
    if warmup_steps is None:
        warmup_steps = num_steps // 20
    optimizer = HalfPrecisionMuon(
        WarmupPolynomialDecay(learning_rate, num_steps, warmup_steps),
        weight_decay=weight_decay,
        adam_weight_decay=weight_decay,
        exclude_layers=list(ADAM_LAYERS),
        epsilon=1e-8,
        global_clipnorm=1.0,
    )
    optimizer.exclude_from_weight_decay(var_names=list(UNDECAYED_NAMES))
    return optimizer
