"""Adam's update and the global norm as multi-tensor operations of torch.

The same arithmetic as the backend-neutral code in `training/`, for all
variables at once. Some 250 variables times a dozen operations are thousands
of small kernel launches a step otherwise; the functions that torch's own
optimizers stand on need a few.
"""

import torch


@torch.no_grad()
def global_norm(gradients):
    """Euclidean length of a list of tensors together, a float32 scalar."""
    norms = torch._foreach_norm(
        [gradient.to(torch.float32) for gradient in gradients]
    )
    return torch.linalg.vector_norm(torch.stack(norms))


@torch.no_grad()
def scale(gradients, factor):
    """Multiplies every tensor by one scalar tensor; returns new tensors."""
    if all(gradient.dtype == factor.dtype for gradient in gradients):
        return list(torch._foreach_mul(gradients, factor))
    return [gradient * factor.to(gradient.dtype) for gradient in gradients]


@torch.no_grad()
def adam_step(
    weights,
    gradients,
    momentums,
    velocities,
    decays,
    rates,
    learning_rate,
    beta_1,
    beta_2,
    epsilon,
    step=None,
):
    """One step of Adam with decoupled weight decay, in place.

    It is one pass over memory, by the function under `torch.optim.AdamW`.

    Args:
        weights: list of tensors, changed in place.
        gradients: list of tensors, shapes as `weights`.
        momentums: list of tensors, shapes as `weights`, changed in place.
        velocities: list of tensors, shapes as `weights`, changed in place.
        decays: list of floats, weight decay of each tensor, 0 for none.
        rates: list of floats, a factor of `learning_rate` for each tensor.
        learning_rate: scalar tensor.
        beta_1: float, decay of `momentums`.
        beta_2: float, decay of `velocities`.
        epsilon: float, added to the root of the second moment.
        step: scalar tensor, the number of this step from 1, for the
            correction of the bias of both moments, or `None` to leave it.
            Defaults to `None`.
    """
    if step is None:  # after endless steps there is no bias
        step = torch.full_like(learning_rate, torch.inf, dtype=torch.float32)
    gradients = [g.to(w.dtype).contiguous() for g, w in zip(gradients, weights)]
    settings = list(zip(decays, rates))
    for decay, rate in sorted(set(settings)):
        chosen = [i for i, own in enumerate(settings) if own == (decay, rate)]
        torch._fused_adamw_(
            [weights[i] for i in chosen],
            [gradients[i] for i in chosen],
            [momentums[i] for i in chosen],
            [velocities[i] for i in chosen],
            [],
            [step] * len(chosen),
            lr=learning_rate * rate,
            beta1=beta_1,
            beta2=beta_2,
            weight_decay=decay,
            eps=epsilon,
            amsgrad=False,
            maximize=False,
        )
