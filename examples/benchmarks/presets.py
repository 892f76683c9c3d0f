"""Every row of the table of the presets, each beside its simplest rival.

    python examples/benchmarks/presets.py glue sst2 chunks vectors tuned jfleg \
        cloze blimp retrieval prompts --data data --preset electra_tiny_en

The folder has `glue`, `conll2000`, `ged/jfleg`, `blimp/blimp.tar.xz` and
`corpus/enwiki2015`. All is fine-tuned as `fit` does it by default, with
`--seeds` seeds; a run leaves a JSON file in `--output/PRESET` and is not
repeated. The rival is a bag of words, TF-IDF, or how rare words are. `defaults`
shows what a small search finds beside the defaults, on a part of the training
set that is not learnt from. Nothing here was chosen on what it is judged on.
"""

import argparse
import itertools
import pathlib
import sys

import keras
import numpy as np
from harness import bag_of_words
from harness import probes
from harness import untrained
from harness.glue import GlueExperiment
from harness.options import Options
from harness.recipes import GLUE
from harness.runs import run_all
from harness.statistics import summarize
from harness.tagging import TaggingExperiment
from harness.tagging_data import read_conll
from harness.untrained import auc
from harness.untrained import open_embedder
from harness.untrained import read_task
from harness.untrained import tfidf
from harness.untrained import vector_scores

import keras_electra

TASKS = ("mrpc", "stsb", "rte", "sst2", "cola")
FEW = 16  # examples of each label
TEMPLATES = ["{text} It was {label}.", "A {label} film. {text}"]
VERBALIZERS = {
    "0": ["terrible", "bad", "boring"],
    "1": ["great", "good", "wonderful"],
}


class ByDefault:
    """Experiments that are trained as `fit` does it by itself."""

    def prepare(self, task):
        pass


class Tagging(ByDefault, TaggingExperiment):
    """Chunks."""


class Glue(ByDefault, GlueExperiment):
    """A task of GLUE; the matcher of STS-B is asked for word order, too."""

    order = None  # what `probes.order_pairs` returns

    def evaluate(self, task):
        metrics, constant = super().evaluate(task)
        if self.order:
            scores = [self.predict(task, pair) for pair in self.order]
            metrics["order"] = auc(*scores)
        return metrics, constant


def finetune(args, name, kind, *given, limit=None, **kwargs):
    """Metrics of all seeds, a dict of lists."""
    options = Options(
        *("defaults", args.epochs),
        dtype=args.dtype,
        limit=limit or args.limit,
        stream=sys.stderr,
    )
    experiment = kind(*given, options=options, **kwargs)
    experiment.name = name
    if name == "stsb":
        experiment.order = order_pairs(args)
    folder = args.output / pathlib.Path(args.preset).name
    runs = run_all(experiment, range(1, args.seeds + 1), folder, False)
    for run in runs:
        if run["diverged"]:
            raise SystemExit(f"{name}, seed {run['seed']}: {run['diverged']}")
    names = runs[0]["metrics"]
    return {n: [run["metrics"][n] for run in runs] for n in names}


def order_pairs(args):
    path = args.data / "conll2000" / "test.txt.gz"
    return probes.order_pairs(path) if path.exists() else None


def row_glue(args):
    """Five tasks, their mean, CoLA, and word order by the STS-B matcher."""
    rivals, found = {}, {}
    for task in args.task:
        given = task, args.preset, args.data / "glue"
        metrics = finetune(args, task, Glue, *given)
        order = metrics.pop("order", None)
        found[task] = np.mean([*metrics.values()], axis=0)
        rivals[task] = bag_of_words.bag_of_words(task, given[-1])
        for name, values in metrics.items():
            yield f"{task}, {name}", rivals[task][name], values
        if order:
            train = read_task(args, task, "train")
            predict = bag_of_words.fit(train, is_class=False)
            scores = map(predict, order_pairs(args))
            yield "word order, AUC of the STS-B matcher", auc(*scores), order
    mean = np.mean([*found.values()], axis=0)
    rival = bag_of_words.mean_of_tasks(rivals)
    yield f"mean of {', '.join(found)}", rival, mean


def row_sst2(args):
    """SST-2 with 2,000 texts."""
    given = "sst2", args.preset, args.data / "glue"
    found = finetune(args, "sst2-2000", Glue, *given, limit=2000)
    rival = bag_of_words.bag_of_words("sst2", given[-1], limit=2000)
    yield "SST-2, 2,000 texts", rival["accuracy"], found["accuracy"]


def row_defaults(args):
    """The defaults beside a small search, on other texts of the training set.

    Three epochs of 2,000 texts of SST-2; the search is one of rate and epochs.
    """
    data = read_task(args, "sst2", "train")
    texts, labels = data.x[:4000], data.labels[:4000]
    size = min(2000, len(texts) // 2)
    train = texts[:size], labels[:size]
    other = texts[size:], labels[size:]

    def score(seed, epochs=3, rate=None):
        keras.utils.set_random_seed(seed)
        task = open_classifier(args)
        if rate:
            steps = epochs * -(-size // 32)
            task.compile(
                keras_electra.finetuning_optimizer(
                    task.backbone, steps, learning_rate=rate
                )
            )
        task.fit(*train, epochs=epochs, verbose=0)
        return accuracy(task, *other)

    seeds = range(1, args.seeds + 1)
    yield "SST-2, defaults", None, [score(seed) for seed in seeds]
    for rate, epochs in itertools.product(args.rates, (3, 6)):
        found = [score(seed, epochs, rate) for seed in seeds]
        yield f"the same, rate {rate:g}, {epochs} epochs", None, found


def open_classifier(args):
    """A classifier of SST-2 with the dropout of the paper."""
    return keras_electra.ElectraTextClassifier.from_preset(
        args.preset, labels=GLUE["sst2"].labels, sequence_length=128
    )


def accuracy(task, texts, labels):
    """Of decisions about SST-2, whose labels are `"0"` and `"1"`, percent."""
    found = [int(pairs[0][0]) for pairs in task.classify(texts)]
    return 100 * float(np.mean(np.array(found) == labels))


def row_chunks(args):
    """Chunks of CoNLL-2000 beside the most frequent label of each word."""
    paths = [
        args.data / "conll2000" / f"{split}.txt.gz"
        for split in ("train", "test")
    ]
    found = finetune(args, "chunks", Tagging, "chunks", args.preset, *paths)
    (train, test), metrics = map(read_conll, paths), bag_of_words_of_chunks
    yield "CoNLL-2000, F1 of chunks", metrics(train, test), found["f1"]


def bag_of_words_of_chunks(train, test):
    from harness.metrics import chunk_metrics

    guessed = probes.frequent_labels(train, test[0])
    return chunk_metrics(test[1], guessed)["f1"]


def row_tuned(args):
    """STS-B after training on MRPC, and on titles with texts of articles."""
    rival, score = vector_scores(args)
    mrpc = read_task(args, "mrpc", "train")
    same = np.flatnonzero(mrpc.labels)
    path = args.data / "corpus/enwiki2015/wiki-train-00.txt.xz"
    found = probes.articles(path, args.articles)
    sets = {
        "paraphrases of MRPC": tuple([c[i] for i in same] for c in mrpc.texts),
        "titles and texts": tuple(
            zip(*[(f"{title}.", first) for title, first, _ in found])
        ),
    }
    for name, (first, second) in sets.items():
        values = []
        for seed in range(1, args.seeds + 1):
            keras.utils.set_random_seed(seed)
            embedder = open_embedder(args)
            pairs = list(first), list(second)
            embedder.fit(pairs, batch_size=64, epochs=args.epochs or 1)
            values.append(score(embedder))
        yield f"STS-B, vectors tuned on {name}", rival, values


def row_prompts(args):
    """SST-2 by a prompt and by a new head, of no and of a few examples."""
    train, dev = (read_task(args, "sst2", s) for s in ("train", "dev"))
    # Sentences, as in the development set: most of the others are phrases.
    long = [i for i, text in enumerate(train.x) if text.count(" ") >= 10]
    few, found = [], {"prompt": [], "new head": [], "TF-IDF": []}

    def prompt():
        return keras_electra.ElectraPromptClassifier.from_preset(
            args.preset,
            templates=TEMPLATES,
            verbalizers=VERBALIZERS,
            sequence_length=128,
        )

    for seed in range(1, args.seeds + 1):
        order = np.random.default_rng(seed).permutation(long)
        for label in (0, 1):
            few += [i for i in order if train.labels[i] == label][:FEW]
        texts, labels = [train.x[i] for i in few], train.labels[few]
        few = []
        for name, task in (
            ("prompt", prompt()),
            ("new head", open_classifier(args)),
        ):
            keras.utils.set_random_seed(seed)
            task.fit(texts, labels, batch_size=8, epochs=10, verbose=0)
            found[name].append(accuracy(task, dev.x, dev.labels))
        guess = bag_of_words_of_few(texts, labels, dev.x)
        found["TF-IDF"].append(100 * float(np.mean(guess == dev.labels)))
    rival = float(np.mean(found.pop("TF-IDF")))
    zero = accuracy(prompt(), dev.x, dev.labels)
    yield "SST-2, a prompt without examples", None, [zero]
    for name, values in found.items():
        yield f"SST-2, {FEW} examples a label, {name}", rival, values


def bag_of_words_of_few(texts, labels, others):
    from sklearn.linear_model import LogisticRegression

    encode = tfidf(texts)
    model = LogisticRegression(C=10.0).fit(encode(texts), labels)
    return model.predict(encode(others))


ROWS = {
    "glue": row_glue,
    "sst2": row_sst2,
    "defaults": row_defaults,
    "chunks": row_chunks,
    "tuned": row_tuned,
    "prompts": row_prompts,
    **untrained.ROWS,
}


def main():
    args = parse_arguments()
    keras.config.set_dtype_policy(args.dtype)
    print(f"| | rival | {pathlib.Path(args.preset).name} | seeds |")
    print("| --- | --- | --- | --- |")
    for name in args.row:
        for title, rival, values in ROWS[name](args):
            of = summarize([float(value) for value in values])
            spread = "" if of["ci"] is None else f" ± {of['ci']:.1f}"
            rival = "" if rival is None else f"{rival:.1f}"
            cells = title, rival, f"{of['mean']:.1f}{spread}", str(of["count"])
            print(f"| {' | '.join(cells)} |", flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("row", nargs="+", choices=ROWS, metavar=f"row: {', '.join(ROWS)}")
    add("--data", type=pathlib.Path, required=True, help="folder of all data")
    add("--preset", default="electra_tiny_en", help="name or path")
    add("--seeds", type=int, default=5, help="runs of what is fine-tuned")
    add("--task", nargs="+", default=TASKS, choices=TASKS, help="of `glue`")
    add("--epochs", type=int, help="the recipe's if not given")
    add("--limit", type=int, help="train on the first examples only")
    add("--rates", nargs="+", type=float, default=[1e-4, 3e-4, 1e-3, 3e-3])
    add("--articles", type=int, default=2000, help="of `retrieval`, `tuned`")
    add("--blimp-pairs", type=int, help="of each set, or all")
    add("--dtype", default="float32", help="or mixed_bfloat16")
    add("--output", type=pathlib.Path, default="presets-table")
    return parser.parse_args()


if __name__ == "__main__":
    main()
