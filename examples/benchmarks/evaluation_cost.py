"""CPU seconds of `evaluate` and `predict` as shares of `fit`, task by task.

    KERAS_BACKEND=torch python examples/benchmarks/evaluation_cost.py

Random words of the preset's vocabulary; the tasks have new heads. The three
calls take turns, after one turn that compiles, and medians are printed.
"""

import argparse
import os
import random
import statistics
import time

LAYOUT = "{:<26} {:>8} {:>9} {:>9}"


def main():
    args = parse_arguments()
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(name, "1")
    import keras

    import keras_electra
    from keras_electra.model.sizes import get_size

    keras.utils.set_random_seed(0)
    tokenizer = keras_electra.ElectraTokenizer.from_preset(args.preset)
    backbone = keras_electra.ElectraBackbone(
        tokenizer.vocabulary_size(), **get_size(args.size).discriminator()
    )
    words = [w for w in tokenizer.get_vocabulary() if w.isalpha()]
    shortest, longest = args.words
    texts = [
        " ".join(random.choices(words, k=random.randint(shortest, longest)))
        for _ in range(args.texts)
    ]
    backend = keras.config.backend()
    print(
        LAYOUT.format(f"CPU seconds ({backend})", "fit", "evaluate", "predict")
    )
    for name, (task, x, y) in tasks(backbone, tokenizer, texts).items():
        seconds = measure(task, x, y, args)
        shares = [f"{seconds[n] / seconds['fit']:.2f}" for n in CALLS[1:]]
        print(LAYOUT.format(name, f"{seconds['fit']:.1f}", *shares), flush=True)
    print(f"evaluate, predict: shares of fit; medians of {args.rounds}.")


CALLS = ("fit", "evaluate", "predict")


def measure(task, x, y, args):
    options = {"batch_size": args.batch, "verbose": 0}
    calls = {
        "fit": lambda: task.fit(x, y, **options),
        "evaluate": lambda: task.evaluate(x, y, **options),
        "predict": lambda: task.predict(x, **options),
    }
    seconds = {name: [] for name in CALLS}
    for _ in range(args.rounds + 1):
        for name in CALLS:
            start = time.process_time()
            calls[name]()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(s[1:]) for name, s in seconds.items()}


def tasks(backbone, tokenizer, texts):
    """For each task the model, inputs and labels."""
    import keras_electra

    def of(name, **kwargs):
        preprocessor = getattr(keras_electra, f"Electra{name}Preprocessor")
        task = getattr(keras_electra, f"Electra{name}")(
            backbone, preprocessor=preprocessor(tokenizer), **kwargs
        )
        task.compile()
        return task

    words = [text.split() for text in texts]
    first = [row[len(row) // 2] for row in words]
    answers = [
        {"text": word, "answer_start": text.index(f" {word} ") + 1}
        for word, text in zip(first, texts)
    ]
    tags = [["O"] * len(row) for row in words]
    questions = [" ".join(row[:8]) for row in words]
    replaced = [[0] * (len(row) + 2) for row in words]
    classes = [i % 2 for i in range(len(texts))]
    return {
        "TextClassifier": (of("TextClassifier", num_classes=2), texts, classes),
        "TokenClassifier": (
            of("TokenClassifier", labels=["O", "B"]),
            words,
            tags,
        ),
        "QuestionAnswering": (
            of("QuestionAnswering"),
            (questions, texts),
            answers,
        ),
        "MaskedLM": (of("MaskedLM"), texts, None),
        "ReplacedTokenDetector": (of("ReplacedTokenDetector"), texts, replaced),
    }


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--size", default="small")
    add("--preset", default="electra_tiny_en", help="for its vocabulary")
    add("--texts", type=int, default=200)
    add("--words", type=int, nargs=2, default=(100, 150), help="in a text")
    add("--batch", type=int, default=32)
    add("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
