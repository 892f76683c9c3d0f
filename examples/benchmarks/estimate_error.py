"""How far `keras_electra.estimate` is from what a run then takes.

    python examples/benchmarks/estimate_error.py --size small --batch-size 128

Each backend has a process for the estimate and one for the run, of `--steps`
full batches. `--processor` counts the processor's seconds in place of the
clock's, for a machine that does other things, too.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time

VOCABULARY = 30522


def main():
    args = parse_arguments()
    if args.worker:
        print(json.dumps(globals()[args.worker](args)))
        return
    print("| backend | seconds a step | measured | GiB | measured |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for backend in args.backends:
        cells = [[], []]
        for worker in ("estimate", "measure"):
            found = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--worker", worker],
                env={**os.environ, "KERAS_BACKEND": backend},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout.splitlines()[-1]
            for cell, value in zip(cells, json.loads(found)):
                ratio = f" ({cell[0] / value - 1:+.0%})" if cell else ""
                cell += [value, f"{value:.3g}{ratio}"]
        shown = [text for cell in cells for text in cell[1::2]]
        print(f"| {backend} | {' | '.join(shown)} |", flush=True)


def estimate(args):
    """Seconds of a step, and GiB, as they are foretold."""
    import keras_electra

    found = keras_electra.estimate(
        args.size,
        tokens=args.batch_size * args.sequence_length,
        batch_size=args.batch_size,
        sequence_length=args.sequence_length,
        vocabulary_size=VOCABULARY,
    )
    return found.seconds, found.memory / 2**30


def measure(args):
    """Seconds of a step, the median, and GiB of a run."""
    import keras
    import numpy as np

    import keras_electra
    from keras_electra.backend import peak_memory

    model = keras_electra.ElectraPretrainer.from_size(
        args.size,
        vocabulary_size=VOCABULARY,
        mask_token_id=4,
        unselectable_token_ids=[*range(5)],
        max_sequence_length=max(512, args.sequence_length),
    )
    shape = args.batch_size * args.steps, args.sequence_length
    ids = np.random.default_rng(0).integers(5, VOCABULARY, shape, "int32")
    rows = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": 0 * ids}
    rows["padding_mask"] += 1
    ends = []

    def note(batch, logs):
        float(logs["loss"])  # waits for the device
        ends.append(time.perf_counter())

    clock = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    model.fit(rows, batch_size=args.batch_size, callbacks=[clock], verbose=0)
    memory = peak_memory()
    if memory is None:
        with open("/proc/self/status") as file:
            memory = 1024 * int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])
    return float(np.median(np.diff(ends)[1:])), memory / 2**30


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--size", default="small")
    add("--batch-size", type=int, default=128)
    add("--sequence-length", type=int, default=128)
    add("--steps", type=int, default=8)
    add("--processor", action="store_true")
    add("--backends", nargs="+", default=["torch", "jax", "tensorflow"])
    add("--worker", choices=("estimate", "measure"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.processor:
        time.perf_counter = time.process_time
    return args


if __name__ == "__main__":
    main()
