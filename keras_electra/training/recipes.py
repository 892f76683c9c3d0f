"""How long, how fast and on what batches each size is pre-trained.

`small`, `base` and `large` are the paper's (Clark et al. 2020, Table 6). The
original program holds the last two only in a comment and falls back to the
small ones. `tiny` and `mini` are our own, for runs of hours on one machine;
no paper stands behind their numbers.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class PretrainingRecipe:
    """The numbers of one pre-training run.

    Attributes:
        learning_rate: float. The rate before warm-up and decay.
        num_steps: int. Weight updates, where the linear decay reaches 0.
        warmup_steps: int. Weight updates of linear warm-up.
        batch_size: int. Sequences per weight update.
        sequence_length: int. Tokens per sequence.
        mask_fraction: float. Share of a sequence's tokens that is masked.
    """

    learning_rate: float
    num_steps: int
    warmup_steps: int
    batch_size: int
    sequence_length: int
    mask_fraction: float


RECIPES = {
    # Our own choice: small networks bear larger rates and need fewer steps.
    "tiny": PretrainingRecipe(1e-3, 50_000, 2_000, 64, 128, 0.15),
    "mini": PretrainingRecipe(7e-4, 200_000, 5_000, 128, 128, 0.15),
    # Table 6 of the paper. The Electric paper names 5e-4 for base instead.
    "small": PretrainingRecipe(5e-4, 1_000_000, 10_000, 128, 128, 0.15),
    "base": PretrainingRecipe(2e-4, 766_000, 10_000, 256, 512, 0.15),
    "large": PretrainingRecipe(2e-4, 400_000, 10_000, 2048, 512, 0.25),
}


def pretraining_recipe(size):
    """The recipe of one size.

    Args:
        size: str, one of `"tiny"`, `"mini"`, `"small"`, `"base"`, `"large"`.

    Returns:
        A `PretrainingRecipe`.

    Raises:
        ValueError: there is no such size.
    """
    if size not in RECIPES:
        raise ValueError(
            f"`size` must be one of {', '.join(RECIPES)}. "
            f"Received: size={size!r}."
        )
    return RECIPES[size]


def scaled_warmup(recipe, num_steps):
    """Warm-up for a run of another length than the recipe's.

    A tenth of the run, but never more than the recipe: the paper's 10,000
    steps are 1 % of a small run, and a run of 5,000 steps would otherwise
    never leave its warm-up. A tenth is what fine-tuning uses.

    Args:
        recipe: a `PretrainingRecipe`.
        num_steps: int, weight updates of the run; `None` for the recipe's.

    Returns:
        int, weight updates.
    """
    if num_steps is None:
        return recipe.warmup_steps
    return min(recipe.warmup_steps, int(num_steps) // 10)
