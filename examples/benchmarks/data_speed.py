"""How fast are building and reading of examples? Prints a table.

    python examples/benchmarks/data_speed.py --corpus "corpus/*.txt" \
        --vocabulary vocabulary.txt

The table has medians of builds with one and two processes, taking turns.
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import re
import statistics
import tempfile
import threading
import time

import keras_electra


def peak_memory(pid):
    """Largest memory a process has had, in MB; 0 where not told."""
    status = pathlib.Path(f"/proc/{pid}/status")
    text = status.read_text() if status.exists() else ""
    peak = re.search(r"VmHWM:\s+(\d+)", text)
    return int(peak[1]) / 1000 if peak else 0.0


def workers():
    """Process ids of the worker processes (Linux only)."""
    for path in pathlib.Path("/proc/self/task").glob("*/children"):
        for pid in path.read_text().split():
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"spawn_main" in command:
                yield pid


class WorkerMemory(threading.Thread):
    """Watches the largest memory of any worker process."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = 0.0
        self._stopped = threading.Event()

    def run(self):
        while not self._stopped.wait(0.1):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                self.peak = max([self.peak, *map(peak_memory, workers())])

    def stop(self):
        self._stopped.set()
        self.join()
        return self.peak


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", nargs="+", required=True)
    parser.add_argument("--vocabulary", required=True)
    parser.add_argument("--cased", action="store_true")
    parser.add_argument("--sequence_length", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    def make_tokenizer():  # a new one each time: it remembers words
        return keras_electra.ElectraTokenizer(
            args.vocabulary, lowercase=not args.cased
        )

    before = peak_memory("self")
    speeds = {1: [], 2: []}
    memory = WorkerMemory()
    memory.start()
    with tempfile.TemporaryDirectory() as folder:
        for run in range(args.repeats):
            for processes in speeds:
                output_dir = os.path.join(folder, f"{run}-{processes}")
                report = keras_electra.build_examples(
                    args.corpus,
                    output_dir,
                    make_tokenizer(),
                    sequence_length=args.sequence_length,
                    num_processes=processes,
                    verbose=False,
                )
                speeds[processes].append(report.tokens_per_second)
        print(report)
        rows = [
            (f"build, {n} process{'es' * (n > 1)}", statistics.median(speed))
            for n, speed in speeds.items()
        ]
        for seed, name in ((None, "in order"), (0, "shuffled")):
            dataset = keras_electra.load_examples(
                output_dir, "train", batch_size=128, seed=seed
            )
            start = time.perf_counter()
            tokens = sum(
                int(batch["padding_mask"].sum())
                for batch in itertools.islice(dataset, len(dataset))
            )
            seconds = time.perf_counter() - start
            rows.append((f"load, {name}", tokens / seconds))

    print(f"\n{'':<24} {'tokens/s':>12}")
    for name, speed in rows:
        print(f"{name:<24} {speed:>12,.0f}")
    print(f"\n{'':<24} {'MB at most':>12}")
    for name, peak in (
        ("after imports", before),
        ("this process", peak_memory("self")),
        ("largest worker", memory.stop()),
    ):
        print(f"{name:<24} {peak:>12,.0f}")


if __name__ == "__main__":
    main()
