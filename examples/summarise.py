"""The first sentence of an article from the rest of it, in two ways.

    python examples/summarise.py --data DATA/corpus/enwiki2015

DATA has wiki-train-00.txt.xz and wiki-test.txt.xz: a paragraph a line, an empty
line behind each article, its title first. A sentence is chosen by
`ElectraTextClassifier`, which learns ROUGE-L, or written by
`ElectraTextGenerator`, which learns from gap sentences first. Under an hour on
two cores; the writer is kept.
"""

import copy
import lzma
import random
import re

import numpy as np
from rouge_score import rouge_scorer
from writing import parser_of
from writing import show_table
from writing import trained_writer

import keras_electra

DEFAULTS = dict(
    preset="summary_writer",
    steps=2000,
    batch_size=16,
    learning_rate=5e-4,
    target_length=56,
    sequence_length=256,
)
SENTENCES = 8  # of the rest of an article that are read
SCORER = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)


def read_articles(path, count):
    """Pairs of a first sentence and a list of those after it."""
    articles, lines = [], []
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            if line.strip():
                lines.append(line.strip())
                continue
            text = " ".join(lines[1:6])
            first, *rest = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)
            if len(first.split()) > 6 and len(rest) >= SENTENCES:
                articles.append((first, rest[:SENTENCES]))
            lines = []
            if len(articles) == count:
                break
    return articles


def rouge(target, text):
    """ROUGE-L F1 in percent."""
    return 100 * SCORER.score(target, text)["rougeL"].fmeasure


def train_chooser(articles, start):
    """A regression of ROUGE-L from a sentence and the article's others."""
    rows = [
        (sentence, " ".join(rest), rouge(first, sentence) / 100)
        for first, rest in articles
        for sentence in rest
    ]
    chooser = keras_electra.ElectraTextClassifier.from_preset(
        start, num_classes=1, sequence_length=128
    )
    sentences, others, scores = map(list, zip(*rows))
    chooser.fit((sentences, others), scores, batch_size=32, epochs=1, verbose=2)
    return chooser


def choose(chooser, articles):
    """The sentence of each article with the highest score."""
    pairs = [(s, " ".join(rest)) for _, rest in articles for s in rest]
    scores = chooser.predict(tuple(map(list, zip(*pairs))), verbose=0)
    best = np.reshape(scores, (-1, SENTENCES)).argmax(1)
    return [rest[i] for (_, rest), i in zip(articles, best)]


def compare(articles, chooser, writer, seed=0, **how):
    """ROUGE-L of both ways, of the lead sentence and of a random one."""
    draws = random.Random(seed)
    sources = [" ".join(rest) for _, rest in articles]
    written = writer.generate(
        sources=sources, seed=seed, temperature=0.3, **how
    )
    ways = {
        "lead sentence of the rest": [rest[0] for _, rest in articles],
        "a random sentence": [draws.choice(rest) for _, rest in articles],
        "chosen": choose(chooser, articles),
        "written": written,
    }
    found = {
        name: [rouge(a[0], text) for a, text in zip(articles, texts)]
        for name, texts in ways.items()
    }
    return {name: [float(np.mean(v))] for name, v in found.items()}, written


def main():
    args = parser_of(__doc__, **DEFAULTS).parse_args()
    counts = (12, 4) if args.quick else (1600, 100)
    train = read_articles(args.data / "wiki-train-00.txt.xz", counts[0])
    test = read_articles(args.data / "wiki-test.txt.xz", counts[1])
    held_out = train[-len(train) // 20 :]
    train = train[: -len(held_out)]
    chooser = train_chooser(train, args.start)

    # First without labels, then with the true first sentences.
    documents = [rest for _, rest in train]
    gaps = keras_electra.gap_sentences(documents, fraction=0.15)
    pairs = [" ".join(rest) for _, rest in train], [first for first, _ in train]
    checked = (
        [" ".join(r) for _, r in held_out],
        [first for first, _ in held_out],
    )
    first = copy.copy(args)
    first.preset, first.steps = f"{args.preset}_gaps", args.steps // 2
    trained_writer(first, gaps, checked, calibrate=False)
    args.start = first.preset
    writer = trained_writer(args, pairs, checked, calibrate=False)
    how = {"num_rounds": 2} if args.quick else {}
    rows, written = compare(test, chooser, writer, args.seed, **how)
    print(f"{test[0][0]}\n  written: {written[0]}")
    show_table(f"ROUGE-L, {len(test)} articles", rows)


if __name__ == "__main__":
    main()
