"""The worker program: light, and not disturbed by prints."""

import sys

import pytest

from keras_electra.text.worker import _DelayedPackage
from keras_electra.text.worker_pool import WorkerPool


def test_package_is_imported_without_keras():
    # `eval` runs in the worker.
    code = (
        "[__import__('keras_electra.text.tokenizing'), __import__('sys')"
        ".modules.keys() & {'keras', 'keras_hub', 'tensorflow', 'jax'}][1]"
    )
    with WorkerPool(eval, 1) as pool:
        assert pool.submit(code).result() == set()


def test_package_is_whole_when_asked_for(tmp_path):
    (tmp_path / "__init__.py").write_text("loaded = 'yes'")
    package = _DelayedPackage("package", str(tmp_path))
    assert "loaded" not in vars(package)
    assert package.loaded == "yes"
    with pytest.raises(AttributeError, match="package has no other"):
        package.other


def test_prints_do_not_disturb(capfd):
    with WorkerPool(eval, 1) as pool:
        assert pool.submit("[print('hello'), 1]").result() == [None, 1]
        assert pool.submit("__import__('sys').path").result() == sys.path
