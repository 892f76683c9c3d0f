"""Of all tests of tasks."""

import gc

import pytest


@pytest.fixture(autouse=True)
def _quick_garbage():
    """Keras collects it for every weight that it quantizes."""
    gc.freeze()
    yield
    gc.unfreeze()
