"""PyTorch: the training step, Adam's update, and the random state.

The update is the arithmetic of `training/optimizers.py` for all variables at
once: one by one they are thousands of small operations a step.
"""

import keras
import numpy as np
import torch


class TrainStep:
    """`train_step` of `ElectraPretrainer`."""

    def train_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.zero_grad()  # before the forward pass, which needs the memory
        outputs = self(x, training=True)
        loss = self.compute_loss(x=x, y_pred=outputs)
        scaled_loss = self.optimizer.scale_loss(loss)
        scaled_loss.backward()
        loss, scaled_loss = loss.detach(), scaled_loss.detach()
        self._loss_tracker.update_state(
            loss, sample_weight=x["token_ids"].shape[0]
        )

        variables = self.trainable_variables
        gradients = [
            torch.zeros_like(v.value) if v.value.grad is None else v.value.grad
            for v in variables
        ]
        with torch.no_grad():
            norm, generator_norm = self.gradient_norms(
                gradients, scaled_loss, loss
            )
            finite = torch.isfinite(norm)
            # The only read of a number by the host in the step.
            if self.scales_loss() or bool(finite):
                self.optimizer.apply(gradients, variables)
            self.pretraining_metrics.update_gradients(
                norm, generator_norm, finite
            )
            return self.compute_metrics(x, None, outputs)


@torch.no_grad()
def global_norm(gradients):
    """Euclidean length of a list of tensors together, a float32 scalar."""
    norms = torch._foreach_norm([g.to(torch.float32) for g in gradients])
    return torch.linalg.vector_norm(torch.stack(norms))


@torch.no_grad()
def scale(gradients, factor):
    """Multiplies every tensor by one scalar tensor; returns new tensors."""
    if all(gradient.dtype == factor.dtype for gradient in gradients):
        return list(torch._foreach_mul(gradients, factor))
    return [gradient * factor.to(gradient.dtype) for gradient in gradients]


@torch.no_grad()
def adam_step(rows, learning_rate, beta_1, beta_2, epsilon, step=None):
    """One step of Adam with decoupled weight decay, in place.

    It is one pass over memory, by the function under `torch.optim.AdamW`.

    Args:
        rows: list of tuples `(weight, gradient, first moment, second moment,
            weight decay, rate)`, one a variable: four tensors, of which all
            but the gradient change, and two floats. The rate is a factor of
            `learning_rate`.
        learning_rate: scalar tensor.
        beta_1, beta_2: floats, decays of the moments.
        epsilon: float, added to the root of the second moment.
        step: scalar tensor, the number of this step from 1, for the
            correction of the bias of both moments, or `None` to leave it.
    """
    if step is None:  # after endless steps there is no bias
        step = torch.full_like(learning_rate, torch.inf, dtype=torch.float32)
    groups = {}
    for weight, gradient, *moments, decay, rate in rows:
        gradient = gradient.to(weight.dtype).contiguous()
        group = groups.setdefault((decay, rate), [])
        group.append((weight, gradient, *moments))
    for (decay, rate), group in groups.items():
        torch._fused_adamw_(
            *map(list, zip(*group)),
            [],
            [step] * len(group),
            lr=learning_rate * rate,
            beta1=beta_1,
            beta2=beta_2,
            weight_decay=decay,
            eps=epsilon,
            amsgrad=False,
            maximize=False,
        )


# Keras draws dropout without a fixed seed from torch's global generators, not
# from the seed of the layer, so resuming exactly needs their states.


def get_states():
    """States of the generators in use, as uint8 arrays: CPU, accelerator."""
    return [get().cpu().numpy() for get, _ in _generators()]


def set_states(states):
    """Sets the generators to states that `get_states` returned.

    A state of another kind of device is passed over: a run that moves to
    other hardware does not go on bit for bit anyway.
    """
    for (get, set_), state in zip(_generators(), states):
        if get().numel() == state.size:
            set_(torch.from_numpy(np.array(state)))


def _generators():
    pairs = [(torch.get_rng_state, torch.set_rng_state)]
    if torch.accelerator.is_available():
        device = torch.get_device_module()
        pairs.append((device.get_rng_state, device.set_rng_state))
    return pairs
