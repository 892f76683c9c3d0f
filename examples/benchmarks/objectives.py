"""Which objective learns most in equal time on one core?

    OMP_NUM_THREADS=1 KERAS_BACKEND=torch python \
        examples/benchmarks/objectives.py "corpus/*/*-train-*.txt.xz" \
        --data glue --blimp blimp.tar.xz --minutes 10 --output objectives

then the best four again, `--minutes 20 --seeds 1 2 3 --objectives mlm ...`,
in another folder. Every objective pre-trains the same network on the same text
for as long; then come fine-tuning on five tasks of GLUE, on 2,000 texts of
SST-2, the similarity of untrained vectors (STS-B) and BLiMP, beside random
weights and bag of words. Every number is a file in `--output`; the same command
goes on where it was stopped.
"""

import argparse
import os
import pathlib

os.environ.setdefault("OMP_NUM_THREADS", "1")

import keras
from harness import bag_of_words
from harness import pretraining
from harness.statistics import summarize

import keras_electra

BERT = dict(  # one network, masked language modelling alone
    generator="backbone",
    discriminator_weight=0.0,
    mask_token_rate=0.8,
    random_token_rate=0.1,
)
# Arguments of `ElectraPretrainer.from_size`, which passes on those of
# `ElectraPretrainer`; `None` is for a network that is not trained.
OBJECTIVES = {
    "random": None,
    "mlm": BERT,
    "mlm-30": {**BERT, "mask_fraction": 0.3},
    "mlm-range": {**BERT, "mask_fraction": (0.1, 0.5)},
    "mlm-word": {**BERT, "masking": "word"},
    "mlm-span": {**BERT, "masking": "span"},
    "mlm-hard": {**BERT, "masking": "hard"},
    "rtd": {},
    "rtd-30": dict(mask_fraction=0.3),
    "rtd-word": dict(masking="word"),
    "rtd-span": dict(masking="span"),
    "rtd-hard": dict(masking="hard"),
    "rtd-weight-5": dict(discriminator_weight=5.0),
    "rtd-balanced": dict(discriminator_loss="balanced"),
    "rtd-focal": dict(discriminator_loss="focal"),
    "rtd-full-generator": dict(generator="full"),
    "rtd-one-network": dict(generator="backbone", discriminator_weight=5.0),
    "rtd-own-embeddings": dict(share_embeddings=False),
    "rtd-gdes": dict(share_embeddings="gdes"),
    "rtd-temperature": dict(temperature=2.0),
    "rtd-never-right": dict(disallow_correct=True),
    "rtd-masked-alone": dict(objective="masked_detection"),
    "replace-mlm": dict(objective="replace_mlm", discriminator_weight=1.0),
    "all-tokens-mlm": dict(
        objective="all_tokens_mlm", discriminator_weight=1.0
    ),
    "electric": dict(objective="electric", generator="towers"),
}
PREDICTORS = ("mlm", "replace-mlm", "all-tokens-mlm")
COLUMNS = {
    "tasks": "mean of five tasks",
    "few": "SST-2, 2,000 texts",
    "similarity": "STS-B, untrained vectors",
    "blimp": "BLiMP",
}


def main():
    args = parse_arguments()
    keras.config.set_dtype_policy(args.dtype)
    tokenizer = pretraining.make_examples(args)
    show("", "seeds", "steps", *COLUMNS.values())
    show(*["---"] * (len(COLUMNS) + 3))
    own = pretraining.remember(
        args.output / "bag-of-words.json", lambda: score_bag_of_words(args)
    )
    show("bag of words", "", "", *(f"{own[c]:.1f}" for c in COLUMNS))
    for name in args.objectives:
        runs = [measure(args, name, seed, tokenizer) for seed in args.seeds]
        steps = sum(run["steps"] for run in runs) / len(runs)
        cells = []
        for column in COLUMNS:
            values = [r[column] for r in runs if r[column] is not None]
            found = summarize(values)
            cells.append(f"{found['mean']:.1f}" if values else "")
            if found["ci"] is not None:
                cells[-1] += f" ± {found['ci']:.1f}"
        show(name, len(runs), f"{steps:,.0f}", *cells)


def show(*cells):
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def measure(args, name, seed, tokenizer):
    """Steps and scores of one objective with one seed, as a dict."""
    folder = args.output / f"{name}-{seed}"
    arguments, preset = OBJECTIVES[name], str(folder / "preset")

    def pretrain():
        keras.utils.set_random_seed(seed)
        model = keras_electra.ElectraPretrainer.from_size(
            args.size,
            tokenizer=tokenizer,
            sequence_length=pretraining.LENGTH,
            dropout=0.0,  # less than one pass over the text
            seed=seed,
            **(arguments or {}),
        )
        steps = 0
        if arguments is not None:
            steps = pretraining.train(
                model,
                lambda steps: keras_electra.pretraining_optimizer(
                    args.size, steps, args.learning_rate
                ),
                args,
                args.minutes,
                folder,
                seed,
            )
        model.save_to_preset(preset)
        return steps

    def remember(column, compute):
        return pretraining.remember(folder / f"{column}.json", compute)

    network = "electric" if name == "electric" else "discriminator"
    if name.startswith(PREDICTORS):  # there is no judge of tokens
        network = "generator"
    steps = remember("pretrained", pretrain)
    tasks, few = folder / "finetuning", folder / "few"
    given = preset, args
    return {
        "steps": steps,
        "tasks": remember(
            "tasks", lambda: pretraining.five_tasks(*given, tasks, seed)
        ),
        "few": remember(
            "few",
            lambda: pretraining.five_tasks(
                *given, few, seed, ["sst2"], limit=2000, epochs=10
            ),
        ),
        "similarity": remember(
            "similarity", lambda: pretraining.similarity(preset, args.data)
        ),
        "blimp": args.blimp
        and remember(
            "blimp", lambda: pretraining.minimal_pairs(*given, network)
        ),
    }


def score_bag_of_words(args):
    data = pathlib.Path(args.data)
    return {
        "tasks": bag_of_words.mean_of_tasks(
            {
                task: bag_of_words.bag_of_words(task, data, limit=args.limit)
                for task in pretraining.FIVE
            }
        ),
        "few": bag_of_words.mean_of_tasks(
            {"sst2": bag_of_words.bag_of_words("sst2", data, limit=2000)}
        ),
        "similarity": bag_of_words.similarity(data),
        "blimp": 50.0,  # two sentences of a pair often have the same words
    }


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    pretraining.add_arguments(parser)
    add = parser.add_argument
    add("--size", default="tiny")
    add("--learning-rate", type=float, default=1e-3)
    add("--objectives", nargs="+", choices=OBJECTIVES, default=[*OBJECTIVES])
    add("--seeds", nargs="+", type=int, default=[1])
    return parser.parse_args()


if __name__ == "__main__":
    main()
