"""Makes a preset of a corpus and of a teacher, in one command that can go on.

    KERAS_BACKEND=torch python examples/preset_training/distil_preset.py tiny \
        --data corpus --teacher folder --run run-tiny --preset electra_tiny_en

`corpus` holds `enwiki2015/wiki-train-*.txt.xz` and `-valid`, and the same of
`gutenberg/books`: a paragraph a line, an empty line after a document.
Three stages, each on text of its own, with a checkpoint every few minutes:
first the student learns to say what the teacher says of whole sentences (their
vectors, and the hidden states of words); then to predict
masked words as well; then to tell which were replaced, too. Generator and
discriminator are one network. Stopped at any time, the same command goes on.
What happened is in `RUN/*.csv`; `--minutes` ends a sitting after a checkpoint.
"""

import argparse
import itertools
import lzma
import pathlib
import random
import re
import time

import keras
from muon import short_run_optimizer

import keras_electra

SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]* +(?=[A-Z\"'(])")
STARTED = time.perf_counter()
MOST_TOKENS = 96  # of a text; the mean is 33
CHARACTERS = 4.4  # of a token, at most: how much text a stage needs
SIZES = {
    "tiny": dict(num_layers=3, num_heads=6, hidden_dim=288),
    "small": dict(num_layers=12, num_heads=4, hidden_dim=256),
}
# Name, millions of tokens, learning rate, of the losses of pre-training:
# weight, share of masked tokens, weight of the discriminator.
STAGES = {
    "tiny": [
        ("vectors", 24, 3e-3, 0.0, 0.15, 0.0),
        ("masked", 12, 3e-3, 0.3, 0.3, 0.0),
        ("replaced", 10, 1.5e-3, 0.3, 0.15, 5.0),
    ],
    "small": [
        ("vectors", 20, 2e-3, 0.0, 0.15, 0.0),
        ("masked", 10, 2e-3, 0.3, 0.3, 0.0),
        ("replaced", 8, 1e-3, 0.3, 0.15, 5.0),
    ],
}


def main():
    args = parse_arguments()
    keras.config.set_dtype_policy(args.dtype)
    args.run.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(args)
    keras.utils.set_random_seed(args.seed)
    sizes = SIZES[args.size]
    backbone = keras_electra.ElectraBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        intermediate_dim=4 * sizes["hidden_dim"],
        embedding_dim=args.embedding_dim,
        dropout=0.0,  # less than one pass over the text cannot overfit
        # Variances as at the width of BERT, whose 0.02 is for 768.
        initializer_range=0.6 / sizes["hidden_dim"] ** 0.5,
        name="discriminator",
        **sizes,
    )
    preprocessor = keras_electra.ElectraPretrainerPreprocessor(
        tokenizer, sequence_length=MOST_TOKENS
    )
    used, distiller = 0, None
    for number, (name, millions, *settings) in enumerate(STAGES[args.size]):
        tokens = int(millions * 1e6 * args.scale)
        texts = read_texts(args, "train", used, tokens * CHARACTERS)
        used += int(tokens * CHARACTERS)
        given = args, number, name, tokens, texts, settings
        distiller = train(*given, backbone, preprocessor, distiller)
    distiller.student.save_to_preset(args.preset, weights_dtype="float16")
    write_card(args, backbone)


def make_tokenizer(args):
    """That of the vocabulary that was given, or of one trained on the text."""
    path = args.vocabulary or args.run / "vocabulary.txt"
    if not path.exists():
        keras_electra.train_vocabulary(
            [str(p) for p in corpus_files(args.data, "train")],
            vocabulary_size=args.vocabulary_size,
            lowercase=True,
            output=str(path),
        )
    return keras_electra.ElectraTokenizer(str(path), lowercase=True)


def corpus_files(data, split):
    names = "enwiki2015/wiki", "gutenberg/books"
    found = [sorted(data.glob(f"{name}-{split}*.txt.xz")) for name in names]
    if not all(found):
        raise SystemExit(f"{data} lacks files {names} of {split}.")
    return [*itertools.chain(*found)]


def read_texts(args, split, start, size):
    """Texts of `size` characters, after `start` of them: a list, shuffled.

    Of all files alike; titles, sentences and, one in three, some in a row.
    """
    paths = corpus_files(args.data, split)
    draw, texts = random.Random(f"{args.seed} {split} {start}"), []
    for path in paths:
        place, end = 0, (start + size) / len(paths)
        with lzma.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                sentences = SENTENCE_END.split(line.strip())
                place += len(line)
                if place <= start / len(paths):
                    continue
                while sentences:
                    count = draw.choice((1, 1, 1, 1, 1, 1, 2, 3, 4))
                    text = " ".join(sentences[:count])
                    sentences = sentences[count:]
                    if 8 <= len(text) <= 6 * MOST_TOKENS:
                        texts.append(text)
                if place > end:
                    break
    if not texts:
        raise SystemExit(f"All text of {args.data} is used up: --scale less.")
    draw.shuffle(texts)
    return texts


def train(
    args, number, name, tokens, texts, settings, backbone, preprocessor, before
):
    """One stage, or what is left of it, after the one before it."""
    rate, weight, mask_fraction, discriminator_weight = settings
    seed = args.seed + number
    keras.utils.set_random_seed(seed)
    pretrainer = keras_electra.ElectraPretrainer(
        backbone,
        backbone,
        preprocessor,
        mask_fraction=mask_fraction,
        discriminator_weight=discriminator_weight,
        seed=seed,
    )
    distiller = keras_electra.Distiller(
        pretrainer, args.teacher, pretraining_weight=weight
    )
    if before is not None:
        head = before.student.generator_head.get_weights()
        pretrainer.generator_head.set_weights(head)
        for projection in ("vectors_projection", "states_projection"):
            learnt = before.get_layer(projection).get_weights()
            distiller.get_layer(projection).set_weights(learnt)
    mean = sum(
        min(len(ids) + 2, MOST_TOKENS)
        for ids in preprocessor.tokenizer.encode_batch(texts[:2000])
    ) / min(2000, len(texts))
    steps = max(1, int(tokens / mean / args.batch_size))
    steps_per_epoch = min(args.steps_per_epoch, steps)
    epochs = steps // steps_per_epoch
    print(f"{name}: {steps} steps, {len(texts)} texts, {mean:.1f} tokens each")
    # AdamW makes all states alike at first, at any rate that was tried.
    distiller.compile(short_run_optimizer(steps, rate))
    distiller.fit(
        texts,
        batch_size=args.batch_size,
        validation_data=read_texts(args, "valid", 0, 120_000 * args.scale),
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        callbacks=[
            keras_electra.ResumableCheckpoint(args.run / name, keep=2),
            Sitting(args.minutes),
            keras.callbacks.CSVLogger(args.run / f"{name}.csv", append=True),
        ],
        verbose=2,
    )
    return distiller


class Sitting(keras.callbacks.Callback):
    """Notes the minutes of every epoch, and ends the program after some."""

    def __init__(self, minutes):
        super().__init__()
        self.end = STARTED + 60 * (minutes or float("inf"))
        self.start = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.start is not None and time.perf_counter() > self.end:
            raise SystemExit("The sitting is over. Give the command again.")
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs):
        logs["minutes"] = (time.perf_counter() - self.start) / 60


def write_card(args, backbone):
    """The card: what it was made of, for how long, how far it came."""
    rows = []
    for name, millions, *_ in STAGES[args.size]:
        with open(args.run / f"{name}.csv", encoding="utf-8") as file:
            names, *epochs = (line.strip().split(",") for line in file)
        epochs = [dict(zip(names, e)) for e in epochs if e[0] != names[0]]
        minutes = sum(float(e["minutes"]) for e in epochs)
        last = [f"{n[4:]} {float(v):.3f}" for n, v in epochs[-1].items()
                if n.startswith("val_") and "loss" in n]  # fmt: skip
        tokens = f"{millions * args.scale:.3g} million"
        rows.append(
            f"| {name} | {tokens} | {minutes:.0f} | {', '.join(last)} |"
        )
    layer = backbone.num_layers
    lines = [
        f"# {pathlib.Path(args.preset).name}",
        "",
        f"{layer} layers, {backbone.hidden_dim} wide, embeddings "
        f"{backbone.embedding_dim}, {backbone.count_params():,} parameters, "
        f"{backbone.vocabulary_size} word pieces, lower-cased. English.",
        "",
        f"Teacher: {args.teacher_name}, of whose outputs it learnt; no weight "
        "of it is in here. It was trained on pairs of sentences. Text: English "
        "Wikipedia (2015) and Project Gutenberg books.",
        "",
        f"`ElectraTextEmbedder` reads vectors from layer {layer}, which the "
        "teacher taught.",
        "",
        "| stage | tokens | minutes | on held-out documents |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        f"`python examples/preset_training/distil_preset.py {args.size}`; "
        "Apache-2.0.",
    ]
    path = pathlib.Path(args.preset) / "README.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"The preset is in {args.preset}.")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--teacher", required=True, help="folder or name")
    parser.add_argument(
        "--teacher-name", default="all-MiniLM-L6-v2 (Apache-2.0)"
    )
    parser.add_argument("--run", type=pathlib.Path, default="run")
    parser.add_argument("--preset", default="my_electra")
    parser.add_argument(
        "--vocabulary", type=pathlib.Path, help="a token a line"
    )
    parser.add_argument("--vocabulary-size", type=int, default=16384)
    parser.add_argument("--embedding-dim", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps-per-epoch", type=int, default=1000)
    parser.add_argument("--minutes", type=float, help="of this sitting")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of all tokens"
    )
    parser.add_argument("--dtype", default="mixed_bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
