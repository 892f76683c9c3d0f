"""ELECTRA in four stages: use a preset, fine-tune it, pre-train from nothing.

    python examples/quickstart.py
    python examples/quickstart.py --corpus notes.txt letters.txt --steps 2000

Without `--corpus` it reads the docstrings of the installed Python packages.
The environment variable KERAS_BACKEND says whether it runs on `tensorflow`,
`torch` or `jax`.
"""

import argparse
import collections
import math
import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import quickstart_text as text

import keras_electra

PRESET = "electra_tiny_en"
SENTENCE = "The chef kicked the delicious meal."
MASKED = "He was born in the [MASK] of London."
CLASSES = 6  # at most
LABELLED, TESTED = 40, 150  # passages of a class to learn from, and to test
# Small, for many steps in little time.
SEQUENCE_LENGTH = 32  # tokens
VOCABULARY_SIZE = 2048  # tokens
BATCH_SIZE = 32  # rows
NETWORK = {
    "num_layers": 1,
    "num_heads": 4,
    "hidden_dim": 128,
    "intermediate_dim": 512,
    "max_sequence_length": SEQUENCE_LENGTH,
    "dropout": 0.0,  # a run this short does not overfit
    "initializer_range": 0.08,  # about 1 / sqrt(128)
}


def main():
    start = time.perf_counter()
    args = parse_arguments()
    keras.utils.set_random_seed(args.seed)
    print(f"ELECTRA in four stages, on {keras.config.backend()}.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(args.output or temporary)
        summary = use_preset()
        sources, kept_back = collect_text(args.corpus)
        summary += fine_tune(kept_back, args.seed)
        summary += pretrain(sources, folder, args.steps, args.seed)
    summary.append(("total time", f"{time.perf_counter() - start:.0f} s"))
    heading("Summary")
    for name, value in summary:
        print(f"  {name:<58} {value:>16}")
    if args.output:
        print(f"\nThe pre-trained model is in {folder / 'preset'}")


def heading(title, explanation=""):
    print(f"\n=== {title} ===")
    if explanation:
        print(explanation + "\n")


def use_preset():
    heading("1. A preset", f"`{PRESET}` comes with the package.")
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(PRESET)
    print(f"Which tokens do not fit: {SENTENCE!r}")
    for token in detector.detect(SENTENCE):
        print(f"  {token.token:<12} {token.probability:4.0%}")
    filler = keras_electra.ElectraMaskedLM.from_preset(PRESET)
    (found,) = filler.fill_mask([MASKED], top_k=3)
    print(f"What [MASK] may be: {MASKED!r}")
    for word, probability in found[0]:
        print(f"  {word:<12} {probability:4.0%}")
    return []


def collect_text(files):
    sources = text.read_files(files) if files else text.installed_prose()
    print("\nText for what follows:")
    for name, documents in sources.items():
        characters = sum(len(line) for lines in documents for line in lines)
        print(f"  {name:<24} {characters:11,} characters")
    return text.keep_back(sources)


def fine_tune(sources, seed):
    heading(
        "2. Fine-tuning",
        "Which source is a passage from? The preset learns it from few\n"
        "labelled passages, beside the same network from random weights and\n"
        "counts of words (naive Bayes). The passages that test it come from\n"
        "other documents.",
    )
    task = text.labelled_passages(sources, CLASSES, LABELLED, TESTED, seed)
    if task is None:
        print(
            "Left out: it takes two sources (with --corpus: two files) that "
            f"have\n{LABELLED + 10} passages each among the documents kept "
            "back."
        )
        return [("classification of passages", "left out")]
    names, train, test = task
    print(f"Sources: {', '.join(names)}.")
    print(f"Labelled passages: {len(train[0])}. For the test: {len(test[0])}.")
    accuracy = {"chance": 1 / len(names), "counts of words": bayes(train, test)}
    for weights in ("random weights", "the preset"):
        keras.utils.set_random_seed(seed)
        classifier = keras_electra.ElectraTextClassifier.from_preset(
            PRESET,
            load_weights=weights == "the preset",
            num_classes=len(names),
        )
        classifier.fit(*train, batch_size=BATCH_SIZE, epochs=8, verbose=0)
        figures = classifier.evaluate(*test, verbose=0, return_dict=True)
        accuracy[weights] = figures["accuracy"]
    return [
        (f"accuracy of the classifier, {name}", f"{value:.1%}")
        for name, value in accuracy.items()
    ]


def bayes(train, test):
    """Accuracy of naive Bayes on words, the simplest rival."""
    counts = collections.defaultdict(collections.Counter)
    for passage, label in zip(*train):
        counts[int(label)].update(passage.lower().split())
    vocabulary = len({word for words in counts.values() for word in words})
    right = 0
    for passage, label in zip(*test):
        scores = {
            one: sum(
                math.log((words[w] + 1) / (words.total() + vocabulary))
                for w in passage.lower().split()
            )
            for one, words in counts.items()
        }
        right += max(scores, key=scores.get) == label
    return right / len(test[0])


def pretrain(sources, folder, steps, seed):
    heading(
        "3. Pre-training from nothing",
        "One network, the generator, fills places that were masked. Its\n"
        "guesses go into the text, and another one, the discriminator, says\n"
        "for each token whether it is the original. Minutes show the method;\n"
        "a useful network takes hours.",
    )
    files = text.write_files(sources, folder / "corpus")
    vocabulary = keras_electra.train_vocabulary(
        files, vocabulary_size=VOCABULARY_SIZE, lowercase=True
    )
    tokenizer = keras_electra.ElectraTokenizer(vocabulary, lowercase=True)
    examples = folder / "examples"
    keras_electra.build_examples(
        files,
        examples,
        tokenizer,
        sequence_length=SEQUENCE_LENGTH,
        validation_fraction=0.05,
        seed=seed,
    )
    train = keras_electra.load_examples(examples, "train", BATCH_SIZE, seed)
    held_out = keras_electra.load_examples(examples, "validation", BATCH_SIZE)
    size = {"vocabulary_size": tokenizer.vocabulary_size(), **NETWORK}
    pretrainer = keras_electra.ElectraPretrainer(
        keras_electra.ElectraBackbone(**size),
        keras_electra.ElectraBackbone(**size),
        keras_electra.ElectraPretrainerPreprocessor(
            tokenizer, sequence_length=SEQUENCE_LENGTH
        ),
        seed=seed,
    )
    pretrainer.compile(
        optimizer=keras_electra.pretraining_optimizer(
            num_steps=steps, learning_rate=3e-3
        )
    )
    before = pretrainer.evaluate(held_out, verbose=0, return_dict=True)
    pretrainer.fit(
        train,
        steps_per_epoch=max(1, steps // 2),
        epochs=min(2, steps),
        verbose=1 if sys.stdout.isatty() else 2,
    )
    after = pretrainer.evaluate(held_out, verbose=0, return_dict=True)
    pretrainer.save_to_preset(folder / "preset")
    return compare(before, after)


def compare(before, after):
    """Shows held-out metrics; returns lines for the summary."""
    heading(
        "4. What it has learnt",
        "On documents held out. For comparison: calling every token original,\n"
        "with the share of replaced ones as its probability.",
    )
    share = after["replaced_fraction"]
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    print(f"  {'':<24} {'before':>9} {'after':>9} {'comparison':>11}")
    for name, base in (
        ("generator_loss", None),
        ("generator_accuracy", None),
        ("discriminator_loss", entropy),
        ("discriminator_accuracy", 1 - share),
        ("discriminator_auc", 0.5),
    ):
        shown = "" if base is None else f"{base:11.4f}"
        print(f"  {name:<24} {before[name]:9.4f} {after[name]:9.4f} {shown}")
    return [
        (
            f"{label} before -> after",
            f"{before[name]:.3f} -> {after[name]:.3f}",
        )
        for label, name in (
            ("generator's loss", "generator_loss"),
            ("discriminator's AUC (0.5 is chance)", "discriminator_auc"),
        )
    ]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--corpus",
        nargs="+",
        metavar="FILE",
        help="plain text, a blank line between documents; in stage 2 each "
        "file is a class",
    )
    parser.add_argument("--output", help="folder to keep everything in")
    parser.add_argument("--steps", type=int, default=1000, help="pre-training")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
