"""How long until a network is as good? Our recipe against the original's.

    OMP_NUM_THREADS=1 KERAS_BACKEND=torch python \
        examples/benchmarks/time_to_quality.py "corpus/*/*-train-*.txt.xz" \
        --data glue --minutes 30 --points 6 --output time-to-quality

The same network and text, one core each. Original: Adam as in the paper with
the rate of ELECTRA-Small, replaced tokens from the first step, its losses'
weights and dropout. Ours: a third of the time masked language modelling, then
replaced tokens, both with Muon, as `electra_tiny_en` was made. At every point
the preset is kept, its discriminator's AUC measured on held-out rows that one
generator, the original's last, has corrupted, and the mean of five tasks of
GLUE. Printed is the time in which ours reaches what the original ends with; the
picture is `curves.png`. The same command goes on where it was stopped.
"""

import argparse
import os
import pathlib
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.append(str(pathlib.Path(__file__).parents[1] / "preset_training"))

import keras
import numpy as np
from harness import pretraining
from muon import short_run_optimizer

import keras_electra

ARMS = ("original", "ours")
START = 3  # of the points of ours, one in three is before replaced tokens
TITLES = {"auc": "AUC, held out", "tasks": "mean of five tasks, %"}


def main():
    args = parse_arguments()
    keras.config.set_dtype_policy(args.dtype)
    tokenizer = pretraining.make_examples(args)
    for arm in ARMS:
        train_arm(args, arm, tokenizer)
    rows, replaced = corrupted_rows(args)
    curves = {}
    for arm in ARMS:
        curves[arm] = [
            measure(args, arm, point, rows, replaced)
            for point in range(1, args.points + 1)
        ]
        for found in curves[arm]:
            auc = "-" if found["auc"] is None else f"{found['auc']:.3f}"
            print(
                f"{arm}: {found['seconds']:.0f} s, AUC {auc}, "
                f"five tasks {found['tasks']:.1f}"
            )
    for name, title in TITLES.items():
        print(f"{title}: {compare(curves, name)}")
    draw(curves, args.output / "curves.png")


def train_arm(args, arm, tokenizer):
    """Trains one of the recipes, and keeps a preset and the time at points."""
    folder = args.output / arm
    if (folder / f"{args.points}.json").exists():
        return
    keras.utils.set_random_seed(args.seed)
    build = keras_electra.ElectraPretrainer.from_size
    common = dict(sequence_length=pretraining.LENGTH, seed=args.seed)
    if arm == "original":
        model = build(args.size, tokenizer, **common)
        rate = args.original_rate

        def adam(steps):
            return keras_electra.pretraining_optimizer(
                "small", steps, learning_rate=rate
            )

        stages = [(model, adam, 0, args.points)]
    else:
        start = build(
            args.size,
            tokenizer,
            dropout=0.0,
            generator="backbone",
            discriminator_weight=0.0,
            mask_fraction=0.3,
            mask_token_rate=0.4,
            random_token_rate=0.4,
            **common,
        )
        other = build(args.size, tokenizer, dropout=0.0, **common)
        generator = other.generator.with_embeddings(
            start.backbone.embeddings, name="generator"
        )
        model = keras_electra.ElectraPretrainer(
            start.backbone,
            generator,
            start.preprocessor,
            discriminator_weight=5.0,
            seed=args.seed,
        )
        first = args.points // START
        stages = [
            (start, lambda n: short_run_optimizer(n, 4e-3), 0, first),
            (model, lambda n: short_run_optimizer(n, 2e-3), first, args.points),
        ]
    for number, (model, optimizer, first, last) in enumerate(stages):
        pretraining.train(
            model,
            optimizer,
            args,
            args.minutes * (last - first) / args.points,
            folder / f"stage-{number}",
            args.seed + number,
            points=last - first,
            callbacks=[Points(folder, first)],
        )


class Points(keras.callbacks.Callback):
    """Keeps a preset, and seconds of training without evaluation, by epoch."""

    def __init__(self, folder, first):
        super().__init__()
        self.folder = folder
        self.first = first

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        spent, point = time.process_time() - self.begin, self.first + epoch
        if point:
            before = self.folder / f"{point}.json"
            spent += pretraining.remember(before, float)
        self.model.save_to_preset(str(self.folder / f"preset-{point + 1}"))
        after = self.folder / f"{point + 1}.json"
        after.unlink(missing_ok=True)  # of a sitting that ended just then
        pretraining.remember(after, lambda: spent)


def corrupted_rows(args):
    """Held-out rows with tokens of the original's generator, and which."""
    path = args.output / "corrupted.npz"
    if not path.exists():
        preset = str(args.output / "original" / f"preset-{args.points}")
        model = keras_electra.ElectraPretrainer.from_preset(preset, seed=0)
        parts = []
        for batch, _ in zip(pretraining.load(args, "validation"), range(40)):
            found = model.predict_on_batch(batch)
            ids = {"token_ids": found["corrupted_token_ids"]}
            parts.append({**batch, **ids, "replaced": found["replaced"]})
        joined = {n: np.concatenate([p[n] for p in parts]) for n in parts[0]}
        np.savez(path, **joined)
    rows = dict(np.load(path))
    return rows, rows.pop("replaced")


def measure(args, arm, point, rows, replaced):
    """Seconds, AUC and mean of tasks at a point."""
    folder = args.output / arm
    preset = str(folder / f"preset-{point}")

    def auc():
        if arm == "ours" and point <= args.points // START:
            return None  # no discriminator yet
        detector = keras_electra.ElectraReplacedTokenDetector.from_preset(
            preset
        )
        used = rows["padding_mask"] > 0
        outputs = zip(detector.predict_rows(rows, 32), used.sum(axis=1))
        logits = np.concatenate([np.array(x[:n]) for x, n in outputs])
        metric = keras.metrics.AUC(num_thresholds=2000, from_logits=True)
        metric.update_state(replaced[used], logits.astype("float32"))
        return float(metric.result())

    def tasks():
        runs = folder / f"finetuning-{point}"
        return pretraining.five_tasks(preset, args, runs, args.seed)

    return {
        "seconds": pretraining.remember(folder / f"{point}.json", float),
        "auc": pretraining.remember(folder / f"auc-{point}.json", auc),
        "tasks": pretraining.remember(folder / f"tasks-{point}.json", tasks),
    }


def compare(curves, name):
    """In what share of the original's time ours has its last value."""
    goal, whole = (
        curves["original"][-1][name],
        curves["original"][-1]["seconds"],
    )
    before = None
    for point in curves["ours"]:
        value, seconds = point[name], point["seconds"]
        if value is not None and value >= goal:
            if before:  # on the line between the two points
                share = (goal - before[0]) / (value - before[0])
                seconds = before[1] + share * (seconds - before[1])
            return (
                f"ours has the original's {goal:.3f} after {seconds:.0f} s, it "
                f"after {whole:.0f} s: {seconds / whole:.2f} of the time"
            )
        before = None if value is None else (value, seconds)
    return f"ours does not reach the original's {goal:.3f}"


def draw(curves, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(TITLES), figsize=(9, 3.6))
    for (name, title), axis in zip(TITLES.items(), axes):
        axis.set(title=title, xlabel="minutes on one core")
        for arm, points in curves.items():
            known = [p for p in points if p[name] is not None]
            minutes = [p["seconds"] / 60 for p in known]
            axis.plot(minutes, [p[name] for p in known], "o-", label=arm)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    pretraining.add_arguments(parser)
    add = parser.add_argument
    add("--size", default="tiny")
    add("--points", type=int, default=6, help="a multiple of 3")
    add("--original-rate", type=float, default=5e-4, help="ELECTRA-Small's")
    add("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.points % START or args.points < START:
        parser.error(f"--points must be a multiple of {START}.")
    return args


if __name__ == "__main__":
    main()
