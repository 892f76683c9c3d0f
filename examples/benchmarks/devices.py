"""Tokens a second of pre-training on 1, 2 and 4 devices.

    python examples/benchmarks/devices.py [--backend torch] [--devices 1 2 4]

A device has one thread and one core: on PyTorch and JAX a process, on
TensorFlow a logical device of one process, as the devices of a machine are used
there (with `--workers` a process, as of several machines: messages take a fifth
of it). All train the same network, 16 rows of 128 tokens a device. Each number
of devices starts and compiles once; then they train in turns, so that what else
a machine does falls on all, and medians are printed. Efficiency is the speed
beside that of one device times their number: 2 on two cores should reach 85 %.
More devices than cores show that it works, not what it is worth.
"""

import argparse
import contextlib
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


def scope_of(backend, count, index, workers):
    """What the model is made in."""
    if backend == "tensorflow":
        import tensorflow as tf

        threads = 1 if workers else count
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        if count > 1 and workers:
            return tf.distribute.MultiWorkerMirroredStrategy().scope()
        if count > 1:
            (cpu,) = tf.config.list_physical_devices("CPU")
            several = [tf.config.LogicalDeviceConfiguration()] * count
            tf.config.set_logical_device_configuration(cpu, several)
            names = [f"CPU:{number}" for number in range(count)]
            return tf.distribute.MirroredStrategy(names).scope()
    elif backend == "torch":
        import torch

        torch.set_num_threads(1)
    elif count > 1:
        import keras

        address = f"localhost:{os.environ['MASTER_PORT']}"
        keras.distribution.initialize(address, count, index)
        return keras.distribution.DataParallel().scope()
    return contextlib.nullcontext()


def train(count, args):
    """What a process does: after a line of its input some steps, and again."""
    import keras
    import numpy as np

    index = int(os.environ.get("RANK", 0))
    scope = scope_of(keras.config.backend(), count, index, args.workers)
    import keras_electra

    keras.utils.set_random_seed(0)
    all_steps = WARMUP + args.repeats * args.steps
    shape = (ROWS * count * all_steps, LENGTH)
    ids = np.random.default_rng(0).integers(5, 8192, shape, "int32")
    rows = {
        "token_ids": ids,
        "segment_ids": np.zeros_like(ids),
        "padding_mask": np.ones_like(ids),
    }

    class TakeTurns(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            float(logs["loss"])  # waits for the step
            done = batch + 1 - WARMUP
            if done < 0 or done % args.steps:
                return
            if done:
                taken = time.perf_counter() - self.start
                print(ROWS * count * LENGTH * args.steps / taken, flush=True)
            else:
                print("ready", flush=True)
            if done < args.repeats * args.steps:
                input()
            self.start = time.perf_counter()

    with scope:
        pretrainer = keras_electra.ElectraPretrainer.from_size(
            args.size,
            vocabulary_size=8192,
            mask_token_id=4,
            unselectable_token_ids=[0, 2, 3, 4],
        )
        pretrainer.compile(
            optimizer=keras_electra.pretraining_optimizer(args.size, 1000)
        )
        given = {"verbose": 0, "callbacks": [TakeTurns()], "shuffle": False}
        pretrainer.fit(rows, batch_size=ROWS * count, **given)


def start(backend, count, workers):
    """The processes of so many devices; the first one's output counts."""
    size = count if workers or backend != "tensorflow" else 1
    ports = [free_port() for _ in range(size)]
    cores = sorted(os.sched_getaffinity(0))
    processes = []
    for index in range(size):
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "OMP_NUM_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "JAX_PLATFORMS": "cpu",
            "MASTER_PORT": str(ports[0]),
        }
        if size > 1:
            peers = {"worker": [f"localhost:{port}" for port in ports]}
            task = {"type": "worker", "index": index}
            environment |= {
                "RANK": str(index),
                "LOCAL_RANK": str(index),
                "WORLD_SIZE": str(size),
                "MASTER_ADDR": "localhost",
                "TF_CONFIG": json.dumps({"cluster": peers, "task": task}),
            }
        own = cores[:count] if size == 1 else [cores[index % len(cores)]]
        command = [sys.executable, __file__, *sys.argv[1:]]
        processes.append(
            subprocess.Popen(
                ["taskset", "-c", ",".join(map(str, own))]
                + [*command, "--run", str(count)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL if index else subprocess.PIPE,
                text=True,
            )
        )
    return processes


def next_line(processes):
    """What the first prints as "ready", or a number; other lines are passed."""
    for line in processes[0].stdout:
        if line.strip() == "ready":
            return None
        with contextlib.suppress(ValueError):
            return float(line)
    raise SystemExit("A process has ended: see above.")


def measure(backend, args):
    """Speeds, in tokens a second, by the number of devices."""
    started, speeds = {}, {}
    try:
        for count in sorted({1, *args.devices}):
            started[count] = start(backend, count, args.workers)
        for processes in started.values():
            next_line(processes)
        for _ in range(args.repeats):
            for count, processes in started.items():
                for process in processes:
                    process.stdin.write("go\n")
                    process.stdin.flush()
                speeds.setdefault(count, []).append(next_line(processes))
    finally:
        for process in sum(started.values(), []):
            process.kill()
    return speeds


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=BACKENDS, help="by default all")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--workers", action="store_true", help="of TensorFlow")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--size", default="mini")
    parser.add_argument("--run", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        return train(args.run, args)
    print("| backend | devices | tokens/s | efficiency |")
    print("| --- | --- | --- | --- |")
    for backend in [args.backend] if args.backend else BACKENDS:
        speeds = measure(backend, args)
        one = statistics.median(speeds[1])
        for count, found in speeds.items():
            speed = statistics.median(found)
            share = speed / one / count
            row = f"| {backend} | {count} | {speed:,.0f} | {share:.0%} |"
            print(row, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
    main()
