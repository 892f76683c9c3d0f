"""Times fine-tuning and prediction on short texts, against transformers.

    python examples/benchmarks/finetuning_speed.py --data glue --dtypes bfloat16

All start from the same preset (ours is exported for the others), read the first
texts of SST-2 as strings, train on them once in batches of 32, and classify
them. The others are transformers' `Trainer` with `DataCollatorWithPadding` and
its `pipeline`, which pad every batch to its longest text, and the `Trainer`
with the strategy that puts texts of a length together. Every measurement is
the second pass in a process of its own, and all take turns. Needs
`pip install transformers accelerate`.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

LAYOUT = "{:<26} {:>9} {:>12} {:>12} {:>7} {:>7}"
OURS = "keras_electra"
USUAL, BY_LENGTH = "trainer", "trainer-by-length"


def main():
    args = parse_arguments()
    if args.worker:
        print(json.dumps(measure(args)))
        return
    contenders = [(OURS, backend) for backend in args.backends]
    contenders += [(peer, "torch") for peer in args.peers]
    with tempfile.TemporaryDirectory() as folder:
        run(worker("export", args, folder), args.backends[0])
        for dtype in args.dtypes:
            results = {contender: [] for contender in contenders}
            for _ in range(args.rounds):
                for name, backend in contenders:
                    results[name, backend].append(
                        run(worker(name, args, folder, dtype), backend)
                    )
            print_table(results, dtype)


def worker(name, args, folder, dtype="float32"):
    command = [sys.executable, __file__, "--worker", name, "--dtypes", dtype]
    for option in ("data", "preset", "texts", "batch"):
        command += [f"--{option}", str(getattr(args, option))]
    return [*command, "--exported", folder]


def run(command, backend):
    environment = {**os.environ, "KERAS_BACKEND": backend}
    process = subprocess.run(
        command, env=environment, capture_output=True, text=True
    )
    if process.returncode:
        raise SystemExit(process.stderr)
    return json.loads(process.stdout.splitlines()[-1])


def print_table(results, dtype):
    print(
        LAYOUT.format("texts a second", "dtype", "fine-tuning", "prediction",
                      "ratio", "ratio")
    )  # fmt: skip
    tasks = ("fine-tuning", "prediction")
    rates = {
        contender: [
            statistics.median(run[task] for run in runs) for task in tasks
        ]
        for contender, runs in results.items()
    }
    usual = rates.get((USUAL, "torch"))
    for (name, backend), pair in rates.items():
        ratios = ["", ""]
        if usual:
            ratios = [f"{rate / other:.2f}" for rate, other in zip(pair, usual)]
        numbers = [f"{rate:,.0f}" for rate in pair]
        print(LAYOUT.format(f"{name} ({backend})", dtype, *numbers, *ratios))
    print(f"ratio: to {USUAL} on the same machine in the same precision.")


def measure(args):
    """What the process of one measurement does."""
    from harness.glue_data import read_glue
    from harness.recipes import glue_recipe

    recipe = glue_recipe("sst2")
    examples = read_glue(pathlib.Path(args.data) / "SST-2", recipe, "train")
    examples = examples.first(args.texts)
    texts, labels = examples.texts[0], examples.labels
    if args.worker == "export":
        classifier(args).export_to_transformers(args.exported)
        return None
    programs = ours if args.worker == OURS else theirs
    seconds = {}
    for task, program in programs(args, texts, labels).items():
        program()
        start = time.perf_counter()
        program()
        seconds[task] = time.perf_counter() - start
    return {task: len(texts) / value for task, value in seconds.items()}


def classifier(args):
    import keras_electra

    return keras_electra.ElectraTextClassifier.from_preset(
        args.preset, num_classes=2, head="transformers"
    )


def ours(args, texts, labels):
    import keras

    import keras_electra

    if args.dtypes[0] != "float32":
        keras.config.set_dtype_policy(f"mixed_{args.dtypes[0]}")
    task = classifier(args)
    steps = 2 * -(-len(texts) // args.batch)
    task.compile(
        optimizer=keras_electra.finetuning_optimizer(task.backbone, steps)
    )

    def fit():
        task.fit(texts, labels, batch_size=args.batch, verbose=0)

    return {
        "fine-tuning": fit,
        "prediction": lambda: task.classify(texts, batch_size=args.batch),
    }


def theirs(args, texts, labels):
    import torch
    import transformers

    half = args.dtypes[0] == "bfloat16"
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.exported)
    load = transformers.AutoModelForSequenceClassification.from_pretrained
    model = load(args.exported)
    settings = transformers.TrainingArguments(
        output_dir=args.exported,
        per_device_train_batch_size=args.batch,
        num_train_epochs=1,
        bf16=half,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        train_sampling_strategy=(
            "random" if args.worker == USUAL else "group_by_length"
        ),
    )

    def fit():
        rows = tokenizer(texts, truncation=True)
        rows = [
            {"input_ids": ids, "labels": int(label)}
            for ids, label in zip(rows["input_ids"], labels)
        ]
        transformers.Trainer(
            model,
            settings,
            train_dataset=rows,
            data_collator=transformers.DataCollatorWithPadding(tokenizer),
        ).train()

    pipeline = transformers.pipeline(
        "text-classification",
        model=load(args.exported, dtype=torch.bfloat16 if half else None),
        tokenizer=tokenizer,
    )
    return {
        "fine-tuning": fit,
        "prediction": lambda: pipeline(texts, batch_size=args.batch),
    }


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data", default="glue", help="folder with the folder SST-2")
    add("--preset", default="electra_small_en")
    add("--texts", type=int, default=2048)
    add("--batch", type=int, default=32, help="texts at a time")
    add("--backends", nargs="+", default=["torch", "jax", "tensorflow"])
    add("--peers", nargs="*", default=[USUAL, BY_LENGTH])
    add("--dtypes", nargs="+", default=["float32", "bfloat16"])
    add("--rounds", type=int, default=3)
    add("--worker", help=argparse.SUPPRESS)
    add("--exported", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
