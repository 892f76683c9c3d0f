"""The worker program: light, and deaf to what it prints."""

import sys

from keras_electra.text.worker_pool import WorkerPool


def test_package_is_imported_without_keras():
    # `eval` runs in the worker.
    code = (
        "[__import__('keras_electra.text.tokenizing'), __import__('sys')"
        ".modules.keys() & {'keras', 'keras_hub', 'tensorflow', 'jax'}][1]"
    )
    with WorkerPool(eval, 1, is_light=True) as pool:
        assert pool.submit(code).result() == set()


def test_prints_do_not_disturb(capfd):
    with WorkerPool(eval, 1, is_light=True) as pool:
        assert pool.submit("[print('hello'), 1]").result() == [None, 1]
        assert pool.submit("__import__('sys').path").result() == sys.path
