"""Fine-tunes a preset on tasks of GLUE, with several seeds.

    python examples/finetune_glue.py --task mrpc rte --data glue \
        --preset electra_tiny_en --seeds 3 --random-weights --plot

The folder of data has a folder for each task, as GLUE distributes them
(MRPC/train.tsv and so on; `.gz` may follow). Every run leaves a JSON file in
`--output`; the same command given again goes on where it was stopped.
`--compare-padding` shows what grouping by length is worth instead.
"""

import argparse
import pathlib

from keras_electra.finetuning.glue import GlueExperiment
from keras_electra.finetuning.padding import compare_padding
from keras_electra.finetuning.recipes import GLUE
from keras_electra.finetuning.report import plot
from keras_electra.finetuning.report import table
from keras_electra.finetuning.runs import run_all


def main():
    args = parse_arguments()
    optimizer = {
        name: getattr(args, name)
        for name in ("learning_rate", "layer_decay", "weight_decay")
        if getattr(args, name) is not None
    }
    output = pathlib.Path(args.output)
    runs = []
    for task in args.task:
        experiment = GlueExperiment(
            task,
            args.preset,
            args.data,
            protocol=args.protocol,
            epochs=args.epochs,
            batch_size=args.batch_size,
            train_split=args.train_split,
            dev_splits=args.dev_splits,
            limit=args.limit,
            submissions=output / "submissions" if args.submissions else None,
            jit_compile=False if args.no_jit else "auto",
            **optimizer,
        )
        if args.compare_padding:
            print(compare_padding(experiment))
            continue
        found = run_all(
            experiment,
            range(1, args.seeds + 1),
            output,
            random_weights=args.random_weights,
        )
        if args.plot:
            plot(found, output / f"{task}.png")
        runs += found
    if runs:
        print(table(runs))
        print(f"\nAll results are in {output}.")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--task", nargs="+", required=True, help=", ".join(GLUE))
    add("--data", default="glue", help="folder with a folder for each task")
    add("--preset", default="electra_tiny_en", help="name or path")
    add("--seeds", type=int, default=3, help="number of runs")
    add("--random-weights", action="store_true", help="run from these, too")
    add("--protocol", default="paper", help="paper or google")
    add("--epochs", type=int, help="the recipe's if not given")
    add("--batch-size", type=int, help="the recipe's if not given")
    add("--learning-rate", type=float, help="the protocol's if not given")
    add("--layer-decay", type=float, help="the protocol's if not given")
    add("--weight-decay", type=float, help="the protocol's if not given")
    add("--train-split", default="train", help="file without its ending")
    add("--dev-splits", nargs="+", help="files without their ending")
    add("--limit", type=int, help="train on the first examples only")
    add("--submissions", action="store_true", help="answer the test sets")
    add("--plot", action="store_true", help="draw the learning curves")
    add("--no-jit", action="store_true", help="do not compile with XLA")
    add("--compare-padding", action="store_true", help="measure the speed")
    add("--output", default="finetuning", help="folder for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
