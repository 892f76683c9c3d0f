"""Shows the results of all fine-tuning examples in one table.

    python examples/benchmarks/report.py finetuning

The folder is what they were given as `--output`. Pre-trained and random
weights stand side by side: the mean over the seeds with its 95 % confidence
interval, and the median.
"""

import argparse

from harness.report import comparison
from harness.runs import read_runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder of results")
    runs = read_runs(parser.parse_args().folder)
    if not runs:
        raise SystemExit("There are no results in this folder.")
    print(comparison(runs))


if __name__ == "__main__":
    main()
