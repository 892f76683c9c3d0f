"""The recipes of the shipped presets."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What differs between the presets.

    Attributes:
        discriminator: dict. Sizes of `ElectraBackbone`.
        generator: dict. The same. A quarter of the discriminator's width,
            as in the paper's small one (table 6): one that is as good as the
            discriminator draws what nobody can tell from the original.
        vocabulary_size: int.
        batch_size: int, in rows. On a CPU more steps help more than rows.
        mask_token_rate: float. Of the start: share of the selected tokens
            that become [MASK].
        random_token_rate: float. Of the start: share that becomes another
            token. With none, every token that is not [MASK] can be taken for
            right, and a small network does not learn to read it.
        masking_rate: float. Learning rate of the start.
        rate: float. Of ELECTRA; lower, so that what the start has learnt is
            not overwritten.
        masking_steps: int.
        steps: int. Of ELECTRA.
        late_layers: int. Layers of a second generator, which is the first
            layers of the network that the start has trained.
        late_rate: float. Learning rate with it.
        late_steps: int. Of ELECTRA with it, afterwards; 0 for none.
        pair_steps: int. Of ELECTRA at this rate, too, once heads of the first
            layer look for words in the other segment; 0 for none.
        steps_per_execution: int. Steps that a GPU takes without a pause;
            on torch Keras takes one.
        weights_dtype: string. Of the weights on disk.
    """

    discriminator: dict
    generator: dict
    vocabulary_size: int
    batch_size: int
    mask_token_rate: float
    random_token_rate: float
    masking_rate: float
    rate: float
    masking_steps: int
    steps: int
    late_layers: int = 1
    late_rate: float = 1e-3
    late_steps: int = 0
    pair_steps: int = 0
    steps_per_execution: int = 1
    weights_dtype: str = "float16"


RECIPES = {
    "tiny": Recipe(  # two processor cores; shape by tiny_preset_trials.py
        discriminator={
            "num_layers": 3,
            "num_heads": 6,
            "hidden_dim": 288,
            "intermediate_dim": 1152,
        },
        generator={
            "num_layers": 3,
            "num_heads": 2,
            "hidden_dim": 72,
            "intermediate_dim": 288,
        },
        vocabulary_size=8192,
        batch_size=16,
        mask_token_rate=0.4,
        random_token_rate=0.4,
        masking_rate=4e-3,
        rate=2e-3,
        masking_steps=8_500,
        steps=8_500,
        late_steps=2_500,
        pair_steps=2_200,
    ),
    "small": Recipe(  # one GPU; the paper's networks
        discriminator={
            "num_layers": 12,
            "num_heads": 4,
            "hidden_dim": 256,
            "intermediate_dim": 1024,
        },
        generator={
            "num_layers": 12,
            "num_heads": 1,
            "hidden_dim": 64,
            "intermediate_dim": 256,
        },
        vocabulary_size=16384,
        batch_size=512,
        mask_token_rate=0.85,
        random_token_rate=0.0,
        masking_rate=2e-3,
        rate=1e-3,
        masking_steps=1_800,
        steps=1_900,
        steps_per_execution=10,
    ),
}
