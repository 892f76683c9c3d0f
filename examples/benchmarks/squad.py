"""Fine-tunes a preset to answer questions about texts, from SQuAD's files.

    python examples/benchmarks/squad.py --train train-v2.0.json \
        --dev dev-v2.0.json --name squad2 --seeds 3

Exact match and F1 are those of the official scripts of versions 1.1 and 2.0;
with unanswerable questions they are at the best threshold. Every file of
`--dev` is scored on its own; answers are written as the scripts read them.
Every run leaves a JSON file in `--output`; the same command given again goes
on where it was stopped.
"""

import argparse
import pathlib
import sys

from harness import options
from harness.report import finish
from harness.runs import run_all
from harness.squad import SquadExperiment


def main():
    args = parse_arguments()
    output = pathlib.Path(args.output)
    experiment = SquadExperiment(
        args.name,
        args.preset,
        args.train,
        args.dev,
        options.from_arguments(args),
        head=args.head,
        predictions=output / "answers",
    )
    seeds = range(1, args.seeds + 1)
    runs = run_all(experiment, seeds, output, args.random_weights, sys.stderr)
    finish(runs, output, args.plot)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--train", nargs="+", required=True, help="files to train on")
    add("--dev", nargs="+", required=True, help="files to score on")
    add("--name", default="squad", help="of the task, in the results")
    add("--head", default="joint", help="joint or simple")
    options.add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
