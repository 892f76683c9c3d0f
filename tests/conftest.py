"""Shared fixtures. Torch is imported first: TensorFlow before it can crash."""

import gc
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Compiling is nearly all that tests on JAX do.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

try:
    import torch
except ImportError:
    pass
else:
    # The models are tiny: a second thread only waits for the first.
    torch.set_num_threads(1)

import keras
import pytest

from tests import recorded


def pytest_addoption(parser):
    parser.addoption(
        "--golden",
        metavar="FOLDER",
        help="compare with the numbers of the original in this folder",
    )


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "golden: compares with numbers of the original program"
    )
    if config.getoption("--golden"):
        recorded.use(config.getoption("--golden"))


def pytest_collection_modifyitems(items):
    for item in items:
        if "golden" in item.fixturenames:
            item.add_marker("golden")


@pytest.fixture(scope="module", autouse=True)
def _seed_of_module():
    """What fixtures of a module draw does not depend on other modules."""
    keras.utils.set_random_seed(0)
    yield
    # Compiled functions of earlier modules stay alive; looking through them
    # at every collection takes long.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _clean_state():
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def golden():
    """Folder of numbers recorded from the original implementation."""
    return recorded.FOLDER
