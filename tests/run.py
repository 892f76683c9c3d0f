"""Runs all tests on the three backends, two of them at a time.

    python tests/run.py [backend ...] [-- arguments of pytest]

Each backend gets a process of its own. Most of what they do, tracing and
compiling, occupies one core, so two run side by side where there are two
cores. All run even if one fails; the last line adds up what they report.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

BACKENDS = ("jax", "tensorflow", "torch")  # the longest first
ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    backends, extra = arguments[:split] or BACKENDS, arguments[split + 1 :]
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    broken = False
    workers = min(2, os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        results = pool.map(lambda backend: run(backend, extra), backends)
        for code, counts in results:
            broken |= code != 0
            for name in totals:
                totals[name] += counts.get(name, 0)
            # An error while a test is set up or collected is a failure.
            errors = counts.get("error", 0) + counts.get("errors", 0)
            totals["failed"] += errors
            if code and not errors and not counts.get("failed"):
                totals["failed"] += 1
    print(
        f"{totals['passed']} passed, {totals['failed']} failed, "
        f"{totals['skipped']} skipped"
    )
    return 1 if broken else 0


def run(backend, extra):
    """Runs pytest on a backend; its output is passed on line by line.

    Returns:
        Its exit code, and the counts of its last line as a dict.
    """
    start = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", *extra]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    last = ""
    for line in process.stdout:
        print(f"{backend:<10} | {line}", end="", flush=True)
        last = line if line.strip() else last
    code = process.wait()
    seconds = time.perf_counter() - start
    print(f"{backend:<10} | {seconds:.0f} s, exit code {code}", flush=True)
    counts = {name: int(n) for n, name in re.findall(r"(\d+) (\w+)", last)}
    return code, counts


if __name__ == "__main__":
    sys.exit(main())
