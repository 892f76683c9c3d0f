"""ELECTRA from plain text to a fine-tuned classifier, on a processor.

    python examples/quickstart.py
    python examples/quickstart.py --corpus notes.txt letters.txt --steps 2000

Without `--corpus` it reads the docstrings of the installed Python packages.
The environment variable KERAS_BACKEND says whether it runs on `tensorflow`,
`torch` or `jax`.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import quickstart_report as report
import quickstart_text as text

import keras_electra

sys.path.insert(0, str(pathlib.Path(__file__).parent / "preset_training"))

import initialization
from muon import short_run_optimizer

SEQUENCE_LENGTH = 32  # tokens: short rows, more steps
VOCABULARY_SIZE = 2048  # tokens; a small table is learnt in few steps
BATCH_SIZE = 32  # rows
START_SHARE = 0.5  # of the steps, for the start by masked language modelling
# Smaller than the size "tiny", for more steps in the same time.
NETWORK = {
    "num_layers": 1,
    "num_heads": 4,
    "hidden_dim": 128,
    "intermediate_dim": 512,
    "max_sequence_length": SEQUENCE_LENGTH,
    "dropout": 0.0,  # a run this short does not overfit
    "initializer_range": 0.08,  # about 1 / sqrt(128)
}
NEIGHBOUR_HEADS = 2  # the other ones read the whole text
EPOCHS = 2  # how often each part of pre-training reports
CLASSES = 6  # at most
LABELLED, TESTED = 40, 150  # passages of a class to learn from, and to test
PARAGRAPHS = 200  # to look for replaced tokens in


def main():
    start = time.perf_counter()
    args = parse_arguments()
    keras.utils.set_random_seed(args.seed)
    print(f"ELECTRA in five stages, on {keras.config.backend()}.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(args.output or temporary)
        preset = str(folder / "preset")
        sources, kept_back = collect_text(args.corpus)
        tokenizer = make_examples(sources, folder, args.seed)
        summary = pretrain(tokenizer, folder, args.steps, args.seed)
        summary += find_replaced(preset, kept_back)
        summary += classify(preset, kept_back, args.seed)
    summary.append(("total time", f"{time.perf_counter() - start:.0f} s"))
    report.print_summary(summary)
    if args.output:
        print(f"\nEverything is in {folder}, the pre-trained model in {preset}")


def collect_text(files):
    report.print_heading("1. Text", report.TEXT)
    sources = text.read_files(files) if files else text.installed_prose()
    report.print_sources(sources)
    return text.keep_back(sources)


def make_examples(sources, folder, seed):
    report.print_heading("2. Vocabulary and examples", report.EXAMPLES)
    files = text.write_files(sources, folder / "corpus")
    vocabulary = keras_electra.train_vocabulary(
        files, vocabulary_size=VOCABULARY_SIZE, lowercase=True
    )
    tokenizer = keras_electra.ElectraTokenizer(vocabulary, lowercase=True)
    keras_electra.build_examples(
        files,
        folder / "examples",
        tokenizer,
        sequence_length=SEQUENCE_LENGTH,
        validation_fraction=0.05,
        seed=seed,
    )
    return tokenizer


def pretrain(tokenizer, folder, steps, seed):
    report.print_heading("3. Pre-training", report.PRETRAINING)
    examples = folder / "examples"
    train = keras_electra.load_examples(examples, "train", BATCH_SIZE, seed)
    held_out = keras_electra.load_examples(examples, "validation", BATCH_SIZE)
    size = {"vocabulary_size": tokenizer.vocabulary_size(), **NETWORK}
    backbone = keras_electra.ElectraBackbone(**size)
    # What a short run has no time to find out by itself.
    initialization.initialize_relative_positions(
        backbone, seed, num_heads=NEIGHBOUR_HEADS
    )
    preprocessor = keras_electra.ElectraPretrainerPreprocessor(
        tokenizer, sequence_length=SEQUENCE_LENGTH
    )
    pretrainer = keras_electra.ElectraPretrainer(
        backbone,
        keras_electra.ElectraBackbone(**size),
        preprocessor,
        discriminator_weight=20.0,
        seed=seed,
    )
    counts = initialization.count_tokens(train, tokenizer.vocabulary_size())
    # A discriminator that starts behind its generator learns nothing: it
    # alone gets the neighbours, and first learns to restore the text itself.
    start = keras_electra.ElectraPretrainer(
        backbone,
        backbone,
        preprocessor,
        mask_fraction=0.3,
        # Others become [MASK] or stay: it learns to doubt what it reads.
        mask_token_rate=0.4,
        random_token_rate=0.4,
        discriminator_weight=0.0,
        seed=seed,
    )
    before = pretrainer.evaluate(held_out, verbose=0, return_dict=True)
    start_steps = int(steps * START_SHARE)
    for model, own in (
        (start, start_steps),
        (pretrainer, steps - start_steps),
    ):
        initialization.initialize_unigram_bias(model, counts)
        model.compile(optimizer=short_run_optimizer(own))
        epochs = min(EPOCHS, own)
        model.fit(
            train,
            steps_per_epoch=own // epochs,
            epochs=epochs,
            verbose=1 if sys.stdout.isatty() else 2,
        )
    after = pretrainer.evaluate(held_out, verbose=0, return_dict=True)
    pretrainer.save_to_preset(folder / "preset")
    return report.print_pretraining(before, after)


def find_replaced(preset, sources):
    report.print_heading("4. Finding replaced words", report.REPLACED)
    paragraphs = text.paragraphs_of_length(sources, 10, 20)[:PARAGRAPHS]
    if not paragraphs:
        print("No paragraph of 10 to 20 words was kept back: left out.")
        return []
    pretrainer = keras_electra.ElectraPretrainer.from_preset(preset)
    inputs = pretrainer.preprocessor(paragraphs)
    inputs = {key: np.asarray(value) for key, value in inputs.items()}
    outputs = pretrainer.predict(inputs, batch_size=BATCH_SIZE, verbose=0)
    tokenizer = pretrainer.preprocessor.tokenizer
    report.print_paragraph(tokenizer, inputs, outputs, 0)
    return report.count_found(inputs, outputs)


def classify(preset, sources, seed):
    report.print_heading("5. Fine-tuning", report.FINE_TUNING)
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
    accuracy = {}
    for weights in ("random", "pre-trained"):
        keras.utils.set_random_seed(seed)
        classifier = keras_electra.ElectraTextClassifier.from_preset(
            preset,
            load_weights=weights == "pre-trained",
            num_classes=len(names),
        )
        classifier.fit(*train, batch_size=BATCH_SIZE, epochs=16, verbose=0)
        figures = classifier.evaluate(*test, verbose=0, return_dict=True)
        accuracy[weights] = figures["sparse_categorical_accuracy"]
        print(f"  from {weights} weights: {accuracy[weights]:.1%} correct")
    return report.list_accuracies(accuracy, len(names))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--corpus",
        nargs="+",
        metavar="FILE",
        help="plain text, a blank line between documents; in stage 5 each "
        "file is a class",
    )
    parser.add_argument("--output", help="folder to keep everything in")
    parser.add_argument("--steps", type=int, default=1600, help="pre-training")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
