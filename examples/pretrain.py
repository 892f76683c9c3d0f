"""Pre-trains ELECTRA from text files to a preset, and can be interrupted.

    python examples/pretrain.py "corpus/*.txt.xz" --size tiny --steps 20000 \
        --run run --preset my_electra

Vocabulary and examples are made on the first start; a run that was killed
goes on from its last checkpoint when the same command is given again.
"""

import argparse
import pathlib

import keras

import keras_electra


def main():
    args = parse_arguments()
    if args.dtype:
        keras.config.set_dtype_policy(args.dtype)
    keras.utils.set_random_seed(args.seed)
    run = pathlib.Path(args.run)
    run.mkdir(parents=True, exist_ok=True)

    vocabulary = run / "vocabulary.txt"
    if not vocabulary.exists():
        keras_electra.train_vocabulary(
            args.corpus,
            vocabulary_size=args.vocabulary_size,
            lowercase=not args.cased,
            output=str(vocabulary),
        )
    tokenizer = keras_electra.ElectraTokenizer(
        str(vocabulary), lowercase=not args.cased
    )
    keras_electra.build_examples(
        args.corpus,
        str(run / "examples"),
        tokenizer,
        sequence_length=args.sequence_length,
        validation_fraction=args.validation_fraction,
        seed=args.seed,
        num_processes=args.num_processes,
    )
    train = keras_electra.load_examples(
        str(run / "examples"),
        "train",
        batch_size=args.batch_size,
        seed=args.seed,
    )
    validation = keras_electra.load_examples(
        str(run / "examples"), "validation", batch_size=args.batch_size
    )

    pretrainer = keras_electra.ElectraPretrainer.from_size(
        args.size,
        tokenizer=tokenizer,
        sequence_length=args.sequence_length,
        max_sequence_length=max(args.sequence_length, args.positions),
        dropout=args.dropout,
        seed=args.seed,
    )
    pretrainer.compile(
        optimizer=keras_electra.pretraining_optimizer(
            args.size, num_steps=args.steps, learning_rate=args.learning_rate
        )
    )
    epochs = max(1, args.steps // args.steps_per_epoch)
    pretrainer.fit(
        train,
        validation_data=validation,
        steps_per_epoch=args.steps // epochs,
        epochs=epochs,
        callbacks=[
            keras_electra.ResumableCheckpoint(str(run / "checkpoints")),
            keras.callbacks.CSVLogger(str(run / "log.csv"), append=True),
        ],
        verbose=2,
    )
    pretrainer.save_to_preset(args.preset)
    print(f"The preset is in {args.preset}.")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("corpus", nargs="+", help="text files or patterns")
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--vocabulary-size", type=int, default=8192)
    parser.add_argument("--cased", action="store_true", help="keep case")
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument(
        "--positions", type=int, default=512, help="longest row later on"
    )
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--steps-per-epoch", type=int, default=500)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--dtype", help="for example mixed_bfloat16")
    parser.add_argument("--validation-fraction", type=float, default=0.01)
    parser.add_argument("--num-processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", default="run", help="folder of this run")
    parser.add_argument("--preset", default="my_electra")
    return parser.parse_args()


if __name__ == "__main__":
    main()
