"""What the examples that write share: a writer, trained once and kept.

A run that was killed goes on from its last checkpoint when the same command is
given again; a preset that is complete is opened, and nothing is trained.
"""

import argparse
import gzip
import pathlib

import keras

import keras_electra


def read_lines(path):
    """The lines of a text file, which may be compressed by gzip."""
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def parser_of(doc, **defaults):
    """A parser of what all these programs take; `defaults` of a program."""
    parser = argparse.ArgumentParser(
        description=doc.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=pathlib.Path, required=True, help="folder of the data")
    add("--start", default="electra_tiny_en", help="preset to begin with")
    add("--preset", default=defaults.pop("preset"), help="folder of the writer")
    add("--steps", type=int)
    add("--batch-size", type=int)
    add("--learning-rate", type=float)
    add("--target-length", type=int, help="tokens, a multiple of 8")
    add("--sequence-length", type=int, help="tokens of a row")
    add("--lowest-rate", type=float, default=0.05, help="of masking")
    add("--dtype", default="mixed_bfloat16", help="float32 without AVX-512")
    add("--seed", type=int, default=0)
    add("--quick", action="store_true", help="a few steps, to try it")
    parser.set_defaults(**defaults)
    return parser


def trained_writer(args, train, held_out, calibrate=True):
    """The `ElectraTextGenerator` of `args.preset`, trained first if need be.

    `train` and `held_out` are what `fit` takes: texts or pairs.
    """
    keras.config.set_dtype_policy(args.dtype)
    if pathlib.Path(args.preset, "config.json").exists():
        return keras_electra.ElectraTextGenerator.from_preset(args.preset)
    keras.utils.set_random_seed(args.seed)
    writer = keras_electra.ElectraTextGenerator.from_preset(
        args.start,
        generator="backbone",  # one network: it judges as well as it proposes
        mask_fraction=(args.lowest_rate, 1.0),
        sequence_length=args.sequence_length,
        target_length=args.target_length,
        seed=args.seed,
    )
    steps = 4 if args.quick else args.steps
    writer.compile(
        optimizer=keras_electra.pretraining_optimizer(
            "small", steps, args.learning_rate
        )
    )
    epochs = min(20, steps)
    run = pathlib.Path(f"{args.preset}.run")
    run.mkdir(parents=True, exist_ok=True)
    writer.fit(
        train,
        batch_size=args.batch_size,
        steps_per_epoch=steps // epochs,
        epochs=epochs,
        validation_data=held_out,
        callbacks=[
            keras_electra.ResumableCheckpoint(str(run)),
            keras.callbacks.CSVLogger(str(run / "log.csv"), append=True),
        ],
        verbose=2,
    )
    if calibrate:
        writer.calibrate(held_out)
        print(f"calibration: {writer.calibration}")
        print(f"threshold {writer.threshold}, margin {writer.margin}")
    writer.save_to_preset(args.preset)
    return writer


def show_table(title, rows):
    """Prints names with numbers, a dict, one a line."""
    print(f"\n{title}")
    for name, values in rows.items():
        numbers = "".join(f"{value:10.2f}" for value in values)
        print(f"  {name:<34}{numbers}")


def normalised(writer, texts):
    """Texts as the writer's tokenizer would write them, to compare with."""
    tokenizer = writer.preprocessor.tokenizer
    return tokenizer.detokenize(tokenizer([*texts]))
