"""Adam's update and the global norm as multi-tensor operations of torch.

The same arithmetic as the backend-neutral code in `training/`, for all
variables at once. Some 250 variables times a dozen operations are thousands
of small kernel launches a step otherwise; torch's `_foreach_` functions,
which its own optimizers stand on, need about a dozen.
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
    correction_1=None,
    correction_2=None,
):
    """One step of Adam with decoupled weight decay, in place.

    Args:
        weights: list of tensors, changed in place.
        gradients: list of tensors, shapes as `weights`.
        momentums: list of tensors, shapes as `weights`, changed in place.
        velocities: list of tensors, shapes as `weights`, changed in place.
        decays: list of floats, weight decay of each tensor, 0 for none.
        rates: list of floats, a factor of `learning_rate` for each tensor.
        learning_rate: float or scalar tensor.
        beta_1: float, decay of `momentums`.
        beta_2: float, decay of `velocities`.
        epsilon: float, added to the root of the second moment.
        correction_1: scalar tensor `1 - beta_1 ** t`, or `None` to leave the
            first moment as it is. Defaults to `None`.
        correction_2: the same for the second moment. Defaults to `None`.
    """
    gradients = [g.to(w.dtype) for g, w in zip(gradients, weights)]
    torch._foreach_mul_(momentums, beta_1)
    torch._foreach_add_(momentums, gradients, alpha=1 - beta_1)
    torch._foreach_mul_(velocities, beta_2)
    torch._foreach_addcmul_(velocities, gradients, gradients, 1 - beta_2)

    if correction_2 is None:
        roots = torch._foreach_sqrt(velocities)
    else:
        roots = torch._foreach_div(velocities, correction_2)
        torch._foreach_sqrt_(roots)
    torch._foreach_add_(roots, epsilon)
    updates = torch._foreach_div(momentums, roots)
    if correction_1 is not None:
        torch._foreach_div_(updates, correction_1)

    for decay in sorted(set(decays) - {0.0}):
        chosen = [i for i, own in enumerate(decays) if own == decay]
        torch._foreach_add_(
            [updates[i] for i in chosen],
            [weights[i] for i in chosen],
            alpha=decay,
        )
    if any(rate != 1 for rate in rates):
        torch._foreach_mul_(updates, rates)
    torch._foreach_mul_(updates, learning_rate)
    torch._foreach_sub_(weights, updates)
