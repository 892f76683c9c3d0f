"""Trains `electra_tiny_en`, from text files to the preset, on two cores.

    KERAS_BACKEND=torch python examples/train_tiny_preset.py \
        "corpus/*/*-train-*.txt.xz" --run run --preset electra_tiny_en

Vocabulary, examples, a start by masked language modelling, then ELECTRA. A
run that was stopped goes on from its last checkpoint when the same command is
given again. Curves are in the folder of the run: `masking.csv`, `electra.csv`,
`curves.png` and, with TensorBoard installed, `tensorboard`. `--steps 0` leaves
it at masked language modelling, `--masking-steps 0` leaves the start out.
"""

import argparse
import csv
import importlib.util
import pathlib
import time

import keras
import numpy as np

import keras_electra
from keras_electra.pretraining import head_start
from keras_electra.training.muon import short_run_optimizer

VOCABULARY_SIZE = 8192
SEQUENCE_LENGTH = 128  # of the rows to train on
# That texts may have. The rows of the longer ones stay sines and cosines.
MAX_SEQUENCE_LENGTH = 512
BATCH_SIZE = 16  # rows; in a given time more steps help more than more rows
EMBEDDING_DIM = 128
DISCRIMINATOR = {  # chosen by tiny_preset_trials.py
    "num_layers": 3,
    "num_heads": 6,
    "hidden_dim": 288,
    "intermediate_dim": 1152,
}
# Of the start: twice the predictions for little more time.
MASKING_FRACTION = 0.3
MASKING_RATE = 4e-3
# Lower, so that what the start has learnt is not overwritten.
ELECTRA_RATE = 2e-3
# Of the discriminator's loss; the paper's 50 is for two networks.
DISCRIMINATOR_WEIGHT = 5.0
# Draws of a generator as good as the discriminator are hard to tell from
# originals. With this about half of them come from the tail.
TEMPERATURE = 1.25


def main():
    args = parse_arguments()
    keras.config.set_dtype_policy(args.dtype)
    keras.utils.set_random_seed(args.seed)
    run = pathlib.Path(args.run)
    run.mkdir(parents=True, exist_ok=True)
    tokenizer = make_examples(args, run)
    counts = count_tokens(run, tokenizer.vocabulary_size())
    backbone = build(DISCRIMINATOR, tokenizer)
    head_start.know_neighbours(backbone, args.seed)
    pretrainer = masked_language_model(backbone, tokenizer, counts, args.seed)
    if args.masking_steps:
        start_by_masking(args, run, pretrainer)
    if args.steps:
        pretrainer = train(args, run, pretrainer)
    draw_curves(run)
    pretrainer.save_to_preset(args.preset)
    print(f"The preset is in {args.preset}, the curves are in {run}.")


def make_examples(args, run):
    vocabulary = run / "vocabulary.txt"
    if not vocabulary.exists():
        keras_electra.train_vocabulary(
            args.corpus,
            vocabulary_size=args.vocabulary_size,
            lowercase=True,
            output=str(vocabulary),
        )
    tokenizer = keras_electra.ElectraTokenizer(str(vocabulary), lowercase=True)
    keras_electra.build_examples(
        args.corpus,
        str(run / "examples"),
        tokenizer,
        sequence_length=SEQUENCE_LENGTH,
        validation_fraction=0.002,
        seed=args.seed,
        num_processes=2,
    )
    return tokenizer


def load(run, split, seed=0, batch_size=BATCH_SIZE):
    return keras_electra.load_examples(
        str(run / "examples"), split, batch_size=batch_size, seed=seed
    )


def count_tokens(run, vocabulary_size):
    path = run / "counts.npy"
    if not path.exists():
        np.save(
            path, head_start.count_tokens(load(run, "train"), vocabulary_size)
        )
    return np.load(path)


def build(sizes, tokenizer):
    return keras_electra.ElectraBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        embedding_dim=EMBEDDING_DIM,
        max_sequence_length=MAX_SEQUENCE_LENGTH,
        dropout=0.0,  # less than one pass over the text cannot overfit
        # Variances as at the width of BERT, whose 0.02 is for 768.
        initializer_range=0.6 / sizes["hidden_dim"] ** 0.5,
        **sizes,
    )


def masked_language_model(backbone, tokenizer, counts, seed):
    model = keras_electra.ElectraPretrainer(
        backbone,
        backbone,
        preprocessor(tokenizer),
        mask_fraction=MASKING_FRACTION,
        discriminator_weight=0.0,
        seed=seed,
    )
    head_start.know_frequencies(model, counts)
    return model


def start_by_masking(args, run, model):
    """Trains the network as a masked language model.

    The generator learns faster than the discriminator at first. One that
    starts behind learns nothing but that most tokens are original.
    """
    optimizer = short_run_optimizer(args.masking_steps, MASKING_RATE)
    fit(model, optimizer, args, run, "masking", args.masking_steps, args.seed)


def train(args, run, start):
    """ELECTRA, with one network for both roles.

    As good as two in the paper (section 3.2: GLUE 84.4 with all weights tied,
    84.3 with the embeddings), and what the start has learnt is kept.
    """
    model = keras_electra.ElectraPretrainer(
        start.backbone,
        start.backbone,
        start.preprocessor,
        discriminator_weight=DISCRIMINATOR_WEIGHT,
        temperature=TEMPERATURE,
        seed=args.seed,
    )
    model.generator_head.set_weights(start.generator_head.get_weights())
    optimizer = short_run_optimizer(args.steps, ELECTRA_RATE)
    # Other rows than those of the start.
    fit(model, optimizer, args, run, "electra", args.steps, args.seed + 1)
    return model


def preprocessor(tokenizer):
    return keras_electra.ElectraPretrainerPreprocessor(
        tokenizer, sequence_length=SEQUENCE_LENGTH
    )


def fit(model, optimizer, args, run, name, steps, seed):
    """Trains one stage, or what of it is left to train."""
    epochs = max(1, steps // args.steps_per_epoch)
    model.compile(optimizer=optimizer)
    callbacks = [
        keras_electra.ResumableCheckpoint(str(run / name)),
        EpochSeconds(),
        keras.callbacks.CSVLogger(str(run / f"{name}.csv"), append=True),
    ]
    if importlib.util.find_spec("tensorboard"):
        callbacks.append(
            keras.callbacks.TensorBoard(
                str(run / "tensorboard" / name), write_graph=False
            )
        )
    model.fit(
        load(run, "train", seed),
        validation_data=load(run, "validation"),
        steps_per_epoch=steps // epochs,
        epochs=epochs,
        callbacks=callbacks,
        verbose=2,
    )


class EpochSeconds(keras.callbacks.Callback):
    """Adds the time of training, without that of evaluation, to the logs."""

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.end = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = self.end - self.begin


def draw_curves(run):
    """Draws what the CSV files hold."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = {
        "generator_loss": "loss of the masked tokens, nats",
        "discriminator_loss": "loss of the discriminator, nats",
        "discriminator_auc": "AUC of the discriminator",
    }
    figure, axes = pyplot.subplots(1, len(panels), figsize=(12, 3.6))
    for name in ("masking", "electra"):
        if not (run / f"{name}.csv").exists():
            continue
        rows = list(csv.DictReader((run / f"{name}.csv").open()))
        for (metric, title), axis in zip(panels.items(), axes):
            axis.set(title=title, xlabel="epoch")
            for prefix, style in (("", "-"), ("val_", ":")):
                if metric in rows[0]:
                    axis.plot(
                        [int(row["epoch"]) + 1 for row in rows],
                        [float(row[prefix + metric]) for row in rows],
                        style,
                        label=f"{name}, {'held out' if prefix else 'training'}",
                    )
    axes[0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(run / "curves.png", dpi=110)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("corpus", nargs="+", help="text files or patterns")
    parser.add_argument("--run", default="run", help="folder of this run")
    parser.add_argument("--preset", default="my_electra")
    parser.add_argument("--vocabulary-size", type=int, default=VOCABULARY_SIZE)
    parser.add_argument("--masking-steps", type=int, default=9_000)
    parser.add_argument("--steps", type=int, default=4_500)
    parser.add_argument("--steps-per-epoch", type=int, default=500)
    parser.add_argument("--dtype", default="mixed_bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not (args.masking_steps or args.steps):
        parser.error("--steps and --masking-steps cannot both be 0.")
    return args


if __name__ == "__main__":
    main()
