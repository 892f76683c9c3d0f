"""Deletion curves: does the order of the words that `explain` gives matter?

    python examples/benchmarks/deletion.py --data data/glue/SST-2

Words of development sentences are deleted, those that contribute most to the
predicted label first, and in random order. The faster the probability of that
label falls, the more the order says. A classifier is fine-tuned for it, or
opened from `--classifier`.
"""

import argparse

import keras
import numpy as np
from harness.glue_data import read_glue
from harness.recipes import GLUE

import keras_electra

METHODS = ("integrated_gradients", "leave_out", "random")
SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7)


def main():
    args = parse_arguments()
    keras.utils.set_random_seed(args.seed)
    recipe = GLUE["sst2"]
    if args.classifier:
        cls = keras_electra.ElectraTextClassifier
        classifier = cls.from_preset(args.classifier)
    else:
        train = read_glue(args.data, recipe, "train").first(args.train)
        classifier = keras_electra.ElectraTextClassifier.from_preset(
            args.preset, labels=recipe.labels, sequence_length=128
        )
        steps = 3 * -(-len(train) // 32)
        classifier.compile(
            keras_electra.finetuning_optimizer(
                classifier.backbone, steps, learning_rate=1e-3
            )
        )
        classifier.fit(train.x, train.labels, epochs=3, verbose=0)
    texts = read_glue(args.data, recipe, "dev").x
    texts = [text for text in texts if len(text.split()) >= 10][: args.texts]
    labels = [pairs[0][0] for pairs in classifier.classify(texts)]
    print(f"Mean probability of the label of {len(texts)} sentences; kept it:")
    print("| words deleted |", *(f"{s:.0%} |" for s in SHARES))
    print("| --- |" + " --- |" * len(SHARES))
    generator = np.random.default_rng(args.seed)
    for method in METHODS:
        orders = [
            order_of(classifier, text, method, generator) for text in texts
        ]
        cells = []
        for share in SHARES:
            found = classifier.classify(
                [delete(*order, share) for order in orders]
            )
            p = [dict(pairs)[label] for pairs, label in zip(found, labels)]
            kept = [pairs[0][0] == lab for pairs, lab in zip(found, labels)]
            cells.append(f"{np.mean(p):.3f}; {np.mean(kept):.0%}")
        print(f"| {method} |", " | ".join(cells), "|", flush=True)


def order_of(classifier, text, method, generator):
    """Words of a text, and their numbers in the order of deletion."""
    if method == "random":
        tokens = classifier.explain(text, method="leave_out").tokens[0]
        order = generator.permutation(len(tokens))
    else:
        tokens = classifier.explain(text, method=method).tokens[0]
        order = np.argsort([-token[2] for token in tokens], kind="stable")
    return [text[start:end] for start, end, *_ in tokens], order


def delete(words, order, share):
    gone = set(order[: round(share * len(words))].tolist())
    return " ".join(word for i, word in enumerate(words) if i not in gone)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data", required=True, help="folder of SST-2")
    add("--preset", default="electra_tiny_en")
    add("--classifier", help="folder of a classifier that was fine-tuned")
    add("--train", type=int, default=12000, help="sentences to train on")
    add("--texts", type=int, default=200, help="sentences to explain")
    add("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
