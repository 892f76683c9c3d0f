"""What the harnesses have in common to be set, in code and on the command
line."""

import dataclasses
import sys
import typing


@dataclasses.dataclass
class Options:
    """Settings of a run that are not the task's.

    Attributes:
        protocol: string, `"paper"` or `"google"`.
        epochs: int or `None` for the recipe's.
        batch_size: int or `None` for the recipe's.
        dtype: string or `None`. Policy of the network, e.g.
            `"mixed_bfloat16"`. Defaults to `None`: Keras' own of the moment.
        limit: int or `None`. Examples to train on, from the front.
        optimizer: dict. Arguments of `keras_electra.finetuning_optimizer`.
        jit_compile: as in `keras.Model.compile`.
        skip_bad_rows: bool. Whether to leave out rows of the data that are
            malformed; their number becomes one of the settings.
        stream: where progress is shown, or `None` for nowhere.
    """

    protocol: str = "paper"
    epochs: int | None = None
    batch_size: int | None = None
    dtype: str | None = None
    limit: int | None = None
    optimizer: dict = dataclasses.field(default_factory=dict)
    jit_compile: typing.Any = "auto"
    skip_bad_rows: bool = False
    stream: typing.Any = None


def add_arguments(parser):
    """Adds the options that all harnesses take to an `ArgumentParser`."""
    add = parser.add_argument
    add("--preset", default="electra_tiny_en", help="name or path")
    add("--seeds", type=int, default=3, help="number of runs")
    add("--random-weights", action="store_true", help="run from these, too")
    add("--protocol", default="paper", help="paper or google")
    add("--epochs", type=int, help="the recipe's if not given")
    add("--batch-size", type=int, help="the recipe's if not given")
    add("--learning-rate", type=float, help="the protocol's if not given")
    add("--layer-decay", type=float, help="the protocol's if not given")
    add("--weight-decay", type=float, help="the protocol's if not given")
    add("--dtype", help="float32 (if not given) or mixed_bfloat16")
    add("--limit", type=int, help="train on the first examples only")
    add("--skip-bad-rows", action="store_true", help="go on without them")
    add("--no-jit", action="store_true", help="do not compile with XLA")
    add("--plot", action="store_true", help="draw the learning curves")
    add("--output", default="finetuning", help="folder for the results")


def from_arguments(args):
    """The `Options` of parsed arguments."""
    names = ("learning_rate", "layer_decay", "weight_decay")
    given = {name: getattr(args, name) for name in names}
    return Options(
        protocol=args.protocol,
        epochs=args.epochs,
        batch_size=args.batch_size,
        dtype=args.dtype,
        limit=args.limit,
        optimizer={k: v for k, v in given.items() if v is not None},
        jit_compile=False if args.no_jit else "auto",
        skip_bad_rows=args.skip_bad_rows,
        stream=sys.stderr,
    )
