"""The recipes are the paper's, and short runs warm up sensibly."""

import pytest

from keras_electra.training.recipes import RECIPES
from keras_electra.training.recipes import pretraining_recipe
from keras_electra.training.recipes import scaled_warmup


@pytest.mark.parametrize(
    "size, rate, steps, batch, length, masked",
    [
        ("small", 5e-4, 1_000_000, 128, 128, 0.15),
        ("base", 2e-4, 766_000, 256, 512, 0.15),
        ("large", 2e-4, 400_000, 2048, 512, 0.25),
    ],
)
def test_table_6_of_the_paper(size, rate, steps, batch, length, masked):
    recipe = pretraining_recipe(size)
    assert recipe.learning_rate == rate
    assert recipe.num_steps == steps
    assert recipe.warmup_steps == 10_000
    assert recipe.batch_size == batch
    assert recipe.sequence_length == length
    assert recipe.mask_fraction == masked


def test_all_sizes_in_order():
    assert list(RECIPES) == ["tiny", "mini", "small", "base", "large"]
    rates = [recipe.learning_rate for recipe in RECIPES.values()]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    "num_steps, warmup",
    [
        (None, 10_000),
        (2_000_000, 10_000),
        (100_000, 10_000),
        (50_000, 5_000),
        (99, 9),
        (5, 0),
    ],
)
def test_warmup_of_a_short_run(num_steps, warmup):
    assert scaled_warmup(pretraining_recipe("small"), num_steps) == warmup


def test_unknown_size_is_named():
    with pytest.raises(ValueError, match="tiny, mini.*size='medium'"):
        pretraining_recipe("medium")
