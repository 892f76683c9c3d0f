"""Times a pre-training step, alone or in turns with other programs.

    python examples/benchmarks/speed.py --backends torch jax tensorflow
    python examples/benchmarks/speed.py --dtypes bfloat16 --against peers.py \
        --peers hf hf-best kerashub
    python examples/benchmarks/speed.py --backends torch --profile

Every measurement is a process of its own, and all take turns in every round,
so that a machine that is slower for a while is so for all; the table has
medians. `--against` is any program that takes `--peer --size --batch --seq
--dtype --dropout --steps` (and `--ragged`) and prints one line of JSON with
`median_step_s`, `first_step_s` and `tokens_per_s`. The share of the matrix
product compares with a product of the shapes of the network, on torch, in the
same round.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import kernels

LAYOUT = "{:<26} {:>8} {:>9} {:>7} {:>8} {:>9} {:>8}"
VOCABULARY = 30522  # of the published models
SPECIAL = {"pad": 0, "cls": 101, "sep": 102, "mask": 103}
MATMUL = ("matrix product", "torch")


def main():
    args = parse_arguments()
    if args.worker:
        work(args)
        return
    contenders = list_contenders(args)
    results = {contender: [] for contender in contenders}
    for number in range(args.rounds):
        for contender in contenders:
            print(f"round {number + 1}: {' '.join(contender)}", flush=True)
            result = run(contender, args)
            if result:
                results[contender].append(result)
    print_table(results, args)


def list_contenders(args):
    """`(name, backend, dtype)` of all that take part."""
    found = []
    for dtype in args.dtypes:
        found.append((*MATMUL, dtype))
        names = ["keras_electra", *(f"without {n}" for n in args.without)]
        found += [(n, b, dtype) for b in args.backends for n in names]
        for peer in args.peers if args.against else []:
            backends = args.backends if peer == "kerashub" else ["torch"]
            found += [(peer, backend, dtype) for backend in backends]
    return found


def run(contender, args):
    """One measurement in a process of its own.

    Returns:
        A dict with `tokens_per_s`, `first_step_s`, `peak_mb`, or `None` if
        the program failed, which is reported.
    """
    name, backend, dtype = contender
    ours = name in ("keras_electra", MATMUL[0]) or name.startswith("without ")
    command = [sys.executable, __file__ if ours else args.against]
    command += ["--worker", name] if ours else ["--peer", name]
    for option in ("size", "batch", "seq", "dropout", "steps"):
        command += [f"--{option}", str(getattr(args, option))]
    command += ["--dtypes" if ours else "--dtype", dtype]
    command += ["--ragged"] * args.ragged
    command += ["--rematerialize"] * (args.rematerialize and ours)
    command += ["--profile"] * (args.profile and ours)
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            env={**os.environ, "KERAS_BACKEND": backend},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        lines = [line for line in output.splitlines() if line[:1] == "{"]
        if process.returncode or not lines:
            reason = (errors.read() + output).strip().splitlines()[-1:]
            print(f"  failed: {''.join(reason) or process.returncode}")
            return None
    if args.profile:
        print(output)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, else kB
    return {**json.loads(lines[-1]), "peak_mb": usage.ru_maxrss / unit}


def print_table(results, args):
    print(
        f"\n{args.size}, {args.batch} rows of {args.seq} tokens"
        f"{', a quarter to all of them in use' if args.ragged else ''}, "
        f"dropout {args.dropout}: medians of {args.rounds} rounds"
    )
    head = ("", "dtype", "tokens/s", "ratio", "matmul", "MB", "first s")
    print(LAYOUT.format(*head))
    for dtype in args.dtypes:
        rows = {c: r for c, r in results.items() if c[2] == dtype and r}
        product = rows.pop((*MATMUL, dtype), None)
        rates = {c: median(r, "tokens_per_s") for c, r in rows.items()}
        peers = [rate for c, rate in rates.items() if c[0] in args.peers]
        best = max(peers, default=None)
        for contender, rate in rates.items():
            name, backend, _ = contender
            share = ""
            if product:
                needed = rate * flops_per_token(args)
                share = f"{needed / median(product, 'flops'):.0%}"
            measured = rows[contender]
            print(
                LAYOUT.format(
                    f"{name} ({backend})",
                    dtype,
                    f"{rate:,.0f}",
                    f"{rate / best:.2f}" if best else "",
                    share,
                    f"{median(measured, 'peak_mb'):,.0f}",
                    f"{median(measured, 'first_step_s'):.1f}",
                )
            )
        if product:
            print(f"matrix product, {dtype}: {median(product, 'flops'):.3g}/s")
    print("ratio: to the best other program in that precision.")


def median(results, key):
    return statistics.median(result[key] for result in results)


def flops_per_token(args):
    """Multiplications and additions of a step, forward and backward."""
    from keras_electra.model.sizes import get_size

    size, positions = get_size(args.size), int(0.155 * args.seq)
    total = 0
    for network in (size.discriminator(), size.generator()):
        width, inner = network["hidden_dim"], network["intermediate_dim"]
        layer = 4 * width**2 + 2 * width * inner + 2 * args.seq * width
        total += network["num_layers"] * layer
        total += network["embedding_dim"] * width
    vocabulary = VOCABULARY * size.embedding_dim * positions / args.seq
    return 6 * (total + vocabulary)


def work(args):
    """What the process of one measurement does."""
    dtype = args.dtypes[0]
    if args.worker == MATMUL[0]:
        print(json.dumps(time_product(args, dtype)))
        return
    import keras

    import keras_electra

    if args.worker.startswith("without "):
        kernels.remove(args.worker.removeprefix("without "))
    policy = dtype if dtype == "float32" else f"mixed_{dtype}"
    keras.config.set_dtype_policy(policy)
    # For activations that are computed twice instead of kept.
    scope = contextlib.nullcontext()
    if args.rematerialize:
        names = [f"transformer_layer_{i}" for i in range(24)]
        scope = keras.RematScope("list_of_layers", layer_names=names)
    with scope:
        pretrainer = keras_electra.ElectraPretrainer.from_size(
            args.size,
            vocabulary_size=VOCABULARY,
            mask_token_id=SPECIAL["mask"],
            unselectable_token_ids=list(SPECIAL.values()),
            dropout=args.dropout,
            seed=0,
        )
    x, num_tokens = make_batch(args)
    seconds = time_steps(lambda: pretrainer.train_on_batch(x), args.steps)
    step = statistics.median(seconds[2:])
    result = {
        "tokens_per_s": num_tokens / step,
        "median_step_s": step,
        "first_step_s": seconds[0],
    }
    if args.profile:
        profile(lambda: pretrainer.train_on_batch(x))
    print(json.dumps(result))


def make_batch(args):
    """Random ids in full rows, or with `--ragged` in rows of many lengths."""
    import numpy as np

    random = np.random.default_rng(0)
    ids = random.integers(1000, 30000, (args.batch, args.seq)).astype("int32")
    ids[:, 0], ids[:, -1] = SPECIAL["cls"], SPECIAL["sep"]
    lengths = np.full(args.batch, args.seq)
    if args.ragged:
        lengths = np.linspace(args.seq // 4, args.seq, args.batch).astype(int)
    mask = (np.arange(args.seq) < lengths[:, None]).astype("int32")
    x = {
        "token_ids": ids * mask,
        "segment_ids": np.zeros_like(ids),
        "padding_mask": mask,
    }
    return x, int(mask.sum())


def time_steps(step, count):
    """Seconds of each step; the first ones compile."""
    seconds = []
    for _ in range(count + 2):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds


def time_product(args, dtype):
    """Operations per second of the widest product of the network."""
    import torch

    from keras_electra.model.sizes import get_size

    size, rows = get_size(args.size), args.batch * args.seq
    dtype = getattr(torch, dtype)
    a = torch.randn(rows, size.hidden_dim).to(dtype)
    b = torch.randn(size.hidden_dim, size.intermediate_dim).to(dtype)
    seconds = statistics.median(time_steps(lambda: a @ b, 30)[5:])
    flops = 2 * rows * size.hidden_dim * size.intermediate_dim / seconds
    return {"flops": flops, "first_step_s": 0, "tokens_per_s": 0}


def profile(step):
    """Prints where the time of a step goes; on torch by operation."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        with torch.profiler.profile() as profiler:
            step()
        averages = profiler.key_averages()
        print(averages.table(sort_by="self_cpu_time_total", row_limit=25))
        return
    folder = f"profile_{keras.backend.backend()}"
    if keras.backend.backend() == "jax":
        import jax

        with jax.profiler.trace(folder):
            step()
    else:
        import tensorflow as tf

        tf.profiler.experimental.start(folder)
        step()
        tf.profiler.experimental.stop()
    print(f"TensorBoard shows what is in the folder {folder}.")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--size", default="small")
    parser.add_argument("--batch", type=int, default=32, help="rows")
    parser.add_argument("--seq", type=int, default=128, help="tokens a row")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--ragged", action="store_true", help="with padding")
    parser.add_argument(
        "--backends", nargs="+", default=["torch", "jax", "tensorflow"]
    )
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument(
        "--without",
        nargs="*",
        choices=kernels.PIECES,
        default=[],
        help="also time without these pieces",
    )
    parser.add_argument("--against", metavar="PROGRAM")
    parser.add_argument(
        "--peers",
        nargs="+",
        default=["hf", "hf-masked", "hf-best", "lucidrains", "kerashub"],
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="timed, a round")
    parser.add_argument(
        "--rematerialize",
        action="store_true",
        help="layers of ours, for memory",
    )
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
