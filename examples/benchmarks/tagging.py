"""Fine-tunes a preset to label words, from any CoNLL-style files.

    python examples/benchmarks/tagging.py --train conll2000/train.txt.gz \
        --dev conll2000/test.txt.gz --name conll2000 --random-weights

A word a line, its label in the last column, an empty line after a sentence.
Labels such as `B-NP` are scored by chunk F1 as conlleval counts it, others by
accuracy. Every run leaves a JSON file in `--output`; the same command given
again goes on where it was stopped.
"""

import argparse
import pathlib
import sys

from harness import options
from harness.report import finish
from harness.runs import run_all
from harness.tagging import TaggingExperiment


def main():
    args = parse_arguments()
    output = pathlib.Path(args.output)
    experiment = TaggingExperiment(
        args.name,
        args.preset,
        args.train,
        args.dev,
        options.from_arguments(args),
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
    add("--train", required=True, help="file to train on")
    add("--dev", required=True, help="file to score on")
    add("--name", default="tagging", help="of the task, in the results")
    options.add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
