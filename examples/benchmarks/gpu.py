"""Times pre-training steps on one GPU, against transformers.

    python examples/benchmarks/gpu.py --sizes small base --lengths 128 512

transformers runs as fast as it can be made to: fixed shapes, the generator's
head on the masked positions only, both networks under `torch.compile`,
attention by `scaled_dot_product_attention`, fused AdamW, bfloat16. All
programs compile at the same time, each in a process of its own, then take
turns, so that a slower minute is one for all; the table has medians. The share
of the matrix product compares with products of the shapes of the feed-forward
blocks, on torch, in the same run. Without a GPU all of it runs on the CPU.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import speed_programs as programs

BACKENDS = {"transformers": "torch", "matrix product": "torch"}
LAYOUT = "{:<6} {:>6} {:<22} {:>10} {:>6} {:>7} {:>8} {:>8}"


def main():
    args = parse_arguments()
    if args.worker:
        work(args)
        return
    jobs = [
        (size, length, name)
        for size in args.sizes
        for length in args.lengths
        for name in ["matrix product", *args.programs]
    ]
    workers = {job: start(job, args) for job in jobs}
    for job, worker in workers.items():
        ready = worker.stdout.readline()
        print("ready:", *job, ready.strip() or "failed", flush=True)
    found = {job: [] for job in jobs}
    for _ in range(args.rounds):
        for job, worker in workers.items():
            if worker.poll() is None:
                worker.stdin.write("go\n")
                worker.stdin.flush()
                line = worker.stdout.readline()
                if line:
                    found[job].append(json.loads(line))
    for worker in workers.values():
        worker.kill()
    print_table(found, args)


def start(job, args):
    size, length, name = job
    backend = name.removeprefix("keras_electra ")
    return subprocess.Popen(
        [sys.executable, __file__, "--worker", name]
        + ["--sizes", size, "--lengths", str(length)]
        + ["--tokens", str(args.tokens), "--steps", str(args.steps)]
        + ["--dropout", str(args.dropout)],
        env={
            **os.environ,
            "KERAS_BACKEND": BACKENDS.get(name, backend),
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def print_table(found, args):
    print(f"{args.tokens:,} tokens a step, dropout {args.dropout}, bfloat16")
    print(
        LAYOUT.format(
            *("size", "length", "", "tokens/s", "ratio", "matmul"),
            *("peak MB", "first s"),
        )
    )
    for (size, length, name), results in found.items():
        if not results or name == "matrix product":
            continue
        product = found[size, length, "matrix product"]
        peer = found.get((size, length, "transformers"))
        rate = args.tokens / median(results)
        ratio = f"{median(peer) / median(results):.2f}" if peer else ""
        share = ""
        if product:
            needed = rate * product[0]["needed"]
            flops = product[0]["flops"] / median(product)
            share = f"{needed / flops:.0%}"
        peak, first = results[-1]["peak_mb"], results[0]["first_s"]
        print(
            LAYOUT.format(
                *(size, length, name, f"{rate:,.0f}", ratio, share),
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
    begin = time.perf_counter()
    run, extra = make(size, length, args)
    run(args.steps)
    first = time.perf_counter() - begin
    print(f"{first:.0f} s", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        run(args.steps)
        seconds = (time.perf_counter() - begin) / args.steps
        result = {"seconds": seconds, "first_s": first, "peak_mb": peak_mb()}
        print(json.dumps({**result, **extra}), flush=True)


def peak_mb():
    if "jax" in sys.modules and os.environ["KERAS_BACKEND"] == "jax":
        import jax

        stats = jax.devices()[0].memory_stats() or {}
        return stats.get("peak_bytes_in_use", 0) / 2**20
    import torch

    return torch.cuda.max_memory_allocated() / 2**20


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
        default=["keras_electra jax", "transformers"],
        help="transformers or keras_electra with a backend",
    )
    parser.add_argument("--steps", type=int, default=10, help="timed at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
