"""Time, size and flipped labels of one text at a time, in all that can run it.

    KERAS_BACKEND=torch python examples/benchmarks/latency.py --data glue/SST-2

Of one classifier: `classify` here, its export in onnxruntime and OpenVINO in 32
and 8 bits, transformers' pipeline with the same weights, and onnxruntime's own
8 bits of transformers' graph. All take turns on two threads. Then `classify` of
lists beside the pipeline. `--data` has `train.tsv` (or `.gz`) and `dev.tsv` of
SST-2, to fine-tune on first; with `--train 0` `--preset` is trained already.
`--cpu` counts seconds of the processor, which other programs change less.
"""

import argparse
import gzip
import os
import pathlib
import random
import statistics
import tempfile
import time

LAYOUT = "{:<56} {:>8} {:>6} {:>8}"
WORDS = ["the film is good", "a dull and long story", "what a fine day"] * 40


def main():
    args = parse_arguments()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    for name in ("INTRAOP", "INTEROP"):
        os.environ[f"TF_NUM_{name}_THREADS"] = str(args.threads)
    import keras
    import transformers

    keras.config.disable_interactive_logging()
    transformers.utils.logging.set_verbosity_error()
    say(f"{keras.config.backend()}, {args.threads} threads")
    classifier, texts = make_classifier(args)
    words = sorted({word for text in texts for word in text.split()})
    long = make_text(classifier.preprocessor.tokenizer, words, 128)
    short = "The chef cooked a very good meal today"
    with tempfile.TemporaryDirectory() as folder:
        pipeline, runs = make_runs(classifier, pathlib.Path(folder), args)
        say(LAYOUT.format("one text", "ms", "MB", "flipped"))
        labels = classify(classifier, texts)
        flipped = {
            name: statistics.mean(a != b for a, b in zip(run(texts), labels))
            for name, (run, size) in runs.items()
            if size
        }
        for text, title in ((long, "128 tokens"), (short, "8 words")):
            alone = {n: lambda run=r: run([text]) for n, (r, _) in runs.items()}
            found = take_turns(alone, args.rounds, args.cpu)
            for name, (_, size) in runs.items():
                row = (f"{name}, {title}", f"{found[name]:.2f}", "", "")
                if size:
                    row = (*row[:2], f"{size:.1f}", f"{flipped[name]:.2%}")
                say(LAYOUT.format(*row))
    draws = random.Random(0)
    for title, counts in (
        ("one length", [20]),
        ("mixed lengths", [4, 8, 16, 32, 80]),
    ):
        some = [
            " ".join(draws.choices(words, k=draws.choice(counts)))[:600]
            for _ in range(args.texts)
        ]
        both = {
            "ours": lambda: classifier.classify(some),
            "theirs": lambda: pipeline(some, batch_size=32),
        }
        found = take_turns(both, max(3, args.rounds // 10), args.cpu)
        say(
            f"{len(some)} texts of {title}: classify {found['ours']:.0f} ms, "
            f"pipeline {found['theirs']:.0f} ms, "
            f"{found['theirs'] / found['ours']:.2f} times as fast"
        )


def say(text):
    print(text, flush=True)


def make_classifier(args):
    """A trained classifier, and texts to judge."""
    import keras_electra

    cls = keras_electra.ElectraTextClassifier
    if args.data is None:
        return cls.from_preset(args.preset, labels=["bad", "good"]), WORDS
    texts = [text for text, _ in read(args.data, "dev")][: args.judged]
    if args.train == 0:
        return cls.from_preset(args.preset), texts
    classifier = cls.from_preset(args.preset, labels=["bad", "good"])
    train = read(args.data, "train")
    random.Random(0).shuffle(train)
    x, y = zip(*train[: args.train])
    start = time.perf_counter()
    classifier.fit(list(x), list(map(int, y)), batch_size=32, verbose=0)
    say(f"fine-tuned in {time.perf_counter() - start:.0f} s")
    return classifier, texts


def read(folder, part):
    """Pairs of a text and a label, of a file with a header."""
    (path,) = folder.glob(f"{part}.tsv*")
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    rows = data.decode("utf-8").splitlines()[1:]
    return [tuple(row.rsplit("\t", 1)) for row in rows]


def make_text(tokenizer, words, length):
    """A text of that many tokens, special ones included."""
    draws, text = random.Random(1), ""
    while len(tokenizer.encode_batch([text])[0]) < length - 2:
        before, text = text, f"{text} {draws.choice(words)}".strip()
    if len(tokenizer.encode_batch([text])[0]) > length - 2:
        return before
    return text


def classify(classifier, texts):
    return [best[0][0] for best in classifier.classify(list(texts))]


def make_runs(classifier, folder, args):
    """The pipeline; by name what gives labels of texts, and its size in MB."""
    import torch
    import transformers
    from onnxruntime import quantization

    torch.set_num_threads(args.threads)
    classifier.export(folder / "ours", quantize="int8")
    classifier.export(folder / "openvino", "openvino", quantize="int8")
    classifier.export_to_transformers(folder / "theirs")
    pipeline = transformers.pipeline(
        "text-classification", str(folder / "theirs"), device="cpu"
    )
    # What transformers gives, with inputs as optimum names them.
    graph = folder / "theirs.onnx"
    names = ("input_ids", "attention_mask", "token_type_ids")
    sample = tuple(torch.ones((2, 5), dtype=torch.int64) for _ in names)
    pipeline.model.config.return_dict = False
    torch.onnx.export(
        pipeline.model,
        sample,
        graph,
        input_names=names,
        dynamic_shapes={name: {0: "batch", 1: "length"} for name in names},
        output_names=["logits"],
        dynamo=True,
        verbose=False,
        external_data=False,
    )
    pipeline.model.config.return_dict = True
    small = folder / "theirs_quantized.onnx"
    quantization.quantize_dynamic(graph, small)
    runs = {
        "classify": (lambda texts: classify(classifier, texts), None),
        "transformers' pipeline": (
            lambda texts: [best["label"] for best in pipeline(list(texts))],
            None,
        ),
    }
    labels = list(classifier.labels or map(str, range(classifier.num_classes)))
    ours, vino = folder / "ours/onnx", folder / "openvino/openvino"
    for title, path in {
        "export, onnxruntime, float32": ours / "model.onnx",
        "export, onnxruntime, int8": ours / "model_quantized.onnx",
        "transformers' graph, onnxruntime, float32": graph,
        "transformers' graph, onnxruntime, its int8": small,
        "export, OpenVINO, float32": vino / "openvino_model.xml",
        "export, OpenVINO, int8": vino / "openvino_model_qint8_quantized.xml",
    }.items():
        tokenizer = folder / "ours/tokenizer.json"
        run = by_graph(path, tokenizer, labels, args.threads)
        files = path.parent.glob(f"{path.stem}.*")
        runs[title] = run, sum(f.stat().st_size for f in files) / 1e6
    return pipeline, runs


def by_graph(path, tokenizer, labels, threads):
    """A function from texts to labels, tokens included."""
    import numpy as np
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
    tokenizer.enable_truncation(512)
    fields = {"input_ids": "ids", "attention_mask": "attention_mask"}
    fields["token_type_ids"] = "type_ids"
    if path.suffix == ".onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options)

        def compute(x):
            return session.run(None, x)[0]
    else:
        import openvino

        settings = {"INFERENCE_NUM_THREADS": threads}
        settings["PERFORMANCE_HINT"] = "LATENCY"
        model = openvino.Core().compile_model(path, "CPU", settings)

        def compute(x):
            return model(x)[0]

    def run(texts):
        found = []
        for row in map(tokenizer.encode, texts):
            x = {n: np.array([getattr(row, f)]) for n, f in fields.items()}
            found.append(labels[int(compute(x).argmax())])
        return found

    return run


def take_turns(runs, rounds, cpu):
    """Medians of milliseconds; in every round all run once, in any order."""
    clock = time.process_time if cpu else time.perf_counter
    seconds, names = {name: [] for name in runs}, list(runs)
    for number in range(rounds + 3):
        random.shuffle(names)
        for name in names:
            start = clock()
            runs[name]()
            if number >= 3:
                seconds[name].append(clock() - start)
    return {n: 1000 * statistics.median(s) for n, s in seconds.items()}


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--preset", default="electra_small_en")
    add("--data", type=pathlib.Path, help="folder with SST-2")
    add("--train", type=int, default=3000, help="texts; 0 for none")
    add("--judged", type=int, default=872, help="texts whose labels may flip")
    add("--texts", type=int, default=256, help="in a list")
    add("--rounds", type=int, default=50)
    add("--threads", type=int, default=2)
    add("--cpu", action="store_true", help="measure processor time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
