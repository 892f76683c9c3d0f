"""Calibrates fine-tuned presets, and says what abstaining buys.

    python examples/benchmarks/calibration.py --data data

The folder holds `glue/SST-2`, `glue/MRPC` and `conll2000`. A preset is
fine-tuned by default on a part of the training set, calibrated on another, and
judged on the development set (CoNLL-2000: the test set; MRPC: with the rest of
the training set, or too few decide), before and after. "By chance" is the
calibration error that true probabilities would have with as few decisions.
"""

import argparse
import itertools
import pathlib
import time

import keras
from harness.glue_data import read_glue
from harness.recipes import GLUE
from harness.tagging_data import read_conll

import keras_electra

# Examples to train and to calibrate on.
TASKS = {"sst2": (12000, 3000), "mrpc": (1800, 800), "conll2000": (4000, 2000)}


def main():
    args = parse_arguments()
    print(
        "| task | decisions | method | accuracy | expected calibration error "
        "| by chance | Brier score | decided, of these wrong | CPU s |"
    )
    print("|" + " --- |" * 9)
    for name in args.task:
        keras.utils.set_random_seed(args.seed)
        start = time.process_time()
        train, development = read(name, pathlib.Path(args.data))
        size, held_out = (n // args.divide for n in TASKS[name])
        labels = [*train[1], *development[1]]
        task = make(name, args.preset, labels)
        fitted, calibrating, rest = split(train, size, held_out)
        if name == "mrpc":
            development = join(development, rest)
        task.fit(*fitted, batch_size=32, epochs=args.epochs, verbose=0)
        for method in (None, *args.method):
            if method:
                task.calibrate(*calibrating, method=method)
            found = task.coverage_report(*development, args.error_budget)
            cells = [
                name,
                f"{found.count:,}",
                method or "none",
                f"{found.accuracy:.3f}",
                f"{found.expected_calibration_error:.3f}",
                f"{found.error_by_chance:.3f}",
                f"{found.brier_score:.3f}",
                f"{found.coverage:.1%}, {found.error:.1%}",
                f"{time.process_time() - start:.0f}",
            ]
            print("|", " | ".join(cells), "|", flush=True)
            if args.pictures:
                folder = pathlib.Path(args.pictures)
                folder.mkdir(parents=True, exist_ok=True)
                found.save(folder / f"{name}-{method or 'none'}.html")
        if args.save:
            task.save_to_preset(pathlib.Path(args.save) / name)


def read(name, folder):
    """Training and development set as `(x, y)`."""
    if name in GLUE:
        recipe = GLUE[name]
        files = [
            read_glue(folder / "glue" / recipe.folder, recipe, split)
            for split in ("train", recipe.dev_splits[0])
        ]
        return [(file.x, file.labels) for file in files]
    paths = (folder / name / f"{split}.txt.gz" for split in ("train", "test"))
    return [read_conll(path) for path in paths]


def make(name, preset, given):
    if name in GLUE:
        cls, labels = keras_electra.ElectraTextClassifier, GLUE[name].labels
    else:
        cls = keras_electra.ElectraTokenClassifier
        labels = sorted({label for row in given for label in row})
    return cls.from_preset(preset, labels=labels, sequence_length=128)


def split(data, size, held_out):
    """Examples to train on, others to calibrate on and the rest, `(x, y)`.

    The training set of SST-2 has phrases, too, and the development set has not:
    so what is held out of it is long, and no longer phrase in it is learnt.
    """
    x, y = data
    held = range(held_out)
    rest = range(held_out, len(y))
    if isinstance(x, list) and isinstance(x[0], str):
        held = [i for i, text in enumerate(x) if text.count(" ") >= 15]
        held = held[:held_out]
        whole, known = "\n".join(x[i] for i in held), set(held)
        rest = (
            i
            for i, text in enumerate(x)
            if i not in known and (text.count(" ") < 4 or text not in whole)
        )

    def take(places):
        places = list(places)
        columns = x if isinstance(x, tuple) else (x,)
        taken = tuple([c[i] for i in places] for c in columns)
        taken = taken if isinstance(x, tuple) else taken[0]
        return taken, [y[i] for i in places]

    rest = iter(rest)
    fitted = take(itertools.islice(rest, size))
    return fitted, take(held), take(rest if isinstance(x, tuple) else ())


def join(first, second):
    """Examples of pairs, `(x, y)` of two columns, behind each other."""
    (x, y), (other, labels) = first, second
    return tuple([*a, *b] for a, b in zip(x, other)), [*y, *labels]


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data", required=True, help="folder of the data sets")
    add("--task", nargs="+", choices=TASKS, default=list(TASKS))
    add("--preset", default="electra_tiny_en")
    add("--epochs", type=int, default=3)
    add("--method", nargs="+", default=["temperature", "vector"])
    add("--error-budget", type=float, default=0.05)
    add("--divide", type=int, default=1, help="fewer examples to learn from")
    add("--save", help="folder for the calibrated tasks")
    add("--pictures", help="folder for reliability diagrams")
    add("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
