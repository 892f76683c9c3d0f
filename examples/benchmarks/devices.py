"""Tokens a second of pre-training on 1, 2 and 4 devices.

    python examples/benchmarks/devices.py [--backend torch] [--devices 1 2 4]

A device is a process of one thread on a core of its own; all train the same
network, 16 rows of 128 tokens a device. Runs of each number take turns, so that
what else a machine does falls on all; medians are printed. Efficiency is the
speed beside that of one device times their number: 2 on two cores should reach
85 %. More devices than cores show that it works, not what it is worth.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

BACKENDS = ("torch", "jax", "tensorflow")
LENGTH, ROWS, WARMUP = 128, 16, 2  # tokens, rows a device, steps not counted


def train(count, steps, size):
    """What one process does; the first prints its tokens a second."""
    import keras
    import numpy as np

    index = int(os.environ.get("RANK", 0))
    backend, scope = keras.config.backend(), None
    if backend == "jax" and count > 1:
        address = f"localhost:{os.environ['MASTER_PORT']}"
        keras.distribution.initialize(address, count, index)
        parallel = keras.distribution.DataParallel()
        keras.distribution.set_distribution(parallel)
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(count)
        if count > 1:
            (cpu,) = tf.config.list_physical_devices("CPU")
            several = [tf.config.LogicalDeviceConfiguration()] * count
            tf.config.set_logical_device_configuration(cpu, several)
            names = [f"CPU:{number}" for number in range(count)]
            scope = tf.distribute.MirroredStrategy(names).scope()
    if backend == "torch":
        import torch

        torch.set_num_threads(1)
    import keras_electra

    keras.utils.set_random_seed(0)
    with scope or keras.name_scope("one"):
        pretrainer = keras_electra.ElectraPretrainer.from_size(
            size,
            vocabulary_size=8192,
            mask_token_id=4,
            unselectable_token_ids=[0, 2, 3, 4],
        )
        pretrainer.compile(
            optimizer=keras_electra.pretraining_optimizer(size, 1000)
        )
    shape = (ROWS * count * steps, LENGTH)
    ids = np.random.default_rng(0).integers(5, 8192, shape, "int32")
    rows = {
        "token_ids": ids,
        "segment_ids": np.zeros_like(ids),
        "padding_mask": np.ones_like(ids),
    }
    times = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            float(logs["loss"])  # waits for the step
            times.append(time.perf_counter())

    given = {"batch_size": ROWS * count, "verbose": 0, "callbacks": [Watch()]}
    pretrainer.fit(rows, shuffle=False, **given)
    taken = times[-1] - times[WARMUP]
    print(ROWS * count * LENGTH * (steps - 1 - WARMUP) / taken)


def measure(backend, count, steps, size):
    """Tokens a second of so many processes."""
    ports = [free_port() for _ in range(count)]
    cores = sorted(os.sched_getaffinity(0))
    command = [sys.executable, __file__, "--steps", str(steps), "--size", size]
    processes = []
    for index in range(count):
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "OMP_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "JAX_PLATFORMS": "cpu",
            "MASTER_PORT": str(ports[0]),
        }
        if count > 1:
            environment |= {
                "RANK": str(index),
                "LOCAL_RANK": str(index),
                "WORLD_SIZE": str(count),
                "MASTER_ADDR": "localhost",
                "TF_CONFIG": json.dumps(
                    {
                        "cluster": {
                            "worker": [f"localhost:{port}" for port in ports]
                        },
                        "task": {"type": "worker", "index": index},
                    }
                ),
            }
        processes.append(
            subprocess.Popen(
                ["taskset", "-c", str(cores[index % len(cores)])]
                + [*command, "--run", str(count)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    results = [process.communicate() for process in processes]
    for process, (output, error) in zip(processes, results):
        if process.returncode:
            raise SystemExit(f"{backend}, {count} devices:\n{error[-3000:]}")
    return float(results[0][0].split()[-1])


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=BACKENDS, help="by default all")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--size", default="mini")
    parser.add_argument("--run", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        return train(args.run, args.steps, args.size)
    print("| backend | devices | tokens/s | efficiency |")
    print("| --- | --- | --- | --- |")
    for backend in [args.backend] if args.backend else BACKENDS:
        speeds = {count: [] for count in sorted({1, *args.devices})}
        for _ in range(args.repeats):
            for count, found in speeds.items():
                given = args.steps, args.size
                found.append(measure(backend, count, *given))
        one = statistics.median(speeds[1])
        for count, found in speeds.items():
            speed = statistics.median(found)
            share = speed / one / count
            print(f"| {backend} | {count} | {speed:,.0f} | {share:.0%} |")


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
    main()
