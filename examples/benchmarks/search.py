"""Searches the hyper-parameters of a task of GLUE, on a grid or at random.

    python examples/benchmarks/search.py --task mrpc --data glue \
        --sampler random --trials 12 --seeds 2

By Optuna, which is kept better than KerasTuner (see
`harness/search.py`). The same command given again goes on where it was
stopped; with more `--trials` it tries more.
"""

import argparse
import json
import pathlib
import sys

from harness import options
from harness.glue import GlueExperiment
from harness.search import SAMPLERS
from harness.search import SPACE
from harness.search import results_table
from harness.search import search


def main():
    args = parse_arguments()
    experiment = GlueExperiment(
        args.task,
        args.preset,
        args.data,
        options.Options(
            limit=args.limit,
            jit_compile=False if args.no_jit else "auto",
            stream=sys.stderr,
            skip_bad_rows=args.skip_bad_rows,
        ),
        train_split=args.train_split,
        dev_splits=args.dev_splits,
    )
    found = search(
        experiment,
        args.output,
        {
            "learning_rate": args.learning_rates,
            "layer_decay": args.layer_decays,
            "epochs": args.epochs,
            "batch_size": args.batch_sizes,
        },
        args.sampler,
        args.trials,
        range(1, args.seeds + 1),
        sys.stderr,
    )
    path = pathlib.Path(args.output) / f"{args.task}-{args.sampler}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(results_table(found, experiment.main_metric))
    draw(found, experiment.main_metric, path.with_suffix(".png"))
    print(f"\nAll results are in {args.output}.")


def draw(found, metric, path):
    """Draws the score of each trial over each setting, the best in red."""
    from matplotlib.figure import Figure

    found = [pair for pair in found if pair[0] is not None]
    names = list(found[0][1]) if found else ["no trial ended"]
    figure = Figure(figsize=(3 * len(names), 3), layout="constrained")
    all_axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for name, axes in zip(names, all_axes):
        values = [settings[name] for _, settings in found]
        scores = [score for score, _ in found]
        axes.scatter(values, scores, color="grey")
        axes.scatter(values[:1], scores[:1], color="red")
        axes.set_xlabel(name)
        if name == "learning_rate":
            axes.set_xscale("log")
    all_axes[0].set_ylabel(metric)
    figure.savefig(path)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--task", required=True)
    add("--data", default="glue", help="folder with a folder for each task")
    add("--preset", default="electra_tiny_en", help="name or path")
    add("--sampler", default="grid", choices=SAMPLERS)
    add("--trials", type=int, default=20, help="combinations to try")
    add("--seeds", type=int, default=1, help="runs of each combination")
    for flag, name, kind in (
        ("--learning-rates", "learning_rate", float),
        ("--layer-decays", "layer_decay", float),
        ("--epochs", "epochs", int),
        ("--batch-sizes", "batch_size", int),
    ):
        add(flag, nargs="+", type=kind, default=SPACE[name])
    add("--train-split", default="train", help="file without its ending")
    add("--dev-splits", nargs="+", help="files without their ending")
    add("--limit", type=int, help="train on the first examples only")
    add("--skip-bad-rows", action="store_true", help="go on without them")
    add("--no-jit", action="store_true", help="do not compile with XLA")
    add("--output", default="search", help="folder for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
