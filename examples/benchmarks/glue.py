"""Fine-tunes a preset on tasks of GLUE, with several seeds.

    python examples/benchmarks/glue.py --task mrpc rte --data glue \
        --preset electra_tiny_en --seeds 3 --random-weights --plot

The folder of data has a folder for each task, as GLUE distributes them
(MRPC/train.tsv and so on; `.gz` may follow). Every run leaves a JSON file in
`--output`; the same command given again goes on where it was stopped.
`--compare-padding` shows what grouping by length is worth instead, and
`--bag-of-words` what a task yields without a network, in seconds.
"""

import argparse
import pathlib
import sys

from harness import options
from harness.bag_of_words import bag_of_words
from harness.bag_of_words import mean_of_tasks
from harness.glue import GlueExperiment
from harness.recipes import GLUE
from harness.recipes import glue_recipe
from harness.report import finish
from harness.runs import run_all
from harness.training import compare_padding


def main():
    args = parse_arguments()
    output = pathlib.Path(args.output)
    for task in args.task:
        glue_recipe(task)  # before an hour is spent on the task before it
    if args.bag_of_words:
        results = {
            task: bag_of_words(
                task, pathlib.Path(args.data), args.skip_bad_rows
            )
            for task in args.task
        }
        for task, metrics in results.items():
            print(task, *(f"{k} {v:.1f}" for k, v in metrics.items()))
        print(f"mean {mean_of_tasks(results):.1f}")
        return
    runs = []
    for task in args.task:
        experiment = GlueExperiment(
            task,
            args.preset,
            args.data,
            options.from_arguments(args),
            train_split=args.train_split,
            dev_splits=args.dev_splits,
            submissions=output / "submissions" if args.submissions else None,
        )
        if args.compare_padding:
            print(compare_padding(experiment))
        else:
            runs += run_all(
                experiment,
                range(1, args.seeds + 1),
                output,
                args.random_weights,
                sys.stderr,
            )
    if runs:
        finish(runs, output, args.plot)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--task", nargs="+", required=True, help=", ".join(GLUE))
    add("--data", default="glue", help="folder with a folder for each task")
    add("--train-split", default="train", help="file without its ending")
    add("--dev-splits", nargs="+", help="files without their ending")
    add("--submissions", action="store_true", help="answer the test sets")
    add("--compare-padding", action="store_true", help="measure the speed")
    add("--bag-of-words", action="store_true", help="run this rival")
    options.add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
