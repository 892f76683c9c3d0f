"""The optimizer of fine-tuning: lower layers learn more slowly.

Two protocols by name. `"paper"` is what the paper says. `"google"` is what
the original program does: a lower rate for small, weight decay, and a decay
by layers that skips a step between the heads and the top layer, so that every
layer below the heads is a step slower than meant. That program also sums the
loss over the batch before clipping, so that clipping is nearly always at
work; the loss belongs to the task, which is compiled with `loss_reduction` of
the protocol.
"""

import dataclasses

from keras_electra.model.sizes import closest_size
from keras_electra.training import schedules
from keras_electra.training.optimizers import ElectraAdamW

# A network is trained like the one of these that is closest in width.
NAMES = ("small", "base", "large")
# Shares of all steps (original `configure_finetuning.py:60`; paper, table 7).
WARMUP_FRACTION = 0.1


@dataclasses.dataclass(frozen=True)
class FinetuningProtocol:
    """How networks of each size are fine-tuned.

    Attributes:
        learning_rates: three floats, for small, base and large.
        layer_decays: three floats, for small, base and large: the rate of a
            layer over that of the layer above.
        weight_decay: float.
        skipped_steps: int. Layers that the decay counts between the heads
            and the top layer without there being any.
        loss_reduction: string, of Keras' losses: over the batch.
    """

    learning_rates: tuple
    layer_decays: tuple
    weight_decay: float
    skipped_steps: int
    loss_reduction: str


PROTOCOLS = {
    # Clark et al., ICLR 2020, table 7.
    "paper": FinetuningProtocol(
        (3e-4, 1e-4, 5e-5), (0.8, 0.8, 0.9), 0.0, 0, "sum_over_batch_size"
    ),
    # Original `configure_finetuning.py:54-56, 149-151`,
    # `model/optimization.py:181-193`, `run_finetuning.py:71-73`.
    "google": FinetuningProtocol(
        (1e-4, 1e-4, 5e-5), (0.8, 0.8, 0.9), 0.01, 1, "sum"
    ),
}


def finetuning_protocol(name):
    """The protocol of a name.

    Args:
        name: string, `"paper"` or `"google"`.

    Returns:
        A `FinetuningProtocol`.

    Raises:
        ValueError: there is no such protocol.
    """
    if name not in PROTOCOLS:
        raise ValueError(
            f"`protocol` must be one of {', '.join(map(repr, PROTOCOLS))}. "
            f"Received: protocol={name!r}."
        )
    return PROTOCOLS[name]


def finetuning_rate(hidden_dim, protocol="paper"):
    """The learning rate for a network of this width.

    Args:
        hidden_dim: int. Width of the network.
        protocol: string, `"paper"` (the default) or `"google"`.

    Returns:
        float: 3e-4 for small, 1e-4 for base, 5e-5 for large, whichever is
        closest in width; 1e-4 for small under `"google"`.
    """
    rates = finetuning_protocol(protocol).learning_rates
    return rates[_size(hidden_dim)]


def layer_rates(backbone, layer_decay, skipped_steps=0):
    """Factors of the learning rate, by layer.

    Args:
        backbone: `ElectraBackbone` of `n` layers.
        layer_decay: float, the rate of a layer over that of the layer above.
        skipped_steps: int. Added to the depth of every layer. Defaults to
            `0`: the top layer is one step below the heads.

    Returns:
        dict from the name of a layer to `layer_decay ** depth`. The depth is
        1 for the top layer, `n` for the first, `n + 1` for the embeddings and
        their projection; the heads, which are not in it, have a factor of 1.
    """
    names = [layer.name for layer in backbone.transformer_layers]
    depths = {name: len(names) - i for i, name in enumerate(names)}
    depths[backbone.embeddings.name] = len(names) + 1
    if backbone.embeddings_projection is not None:
        depths[backbone.embeddings_projection.name] = len(names) + 1
    return {
        name: layer_decay ** (depth + skipped_steps)
        for name, depth in depths.items()
    }


def finetuning_optimizer(
    backbone,
    num_steps,
    protocol="paper",
    learning_rate=None,
    layer_decay=None,
    weight_decay=None,
    warmup_fraction=WARMUP_FRACTION,
    **kwargs,
):
    """The optimizer and learning rates that a network is fine-tuned with.

    A linear warm-up, a linear decay to 0, a rate for every layer, gradients
    clipped to a common length of 1, no bias correction.

    Args:
        backbone: the `ElectraBackbone` of the task.
        num_steps: int > 0, weight updates of the whole run.
        protocol: string. `"paper"`, the default, or `"google"` for what the
            original program does, its decay by layers off by one included.
            Its loss is a sum over the batch: compile with a loss of
            `reduction="sum"` to have all of it.
        learning_rate: float or `None`. The rate of the heads before warm-up
            and decay. Defaults to the protocol's for the size.
        layer_decay: float in (0, 1] or `None`. The rate of a layer over that
            of the layer above. Defaults to the protocol's for the size.
        weight_decay: float >= 0 or `None`. Defaults to the protocol's.
        warmup_fraction: float in [0, 1], share of `num_steps`. Defaults to
            `0.1`.
        **kwargs: further arguments of `ElectraAdamW`. With
            `gradient_accumulation_steps` the schedule is stretched alike,
            because Keras' schedules count batches.

    Returns:
        An `ElectraAdamW`.

    Raises:
        ValueError: there is no such protocol, or a number is out of its
            range.

    Example:
    ```python
    classifier.compile(
        optimizer=keras_electra.finetuning_optimizer(
            classifier.backbone, num_steps=3 * len(texts) // 32
        )
    )
    ```

    Reference:
        - Clark et al., ELECTRA, ICLR 2020, table 7.
        - google-research/electra, `model/optimization.py`, lines 30-67 and
          181-193, `configure_finetuning.py`, lines 54-60 and 149-153.
    """
    chosen = finetuning_protocol(protocol)
    size = _size(backbone.hidden_dim)
    if learning_rate is None:
        learning_rate = chosen.learning_rates[size]
    if layer_decay is None:
        layer_decay = chosen.layer_decays[size]
    if weight_decay is None:
        weight_decay = chosen.weight_decay
    if not 0 < layer_decay <= 1:
        raise ValueError(
            "`layer_decay` must be in (0, 1], 1 for the same rate everywhere. "
            f"Received: layer_decay={layer_decay}."
        )
    if not 0 <= warmup_fraction <= 1:
        raise ValueError(
            "`warmup_fraction` must be a share of the steps, from 0 to 1. "
            f"Received: warmup_fraction={warmup_fraction}."
        )
    batches = kwargs.get("gradient_accumulation_steps") or 1
    return ElectraAdamW(
        schedules.WarmupPolynomialDecay(
            learning_rate,
            num_steps * batches,
            num_steps * batches * warmup_fraction,
        ),
        weight_decay=weight_decay,
        layer_rates=layer_rates(backbone, layer_decay, chosen.skipped_steps),
        **kwargs,
    )


def _size(hidden_dim):
    """0 for small, 1 for base, 2 for large, by the closest width."""
    return NAMES.index(closest_size(hidden_dim, names=NAMES))
