"""Processes that work: results, failures, sudden ends."""

import math
import os
import time

import pytest

from keras_electra.text.worker_pool import WorkerPool


def test_results():
    with WorkerPool(math.sqrt, 2) as pool:
        futures = [pool.submit(i * i) for i in range(20)]
        assert [future.result() for future in futures] == list(range(20))


def test_failure_is_told_and_the_process_goes_on():
    with WorkerPool(math.sqrt, 1) as pool:
        with pytest.raises(RuntimeError, match="failed:(.|\n)*ValueError"):
            pool.submit(-1).result()
        assert pool.submit(4).result() == 2


def test_sudden_end_is_told():
    with WorkerPool(os._exit, 1) as pool:
        with pytest.raises(RuntimeError, match="exit code 3.*num_processes"):
            pool.submit(3).result()


def test_leaving_does_not_wait_for_work():
    start = time.monotonic()
    with WorkerPool(time.sleep, 1) as pool:
        pool.submit(60)
        while not pool._processes:
            time.sleep(0.01)
    assert time.monotonic() - start < 30
