"""Trains `electra_tiny_en`, from text files to the preset, on two cores.

    KERAS_BACKEND=torch python examples/preset_training/train_tiny_preset.py \
        "corpus/*/*-train-*.txt.xz" --run run --preset electra_tiny_en

`--size small` trains `electra_small_en`, on one GPU:

    KERAS_BACKEND=jax python examples/preset_training/train_tiny_preset.py \
        --size small --run run --preset electra_small_en \
        "corpus/*/*-train-*.txt.xz"

Vocabulary, examples, a start by masked language modelling, then ELECTRA, for
the tiny one against two generators in turn, and at last with heads that compare
segments. A run that was stopped goes on from
its last checkpoint when the same command is given again. Curves are in the
folder of the run: `masking.csv`, `electra.csv`, `late.csv`, `pairs.csv`,
`curves.png` and, with TensorBoard installed, `tensorboard`. A stage of 0 steps
is left out: `--steps 0 --late-steps 0 --pair-steps 0` leaves it at masked
language modelling.
"""

import argparse
import importlib.util
import pathlib

import initialization
import keras
import numpy as np
from duplicate_token_heads import initialize_duplicate_token_heads
from muon import short_run_optimizer
from preset_recipes import RECIPES
from training_curves import EpochSeconds
from training_curves import draw_curves

import keras_electra

SEQUENCE_LENGTH = 128  # of the rows to train on
# That texts may have. The rows of the longer ones stay sines and cosines.
MAX_SEQUENCE_LENGTH = 512
EMBEDDING_DIM = 128
# Of the start: twice the predictions for little more time.
MASKING_FRACTION = 0.3
# Of the discriminator's loss. With the paper's 50 it rules over the shared
# embeddings, and in a short run the generator unlearns what it knew.
DISCRIMINATOR_WEIGHT = 5.0
STAGES = ("masking_steps", "steps", "late_steps", "pair_steps")
FROM_RECIPE = ("vocabulary_size", "batch_size", *STAGES)


def main():
    args = parse_arguments()
    keras.config.set_dtype_policy(args.dtype)
    keras.utils.set_random_seed(args.seed)
    run = pathlib.Path(args.run)
    run.mkdir(parents=True, exist_ok=True)
    tokenizer = make_examples(args, run)
    counts = count_tokens(run, tokenizer.vocabulary_size())
    backbone = build(RECIPES[args.size].discriminator, tokenizer)
    initialization.initialize_relative_positions(backbone, args.seed)
    pretrainer = masked_language_model(
        backbone, tokenizer, counts, RECIPES[args.size], args.seed
    )
    if args.masking_steps:
        start_by_masking(args, run, pretrainer)
    # Now, as ELECTRA changes the layers that it copies.
    late = with_first_layers(pretrainer, RECIPES[args.size], args.seed)
    if args.steps:
        pretrainer = train(args, run, pretrainer, counts)
    if args.late_steps:
        pretrainer = go_on(args, run, late, pretrainer)
    if args.pair_steps:
        compare_segments(args, run, pretrainer, counts)
    draw_curves(run)
    pretrainer.save_to_preset(
        args.preset, weights_dtype=RECIPES[args.size].weights_dtype
    )
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
        num_processes=args.num_processes,
    )
    return tokenizer


def load(run, split, batch_size, seed=0):
    return keras_electra.load_examples(
        str(run / "examples"), split, batch_size=batch_size, seed=seed
    )


def count_tokens(run, vocabulary_size):
    path = run / "counts.npy"
    if not path.exists():
        np.save(
            path,
            initialization.count_tokens(
                load(run, "train", 16), vocabulary_size
            ),
        )
    return np.load(path)


def build(sizes, tokenizer, embeddings=None):
    return keras_electra.ElectraBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        embedding_dim=EMBEDDING_DIM,
        max_sequence_length=MAX_SEQUENCE_LENGTH,
        dropout=0.0,  # less than one pass over the text cannot overfit
        # Variances as at the width of BERT, whose 0.02 is for 768.
        initializer_range=0.6 / sizes["hidden_dim"] ** 0.5,
        embeddings=embeddings,
        **sizes,
    )


def masked_language_model(backbone, tokenizer, counts, recipe, seed):
    model = keras_electra.ElectraPretrainer(
        backbone,
        backbone,
        preprocessor(tokenizer),
        mask_fraction=MASKING_FRACTION,
        mask_token_rate=recipe.mask_token_rate,
        random_token_rate=recipe.random_token_rate,
        discriminator_weight=0.0,
        seed=seed,
    )
    initialization.initialize_unigram_bias(model, counts)
    return model


def start_by_masking(args, run, model):
    """Trains the network as a masked language model.

    The generator learns faster than the discriminator at first. One that
    starts behind learns nothing but that most tokens are original.
    """
    rate = RECIPES[args.size].masking_rate
    steps = args.masking_steps
    fit(model, args, run, "masking", steps, rate, args.seed)


def train(args, run, start, counts):
    """ELECTRA, from the network that the start has trained."""
    recipe = RECIPES[args.size]
    generator = build(
        recipe.generator,
        start.preprocessor.tokenizer,
        start.backbone.embeddings,
    )
    initialization.initialize_relative_positions(
        generator, args.seed + 1, set_embeddings=False
    )
    model = electra(start, generator, args.seed)
    initialization.initialize_unigram_bias(model, counts)
    # Other rows than those of the start.
    fit(model, args, run, "electra", args.steps, recipe.rate, args.seed + 1)
    return model


def electra(start, generator, seed):
    return keras_electra.ElectraPretrainer(
        start.backbone,
        generator,
        start.preprocessor,
        discriminator_weight=DISCRIMINATOR_WEIGHT,
        seed=seed,
    )


def with_first_layers(start, recipe, seed):
    """ELECTRA with the first layers of the start for a generator.

    They know already what to propose, and the discriminator has more layers
    to tell it by.
    """
    generator = build(
        dict(recipe.discriminator, num_layers=recipe.late_layers),
        start.preprocessor.tokenizer,
        start.backbone.embeddings,
    )
    for copy, layer in [
        (generator.embeddings_projection, start.backbone.embeddings_projection),
        *zip(generator.transformer_layers, start.backbone.transformer_layers),
    ]:
        copy.set_weights(layer.get_weights())
    model = electra(start, generator, seed)
    model.generator_head.set_weights(start.generator_head.get_weights())
    return model


def go_on(args, run, model, trained):
    """ELECTRA against the second generator."""
    model.discriminator_head.set_weights(
        trained.discriminator_head.get_weights()
    )
    rate = RECIPES[args.size].late_rate
    fit(model, args, run, "late", args.late_steps, rate, args.seed + 2)
    return model


def compare_segments(args, run, model, counts):
    """ELECTRA with heads that look for a word in the other segment.

    What they read with is not trained: to propose and to detect one word they
    are of little use, and they would soon look for something else.
    """
    backbone, tokenizer = model.backbone, model.preprocessor.tokenizer
    special = [tokenizer.cls_token_id, tokenizer.sep_token_id]
    initialize_duplicate_token_heads(backbone, counts, special, seed=args.seed)
    written = (
        backbone.embeddings,
        backbone.embeddings_projection,
        backbone.transformer_layers[0].attention,
    )
    for layer in written:
        layer.trainable = False
    rate = RECIPES[args.size].late_rate
    fit(model, args, run, "pairs", args.pair_steps, rate, args.seed + 3)
    for layer in written:
        layer.trainable = True


def preprocessor(tokenizer):
    return keras_electra.ElectraPretrainerPreprocessor(
        tokenizer, sequence_length=SEQUENCE_LENGTH
    )


def fit(model, args, run, name, steps, rate, seed):
    """Trains one stage, or what of it is left to train."""
    epochs = max(1, steps // args.steps_per_epoch)
    at_once = RECIPES[args.size].steps_per_execution
    if keras.config.backend() == "torch":
        at_once = 1
    model.compile(
        optimizer=short_run_optimizer(steps, rate), steps_per_execution=at_once
    )
    callbacks = [
        keras_electra.ResumableCheckpoint(str(run / name)),
        EpochSeconds(),
        keras.callbacks.CSVLogger(str(run / f"{name}.csv"), append=True),
    ]
    if importlib.util.find_spec("tensorflow"):
        callbacks.append(
            keras.callbacks.TensorBoard(
                str(run / "tensorboard" / name), write_graph=False
            )
        )
    model.fit(
        load(run, "train", args.batch_size, seed),
        validation_data=load(run, "validation", args.batch_size),
        steps_per_epoch=steps // epochs,
        epochs=epochs,
        callbacks=callbacks,
        verbose=2,
    )


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("corpus", nargs="+", help="text files or patterns")
    parser.add_argument("--run", default="run", help="folder of this run")
    parser.add_argument("--preset", default="my_electra")
    parser.add_argument("--size", choices=RECIPES, default="tiny")
    for name in FROM_RECIPE:
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=int, help="the recipe's if not given")
    parser.add_argument("--steps-per-epoch", type=int, default=500)
    parser.add_argument("--num-processes", type=int, default=2)
    parser.add_argument("--dtype", default="mixed_bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in FROM_RECIPE:
        if getattr(args, name) is None:
            setattr(args, name, getattr(RECIPES[args.size], name))
    if not any(getattr(args, name) for name in STAGES):
        parser.error("One of the four numbers of steps must be above 0.")
    return args


if __name__ == "__main__":
    main()
