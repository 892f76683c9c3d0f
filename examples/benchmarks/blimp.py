"""Scores BLiMP's minimal pairs with both networks of presets.

    python examples/benchmarks/blimp.py --blimp blimp.tar.xz \
        --preset electra_tiny_en --output blimp.json

Of each pair one sentence is grammatical. The discriminator is right when its
log probability of "original", summed over tokens, is higher for that one; the
generator when its pseudo-log-likelihood is. Guessing gives 50. With several
presets each has its columns.
"""

import argparse
import json
import pathlib

from harness import blimp
from harness import sentence_scores

import keras_electra

NETWORKS = {
    "discriminator": (
        keras_electra.ElectraReplacedTokenDetector,
        sentence_scores.log_probability_of_original,
    ),
    "generator": (
        keras_electra.ElectraMaskedLM,
        sentence_scores.pseudo_log_likelihood,
    ),
}


def main():
    args = parse_arguments()
    pairs = blimp.read_pairs(args.blimp, args.limit)
    found = {}
    for preset in args.preset:
        for network in args.network:
            task_class, score = NETWORKS[network]
            scores = blimp.score_pairs(
                score, task_class.from_preset(preset), pairs
            )
            name = f"{pathlib.Path(preset).name}, {network}"
            found[name] = blimp.accuracies(pairs, scores)
    print(f"| {len(pairs):,} pairs | {' | '.join(found)} |")
    print("| --- |" + " --- |" * len(found))
    first = next(iter(found.values()))
    for phenomenon in first["phenomena"]:
        show(phenomenon, [of["phenomena"][phenomenon] for of in found.values()])
    show("mean of all sets", [of["overall"] for of in found.values()])
    if args.output:
        pathlib.Path(args.output).write_text(json.dumps(found, indent=1))


def show(name, values):
    print(f"| {name} | {' | '.join(f'{value:.1f}' for value in values)} |")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--blimp", required=True, help="archive or folder")
    parser.add_argument("--preset", nargs="+", default=["electra_tiny_en"])
    parser.add_argument(
        "--network", nargs="+", choices=NETWORKS, default=list(NETWORKS)
    )
    parser.add_argument("--limit", type=int, help="pairs of each set")
    parser.add_argument("--output", help="JSON file for all sets")
    return parser.parse_args()


if __name__ == "__main__":
    main()
