"""Sizes of the networks as a table, and the rule for the generator.

Small, base and large are the paper's (Clark et al., ICLR 2020, table 6). Mini
and tiny are ours, for short runs and tests of an idea.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Size:
    """One row: the discriminator, and the generator's share of its width.

    Attributes:
        num_layers: int. Transformer layers of both networks.
        hidden_dim: int. Width of the discriminator.
        num_heads: int. Attention heads of the discriminator.
        intermediate_dim: int. Width of its feed-forward blocks.
        embedding_dim: int. Width of the embeddings that both share.
        generator_hidden_dim: int. Width of the generator.
    """

    num_layers: int
    hidden_dim: int
    num_heads: int
    intermediate_dim: int
    embedding_dim: int
    generator_hidden_dim: int

    def discriminator(self):
        """Keyword arguments of `ElectraBackbone` for the discriminator."""
        return {
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "hidden_dim": self.hidden_dim,
            "intermediate_dim": self.intermediate_dim,
            "embedding_dim": self.embedding_dim,
        }

    def generator(self):
        """Keyword arguments of `ElectraBackbone` for the generator.

        As many layers as the discriminator, heads of 64 units but at least
        one head, feed-forward blocks of four times the width (original
        `run_pretraining.py:244-253`).
        """
        width = self.generator_hidden_dim
        return {
            "num_layers": self.num_layers,
            "num_heads": max(1, width // 64),
            "hidden_dim": width,
            "intermediate_dim": 4 * width,
            "embedding_dim": self.embedding_dim,
        }


# Generator: 1/4 of the width for small and large, 1/3 for base.
SIZES = {
    #             layers hidden heads  ffn  embedding generator
    "tiny": Size(4, 128, 2, 512, 128, 64),
    "mini": Size(4, 256, 4, 1024, 128, 64),
    "small": Size(12, 256, 4, 1024, 128, 64),
    "base": Size(12, 768, 12, 3072, 768, 256),
    "large": Size(24, 1024, 16, 4096, 1024, 256),
}


def closest_size(hidden_dim, num_layers=12, names=tuple(SIZES)):
    """Name of the size that is closest in width, then in depth.

    Args:
        hidden_dim: int. Width of a network.
        num_layers: int. Defaults to `12`.
        names: tuple of strings. Sizes to choose from. Defaults to all.

    Returns:
        string.
    """
    return min(
        names,
        key=lambda name: (
            abs(SIZES[name].hidden_dim - hidden_dim),
            abs(SIZES[name].num_layers - num_layers),
        ),
    )


def get_size(name):
    """Looks a size up by name.

    Args:
        name: string. One of `tiny`, `mini`, `small`, `base`, `large`.

    Returns:
        A `Size`.

    Raises:
        ValueError: when there is no such size.
    """
    if name not in SIZES:
        raise ValueError(
            f"`size` must be one of {sorted(SIZES)}. Received: {name!r}."
        )
    return SIZES[name]
