"""Times pre-training steps on one GPU, against transformers.

    python examples/benchmark_gpu.py --sizes small base --lengths 128 512

transformers runs as fast as it can be made to: fixed shapes, the generator's
head on the masked positions only, both networks under `torch.compile`,
attention by `scaled_dot_product_attention`, fused AdamW, bfloat16. All
programs compile at the same time, each in a process of its own, then take
turns, so that a slower minute is one for all; the table has medians. The share
of the matrix product compares with products of the shapes of the feed-forward
blocks, on torch, in the same run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

VOCABULARY = 30522
CLS, SEP, MASK = 101, 102, 103
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


def flops_per_token(size, length):
    """Multiplications and additions of a step, forward and backward."""
    from keras_electra.model.sizes import get_size

    size = get_size(size)
    total = 0
    for network in (size.discriminator(), size.generator()):
        width, layers = network["hidden_dim"], network["num_layers"]
        products = 4 * width**2 + 2 * width * network["intermediate_dim"]
        total += layers * 6 * (products + 2 * length * width)
    return total + 0.15 * 6 * size.embedding_dim * VOCABULARY


def work(args):
    """Compiles, says so, and times its steps whenever it is told to."""
    size, length = args.sizes[0], args.lengths[0]
    make = {"transformers": transformers, "matrix product": product}.get(
        args.worker, ours
    )
    begin = time.perf_counter()
    run, extra = make(size, length, args)
    run(3)
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

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20
    import torch

    return torch.cuda.max_memory_allocated() / 2**20


def make_ids(length, args):
    import numpy as np

    random = np.random.default_rng(0)
    shape = (args.tokens // length, length)
    ids = random.integers(1000, 30000, shape).astype("int32")
    ids[:, 0], ids[:, -1] = CLS, SEP
    return ids


def ours(size, length, args):
    """`fit` of this package, as users run it."""
    import keras
    import numpy as np

    import keras_electra

    keras.config.set_dtype_policy("mixed_bfloat16")
    pretrainer = keras_electra.ElectraPretrainer.from_size(
        size,
        vocabulary_size=VOCABULARY,
        sequence_length=length,
        dropout=args.dropout,
        mask_token_id=MASK,
        unselectable_token_ids=[0, CLS, SEP, MASK],
    )
    pretrainer.compile(
        optimizer=keras_electra.pretraining_optimizer(size, num_steps=10_000),
        steps_per_execution=args.steps,
    )
    ids = make_ids(length, args)
    x = {
        "token_ids": ids,
        "segment_ids": np.zeros_like(ids),
        "padding_mask": np.ones_like(ids),
    }

    def run(steps):
        pretrainer.fit(
            x, batch_size=len(ids), steps_per_epoch=steps, epochs=1, verbose=0
        )

    return run, {}


def transformers(size, length, args):
    import torch
    import torch.nn.functional as F
    from transformers import ElectraConfig
    from transformers import ElectraForMaskedLM
    from transformers import ElectraForPreTraining

    from keras_electra.model.sizes import get_size

    def config(network):
        return ElectraConfig(
            vocab_size=VOCABULARY,
            embedding_size=network["embedding_dim"],
            hidden_size=network["hidden_dim"],
            num_hidden_layers=network["num_layers"],
            num_attention_heads=network["num_heads"],
            intermediate_size=network["intermediate_dim"],
            max_position_embeddings=512,
            hidden_dropout_prob=args.dropout,
            attention_probs_dropout_prob=args.dropout,
            attn_implementation="sdpa",
        )

    torch.set_float32_matmul_precision("high")
    size = get_size(size)
    generator = ElectraForMaskedLM(config(size.generator())).cuda()
    discriminator = ElectraForPreTraining(config(size.discriminator())).cuda()
    discriminator.electra.embeddings = generator.electra.embeddings
    generator.generator_lm_head.weight = (
        generator.electra.embeddings.word_embeddings.weight
    )
    parameters = list(
        {
            id(p): p
            for p in [*generator.parameters(), *discriminator.parameters()]
        }.values()
    )
    optimizer = torch.optim.AdamW(parameters, 1e-4, fused=True)
    ids = torch.tensor(make_ids(length, args)).long().cuda()
    count = max(1, int(0.155 * length))

    def compute_loss():
        special = (ids == CLS) | (ids == SEP)
        draw = torch.rand(ids.shape, device="cuda").masked_fill(special, -1.0)
        places = draw.topk(count, dim=1).indices
        target = ids.gather(1, places)
        x = generator.electra(ids.scatter(1, places, MASK)).last_hidden_state
        x = x.gather(1, places[..., None].expand(-1, -1, x.shape[-1]))
        x = generator.generator_predictions(x)
        logits = generator.generator_lm_head(x).float()
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten())
        with torch.no_grad():
            noise = torch.empty_like(logits).exponential_().clamp_min(1e-9)
            drawn = (logits - noise.log()).argmax(-1)
            corrupted = ids.scatter(1, places, drawn)
            replaced = (corrupted != ids).float()
        logits = discriminator(corrupted).logits.float()
        return loss + 50 * F.binary_cross_entropy_with_logits(logits, replaced)

    compute_loss = torch.compile(compute_loss)

    def run(steps):
        for _ in range(steps):
            with torch.autocast("cuda", torch.bfloat16):
                loss = compute_loss()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        torch.cuda.synchronize()

    return run, {}


def product(size, length, args):
    import torch

    from keras_electra.model.sizes import get_size

    size = get_size(size)
    kwargs = {"device": "cuda", "dtype": torch.bfloat16}
    x = torch.randn(args.tokens, size.hidden_dim, **kwargs)
    up = torch.randn(size.hidden_dim, size.intermediate_dim, **kwargs)
    down = torch.randn(size.intermediate_dim, size.hidden_dim, **kwargs)
    repeats = 20

    def run(steps):
        for _ in range(steps * repeats):
            (x @ up) @ down
        torch.cuda.synchronize()

    flops = 4 * args.tokens * size.hidden_dim * size.intermediate_dim
    return run, {
        "flops": flops * repeats,
        "needed": flops_per_token(args.sizes[0], length),
    }


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
