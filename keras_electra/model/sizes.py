"""Sizes of the networks as a table, and the rule for the generator.

Small, base and large are the paper's (Clark et al., ICLR 2020, table 6). Mini
and tiny are ours, for short runs and tests of an idea.
"""

from typing import Any
from typing import NamedTuple

from keras_electra.arguments import check_option


class Size(NamedTuple):
    """One row: arguments of the discriminator, and the generator's width."""

    num_layers: int
    hidden_dim: int
    num_heads: int
    intermediate_dim: int
    embedding_dim: int
    generator_hidden_dim: int

    def discriminator(self) -> Any:
        """Keyword arguments of `ElectraBackbone` for the discriminator."""
        return dict(zip(self._fields[:-1], self))

    def generator(self) -> dict[str, Any]:
        """Keyword arguments of `ElectraBackbone` for the generator.

        As many layers as the discriminator, heads of 64 units, feed-forward
        blocks of four times the width (original `run_pretraining.py:244-253`).
        """
        width = self.generator_hidden_dim
        return {
            **self.discriminator(),
            "num_heads": max(1, width // 64),
            "hidden_dim": width,
            "intermediate_dim": 4 * width,
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
    """Which of `names` is closest in width, then in depth."""

    def distance(name):
        layers, width, *_ = SIZES[name]
        return abs(width - hidden_dim), abs(layers - num_layers)

    return min(names, key=distance)


def get_size(name: str) -> Any:
    """The `Size` of a name; a `ValueError` if there is none."""
    check_option("size", name, SIZES)
    return SIZES[name]
