"""Sizes give the published numbers of parameters; nothing is allocated."""

import keras
import pytest

from keras_electra.model import sizes
from keras_electra.model.backbone import ElectraBackbone
from tests.checks import tiny_backbone

DISCRIMINATORS = {
    "small": 13_483_008,
    "base": 108_891_648,
    "large": 334_092_288,
}
GENERATORS = {"base": 33_511_168, "large": 50_999_552}


def count(arguments):
    """Parameters of a network whose weights are never created."""
    with keras.StatelessScope(initialize_variables=False):
        backbone = ElectraBackbone(vocabulary_size=30522, **arguments)
        return backbone.count_params()


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminator(name):
    arguments = sizes.get_size(name).discriminator()
    assert count(arguments) == DISCRIMINATORS[name]


@pytest.mark.parametrize("name", GENERATORS)
def test_generator(name):
    assert count(sizes.get_size(name).generator()) == GENERATORS[name]


def test_count_without_weights_is_that_with_weights():
    allocated = sum(array.size for array in tiny_backbone().get_weights())
    with keras.StatelessScope(initialize_variables=False):
        assert tiny_backbone().count_params() == allocated


@pytest.mark.parametrize(
    "name, width, heads",
    [
        ("tiny", 64, 1),
        ("mini", 64, 1),
        ("small", 64, 1),
        ("base", 256, 4),
        ("large", 256, 4),
    ],
)
def test_rule_of_the_generator(name, width, heads):
    size = sizes.get_size(name)
    assert size.generator() == {
        "num_layers": size.num_layers,
        "num_heads": heads,
        "hidden_dim": width,
        "intermediate_dim": 4 * width,
        "embedding_dim": size.embedding_dim,
    }


def test_a_narrow_generator_has_one_head():
    size = sizes.Size(2, 64, 1, 256, 64, generator_hidden_dim=16)
    assert size.generator()["num_heads"] == 1


def test_heads_of_discriminators_have_64_units():
    for size in sizes.SIZES.values():
        assert size.hidden_dim == 64 * size.num_heads
        assert size.intermediate_dim == 4 * size.hidden_dim


def test_unknown_size():
    with pytest.raises(ValueError, match="'base', 'large'.*'huge'"):
        sizes.get_size("huge")


@pytest.mark.parametrize(
    "width, layers, size",
    [(128, 4, "tiny"), (288, 3, "mini"), (288, 12, "small"), (800, 12, "base")],
)
def test_closest_size(width, layers, size):
    assert sizes.closest_size(width, layers) == size


def test_closest_size_among_some():
    names = ("small", "base")
    assert sizes.closest_size(64, 2, names) == "small"
    assert sizes.closest_size(1024, 24, names) == "base"
