"""Trials for `electra_tiny_en`: which network learns most in a given time?

    KERAS_BACKEND=torch python examples/preset_training/tiny_preset_trials.py \
        "corpus/*/*-train-*.txt.xz" --run run --shapes 2x320 4x256 8x192

Every combination of shape, batch and learning rate starts as
`train_tiny_preset.py` does and trains for the same time as a masked language
model, its rate falling to zero at the end. The table gives the loss of held-out
masked tokens. Vocabulary and examples are those of `--run`, and are made if
they are missing.
"""

import argparse
import itertools
import json
import pathlib
import time

import initialization
import keras
import train_tiny_preset as recipe
from muon import short_run_optimizer

TINY = recipe.RECIPES["tiny"]
HEAD_DIM = 64  # at most
TIMED_STEPS = 8  # after as many that warm up


def main():
    args = parse_arguments()
    keras.config.set_dtype_policy(args.dtype)
    run = pathlib.Path(args.run)
    run.mkdir(parents=True, exist_ok=True)
    tokenizer = recipe.make_examples(args, run)
    counts = recipe.count_tokens(run, tokenizer.vocabulary_size())
    columns = "{:>8} {:>6} {:>8} {:>11} {:>7} {:>9} {:>9} {:>14}"
    print(
        columns.format(
            *("shape", "rows", "rate", "parameters", "steps", "tokens"),
            *("tokens/s", "held-out loss"),
        )
    )
    for shape, batch_size, rate in itertools.product(
        args.shapes, args.batch_sizes, args.rates
    ):
        found = trial(args, run, tokenizer, counts, shape, batch_size, rate)
        print(
            columns.format(
                shape,
                batch_size,
                f"{rate:.0e}",
                f"{found['parameters']:,}",
                f"{found['steps']:,}",
                f"{found['tokens'] / 1e6:.2f} M",
                f"{found['tokens_per_second']:,.0f}",
                f"{found['loss']:.3f}",
            ),
            flush=True,
        )
        with (run / "trials.jsonl").open("a") as file:
            file.write(json.dumps(found) + "\n")


def trial(args, run, tokenizer, counts, shape, batch_size, rate):
    """Trains one network for `args.seconds`."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(args.seed)
    backbone = recipe.build(sizes(shape), tokenizer)
    initialization.initialize_relative_positions(backbone, args.seed)
    model = recipe.masked_language_model(
        backbone, tokenizer, counts, TINY, args.seed
    )
    start = model.get_weights()
    model.compile(optimizer=short_run_optimizer(1_000, rate))
    seconds = seconds_per_step(model, recipe.load(run, "train", batch_size, 1))
    steps = max(1, round(args.seconds / seconds))
    model.set_weights(start)
    model.compile(optimizer=short_run_optimizer(steps, rate))
    data = recipe.load(run, "train", batch_size, args.seed)
    begin = time.perf_counter()
    model.fit(data, steps_per_epoch=steps, epochs=1, verbose=0)
    tokens = steps * batch_size * recipe.SEQUENCE_LENGTH
    spent = time.perf_counter() - begin
    held_out = model.evaluate(
        recipe.load(run, "validation", batch_size), verbose=0, return_dict=True
    )
    return {
        "shape": shape,
        "batch_size": batch_size,
        "learning_rate": rate,
        "parameters": backbone.count_params(),
        "steps": steps,
        "tokens": tokens,
        "tokens_per_second": tokens / spent,
        "loss": held_out["generator_loss"],
    }


def sizes(shape):
    num_layers, hidden_dim = map(int, shape.split("x"))
    return {
        "num_layers": num_layers,
        "num_heads": next(
            heads
            for heads in range(1, hidden_dim + 1)
            if hidden_dim % heads == 0 and hidden_dim // heads <= HEAD_DIM
        ),
        "hidden_dim": hidden_dim,
        "intermediate_dim": 4 * hidden_dim,
    }


def seconds_per_step(model, data):
    model.fit(data, steps_per_epoch=TIMED_STEPS, epochs=1, verbose=0)
    begin = time.perf_counter()
    model.fit(data, steps_per_epoch=TIMED_STEPS, epochs=1, verbose=0)
    return (time.perf_counter() - begin) / TIMED_STEPS


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("corpus", nargs="+", help="text files or patterns")
    parser.add_argument("--run", default="run", help="folder of the run")
    parser.add_argument("--shapes", nargs="+", default=["4x256"])
    parser.add_argument(
        "--batch-sizes", nargs="+", type=int, default=[TINY.batch_size]
    )
    parser.add_argument("--rates", nargs="+", type=float, default=[4e-3])
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument(
        "--vocabulary-size", type=int, default=TINY.vocabulary_size
    )
    parser.add_argument("--num-processes", type=int, default=2)
    parser.add_argument("--dtype", default="mixed_bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
