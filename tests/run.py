"""Runs all tests on the three backends, one after the other.

    python tests/run.py [backend ...] [-- arguments of pytest]

Each backend gets a process of its own. All run even if one fails; the last
line adds up what they report.
"""

import os
import pathlib
import re
import subprocess
import sys
import time

BACKENDS = ("tensorflow", "torch", "jax")
ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    backends, extra = arguments[:split] or BACKENDS, arguments[split + 1 :]
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    broken = False
    for backend in backends:
        start = time.perf_counter()
        print(f"== {backend}", flush=True)
        code, counts = run(backend, extra)
        broken |= code != 0
        for name in totals:
            totals[name] += counts.get(name, 0)
        # An error while a test is set up or collected is a failure.
        totals["failed"] += counts.get("error", 0) + counts.get("errors", 0)
        if code and not set(counts) & {"failed", "error", "errors"}:
            totals["failed"] += 1
        print(f"== {backend}: {time.perf_counter() - start:.0f} s", flush=True)
    print(
        f"{totals['passed']} passed, {totals['failed']} failed, "
        f"{totals['skipped']} skipped"
    )
    return 1 if broken else 0


def run(backend, extra):
    """Runs pytest on a backend.

    Returns:
        Its exit code, and the counts of its last line as a dict.
    """
    command = [sys.executable, "-m", "pytest", "-q", *extra]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line if line.strip() else last
    counts = {name: int(n) for n, name in re.findall(r"(\d+) (\w+)", last)}
    return process.wait(), counts


if __name__ == "__main__":
    sys.exit(main())
