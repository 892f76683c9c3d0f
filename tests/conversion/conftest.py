"""Checkpoints of transformers, each written once."""

import pytest

from tests.conversion import foreign


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Function from an architecture and settings to the folder with it."""
    folders = {}

    def make(architecture, **config):
        key = (architecture, *sorted(config.items()))
        if key not in folders:
            folder = tmp_path_factory.mktemp(architecture)
            model = foreign.network(architecture, **config)
            folders[key] = foreign.save(model, folder)
        return folders[key]

    return make


@pytest.fixture(scope="session")
def discriminator(made):
    return made("ElectraForPreTraining")


@pytest.fixture(scope="session")
def generator(made):
    return made("ElectraForMaskedLM", hidden_size=4, seed=1)
