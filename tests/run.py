"""Runs all tests on the three backends, two folders of them at a time.

    python tests/run.py [backend ...] [-- arguments of pytest]

What differs between backends runs on each, the rest once. A folder has a
process of its own; most of what it does, tracing and compiling, occupies one
core, so two run side by side. All run even if one fails; the last line adds up
the counts.
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
# What gives the same on every backend, or starts programs that are long.
ONCE = (
    "benchmarks",
    "preset_training",
    "text",
    "conversion/test_arguments.py",
    "conversion/test_convert_checkpoint.py",
    "conversion/test_detect.py",
    "conversion/test_loading.py",
    "conversion/test_sentence_transformers.py",
    "conversion/test_tensor_files.py",
    "conversion/test_tokenizer_files.py",
    "test_damage.py",
    "test_package.py",
    "test_wheel.py",
    "test_readme.py",
    "test_command_line.py",
    "test_notebooks.py",
    "test_predict_many.py",
)


def main():
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    backends, extra = arguments[:split] or BACKENDS, arguments[split + 1 :]
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    broken, start = False, time.perf_counter()
    workers = min(2, os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for code, counts in pool.map(
            lambda job: run(*job, extra), jobs(backends)
        ):
            # A folder of which `extra` selects nothing has the exit code 5.
            broken |= code not in (0, 5)
            for name in totals:
                totals[name] += counts.get(name, 0)
            # An error while a test is set up or collected is a failure.
            errors = counts.get("error", 0) + counts.get("errors", 0)
            totals["failed"] += errors
            if code not in (0, 5) and not errors and not counts.get("failed"):
                totals["failed"] += 1
    print(f"{time.perf_counter() - start:.0f} s")
    print(
        f"{totals['passed']} passed, {totals['failed']} failed, "
        f"{totals['skipped']} skipped"
    )
    return 1 if broken else 0


def jobs(backends):
    """A backend, what runs in one process and what not; no long one is last."""
    folders, files = [], []
    for path in sorted((ROOT / "tests").iterdir()):
        if path.is_dir() and any(path.glob("test_*.py")):
            folders.append(path.name)
        elif path.match("test_*.py"):
            files.append(path.name)
    found = []
    for backend in backends[::-1]:
        skipped = () if backend == backends[-1] else ONCE
        found.append((backend, [n for n in files if n not in skipped], ()))
    for name in folders:
        for backend in backends[-1:] if name in ONCE else backends:
            skipped = () if backend == backends[-1] else ONCE
            skipped = [n for n in skipped if n.startswith(f"{name}/")]
            found.append((backend, [name], skipped))
    return found


def run(backend, names, skipped, extra):
    """Runs pytest on a backend; its output is printed when it has ended.

    Returns:
        Its exit code, and the counts of its last line as a dict.
    """
    start = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "--no-header", *extra]
    command += [f"--ignore=tests/{name}" for name in skipped]
    process = subprocess.run(
        [*command, *(f"tests/{name}" for name in names)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = [line for line in process.stdout.splitlines() if line.strip()]
    seconds = time.perf_counter() - start
    title = names[0] if len(names) == 1 else "tests/*.py"
    print(f"\n{backend}: {title}, {seconds:.0f} s")
    print("\n".join(lines), flush=True)
    last = lines[-1] if lines else ""
    counts = {name: int(n) for n, name in re.findall(r"(\d+) (\w+)", last)}
    return process.returncode, counts


if __name__ == "__main__":
    sys.exit(main())
