"""PyTorch: the training step, Adam's update, and the random state."""

from typing import Any

import keras
import numpy as np
import torch

import keras_electra.backend.replicas as replicas
import keras_electra.backend.torch_replicas as torch_replicas


class TrainStep:
    def train_step(self, data: object) -> object:
        self.zero_grad()  # before the forward pass, which needs the memory
        x, y, sample_weight, outputs = self._call_on_rows(data, training=True)
        loss = self.compute_loss(x, y, outputs, sample_weight)
        scaled_loss = self.optimizer.scale_loss(loss)
        scaled_loss.backward()
        loss, scaled_loss = loss.detach(), scaled_loss.detach()
        variables = self.trainable_variables
        gradients = [
            torch.zeros_like(v.value) if v.value.grad is None else v.value.grad
            for v in variables
        ]
        with torch.no_grad():
            # What follows is the same on all replicas.
            tensors = loss, scaled_loss, *gradients
            loss, scaled_loss, *gradients = replicas.summed(tensors)
            norms = self.gradient_norms(gradients, scaled_loss, loss)
            finite = torch.isfinite(norms[0])
            # The only read of a number by the host in the step.
            if self.scales_loss() or bool(finite):
                self.optimizer.apply(gradients, variables)
            data = x, y, sample_weight
            return self.finish_step(data, outputs, loss, norms, finite)

    def test_step(self, data: object) -> object:
        x, y, sample_weight, outputs = self._call_on_rows(data, training=False)
        loss = self.compute_loss(x, y, outputs, sample_weight, training=False)
        return self.update_metrics((x, y, sample_weight), outputs, loss)

    def predict_step(self, data: object) -> object:
        outputs = super().predict_step(data)
        _, rows = _count_rows(keras.utils.unpack_x_y_sample_weight(data)[0])
        if rows is None:
            return outputs
        return keras.tree.map_structure(
            lambda array: replicas.gathered(array)[:rows], outputs
        )

    def _call_on_rows(self, data, training):
        """`x, y, sample_weight, outputs`, without rows that only fill up."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        rows, _ = _count_rows(x)
        outputs = self(x, training=training)
        data = replicas.without_filler(x), y, sample_weight, outputs
        if rows is None:
            return data
        return keras.tree.map_structure(
            lambda array: array if array is None else array[:rows], data
        )

    def _initialize_ddp(self):
        """Keeps Keras 3.16 from reducing the gradients, too."""


def gradients(function: Any, x: Any) -> Any:
    """Of a function of tensors to a vector, summed; takes and gives arrays."""
    x = torch.tensor(x, device=keras.ops.convert_to_tensor(0).device)
    with torch.enable_grad():
        total = function(x.requires_grad_()).sum()
    return torch.autograd.grad(total, x)[0].cpu().numpy()


def _count_rows(x):
    """Rows of this replica and of all; `None` where it has the whole batch."""
    if not isinstance(x, dict) or replicas.FILLER not in x:
        torch_replicas.filling[:] = 0, 1
        return None, None
    size, fillers = x[replicas.FILLER].shape
    torch_replicas.filling[:] = fillers, size
    whole = size * replicas.count() - fillers
    return min(max(whole - replicas.index() * size, 0), size), whole


@torch.no_grad()
def global_norm(gradients: Any) -> Any:
    """Euclidean length of a list of tensors together, a float32 scalar."""
    norms = torch._foreach_norm([g.to(torch.float32) for g in gradients])
    return torch.linalg.vector_norm(torch.stack(norms))


@torch.no_grad()
def scale(gradients: Any, factor: Any) -> Any:
    """Multiplies every tensor by one scalar tensor; returns new tensors."""
    return torch._foreach_mul(gradients, factor)


@torch._disable_dynamo  # compilers do not know `_fused_adamw_`
@torch.no_grad()
def adam_step(rows, learning_rate, beta_1, beta_2, epsilon, step=None):
    """One step of Adam with decoupled weight decay, in place.

    One pass over memory, by the function under `torch.optim.AdamW`.

    `rows` has for each variable its weight, gradient, two moments, weight decay
    and factor of the learning rate. `step`, a scalar tensor, is the number of
    this step from 1, to correct the bias of both moments, or `None`.
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


def peak_memory() -> Any:
    """Most bytes on the accelerator since the last call; `None` without one."""
    if not torch.accelerator.is_available():
        return None
    device = torch.get_device_module()
    peak = device.max_memory_allocated()
    device.reset_peak_memory_stats()
    return peak


def get_states() -> list[Any]:
    """States of torch's global generators, as uint8 arrays.

    Keras draws dropout without a fixed seed from them, not from the layer's.
    """
    return [g.get_rng_state().cpu().numpy() for g in _generators()]


def set_states(states: Any) -> None:
    for generator, state in zip(_generators(), states):
        # On other hardware a run does not go on bit for bit anyway.
        if generator.get_rng_state().numel() == state.size:
            generator.set_rng_state(torch.from_numpy(np.array(state)))


def _generators():
    found = torch.accelerator.is_available()
    return [torch, torch.get_device_module()] if found else [torch]
