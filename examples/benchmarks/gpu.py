"""Times pre-training steps on one GPU, against transformers.

    python examples/benchmarks/gpu.py --sizes small base --lengths 128 512

Where a machine has no network, bring what it lacks as wheels. With a network:

    pip download --no-deps --only-binary=:all: --dest wheels \\
        keras keras-hub namex optree grain array-record

(for another Python or system with pip's `--python-version` and `--platform`),
and on that machine, in this repository:

    pip install --no-index --no-deps --target packages wheels/*.whl
    PYTHONPATH=packages:. python examples/benchmarks/gpu.py

transformers runs as fast as it can be made to: fixed shapes, the generator's
head on the masked positions only, both networks under `torch.compile`,
attention by `scaled_dot_product_attention`, fused AdamW, bfloat16. All
programs compile at the same time, each in a process of its own, then take
turns, so that a slower minute is one for all; the table has medians. A share is
of what matrix products reach on torch in the same run: `matmul` of the shapes
of the feed-forward blocks, `square` of 8,192 by 8,192. Before that each path is
tried once: torch under `torchrun` with NCCL, JAX, TensorFlow. It ends after
`--minutes` with what there is. Without a GPU all of it runs on the CPU.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import threading
import time

import speed_programs as programs

BACKENDS = {"transformers": "torch", "matrix product": "torch"}
LAYOUT = "{:<6} {:>6} {:<24} {:>10} {:>6} {:>7} {:>7} {:>8} {:>8}"
PATHS = {
    "torchrun": ["-m", "torch.distributed.run", "--standalone"]
    + ["--nproc-per-node", "1"],
    "torch": [],
    "jax": [],
    "tensorflow": [],
}


def main():
    args = parse_arguments()
    if args.worker:
        work(args)
        return
    end = time.monotonic() + 60 * args.minutes
    try_paths(args, end)
    jobs = [
        (size, length, name)
        for size in args.sizes
        for length in args.lengths
        for name in ["matrix product", *args.programs]
    ]
    workers = {job: start(job, args) for job in jobs}

    def stop():
        for worker in workers.values():
            worker.kill()  # whoever waits for its lines gets none

    timer = threading.Timer(end - time.monotonic(), stop)
    timer.start()
    for job, worker in workers.items():
        ready = worker.stdout.readline()
        print("ready:", *job, ready.strip() or "failed", flush=True)
    found = {job: [] for job in jobs}
    for _ in range(args.rounds):
        for job, worker in workers.items():
            if worker.poll() is None:
                try:
                    worker.stdin.write("go\n")
                    worker.stdin.flush()
                except BrokenPipeError:
                    continue
                line = worker.stdout.readline()
                if line:
                    found[job].append(json.loads(line))
    timer.cancel()
    stop()
    print_table(found, args)


def start(job, args, launcher=(), **kwargs):
    size, length, name = job
    backend = name.removeprefix("keras_electra ")
    return subprocess.Popen(
        [sys.executable, *launcher, __file__, "--worker", name]
        + ["--sizes", size, "--lengths", str(length)]
        + ["--tokens", str(args.tokens), "--steps", str(args.steps)]
        + ["--dropout", str(args.dropout)],
        env={
            **os.environ,
            "KERAS_BACKEND": BACKENDS.get(name, backend),
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        },
        stdout=subprocess.PIPE,
        text=True,
        **{"stdin": subprocess.PIPE, **kwargs},
    )


def try_paths(args, end):
    """One line for each of `args.paths`: the device, or what went wrong."""
    runs = {}
    for path in args.paths:
        name = "torch" if path == "torchrun" else path
        if importlib.util.find_spec(name) is None:
            print(f"path {path}: {name} is not installed", flush=True)
            continue
        job = args.sizes[0], args.lengths[0], f"keras_electra {name}"
        ends = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        runs[path] = start(job, args, PATHS[path], **ends)
    for path, process in runs.items():
        try:
            left = min(args.path_minutes * 60, end - time.monotonic())
            out, errors = process.communicate(timeout=max(left, 1))
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate()
            errors += f"\nnothing after {left:.0f} s"
        lines = (errors if process.returncode else out).splitlines()
        word = "fails" if process.returncode else "works"
        # What `torchrun` says after an error is not what the error was.
        last = [x for x in lines if "Error: " in x] or lines
        last = [line.strip() for line in last if line.strip()][-1:]
        print(f"path {path}: {word},", *last, flush=True)


def print_table(found, args):
    print(f"{args.tokens:,} tokens a step, dropout {args.dropout}, bfloat16")
    print(
        LAYOUT.format(
            *("size", "length", "", "tokens/s", "ratio", "matmul"),
            *("square", "peak MB", "first s"),
        )
    )
    for (size, length, name), results in found.items():
        if not results or name == "matrix product":
            continue
        product = found[size, length, "matrix product"]
        peer = found.get((size, length, "transformers"))
        rate = args.tokens / median(results)
        ratio = f"{median(peer) / median(results):.2f}" if peer else ""
        shares = "", ""
        if product:
            needed = rate * product[0]["needed"]
            flops = product[0]["flops"] / median(product)
            square = statistics.median(p["square"] for p in product)
            shares = (f"{needed / f:.0%}" for f in (flops, square))
        peak, first = results[-1]["peak_mb"], results[0]["first_s"]
        print(
            LAYOUT.format(
                *(size, length, name, f"{rate:,.0f}", ratio, *shares),
                *(f"{peak:,.0f}", f"{first:.0f}"),
            )
        )


def median(results):
    return statistics.median(result["seconds"] for result in results)


def work(args):
    """Compiles, says so, and times its steps whenever it is told to."""
    size, length = args.sizes[0], args.lengths[0]
    makers = {
        "transformers": programs.transformers,
        "matrix product": programs.product,
    }
    make = makers.get(args.worker, programs.ours)
    from keras_electra.backend import peak_memory  # of the device, if any

    begin = time.perf_counter()
    run, extra = make(size, length, args)
    run(args.steps)
    first = time.perf_counter() - begin
    print(f"{first:.0f} s on {programs.place_of(args.worker)}", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        run(args.steps)
        seconds = (time.perf_counter() - begin) / args.steps
        peak = (peak_memory() or 0) / 2**20
        result = {"seconds": seconds, "first_s": first, "peak_mb": peak}
        found = {name: x() if callable(x) else x for name, x in extra.items()}
        print(json.dumps({**result, **found}), flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--sizes", nargs="+", default=["small", "base"])
    parser.add_argument("--lengths", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--tokens", type=int, default=32_768, help="a step")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument(
        "--programs",
        nargs="+",
        default=["keras_electra torch", "keras_electra jax", "transformers"],
        help="transformers or keras_electra with a backend",
    )
    parser.add_argument("--steps", type=int, default=10, help="timed at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--paths", nargs="*", choices=PATHS, default=[*PATHS])
    parser.add_argument("--path-minutes", type=float, default=2)
    parser.add_argument("--minutes", type=float, default=8.5, help="in all")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
