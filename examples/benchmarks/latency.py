"""Time, size and flipped labels of one text at a time, in all that can run it.

    KERAS_BACKEND=torch python examples/benchmarks/latency.py --data glue/SST-2

Of one classifier: `classify` here, its export in onnxruntime and OpenVINO in 32
and 8 bits, transformers' pipeline with the same weights, and onnxruntime's own
8 bits of transformers' graph. All take turns on two threads. Then `classify` of
lists beside the pipeline. `--data` has `train.tsv` (or `.gz`) and `dev.tsv` of
SST-2, to fine-tune on for two minutes; with `--train 0` `--preset` is trained.
"""

import argparse
import gzip
import os
import pathlib
import random
import statistics
import tempfile
import time

LAYOUT = "{:<44} {:>8} {:>8} {:>8}"


def main():
    args = parse_arguments()
    for name in ("OMP", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"):
        name += "_NUM_THREADS" if name == "OMP" else "_THREADS"
        os.environ[name] = str(args.threads)
    import keras
    import transformers

    keras.config.disable_interactive_logging()
    transformers.utils.logging.set_verbosity_error()
    classifier, texts = make_classifier(args)
    words = sorted({word for text in texts for word in text.split()})
    long = make_text(classifier, words, 128)
    short = "The chef cooked a very good meal today"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        pipeline, runs = make_runs(classifier, folder, args)
        print(f"{keras.config.backend()}, {args.threads} threads")
        print(LAYOUT.format("one text", "ms", "MB", "flipped"))
        for text, title in ((long, "128 tokens"), (short, "8 words")):
            results = take_turns(
                {
                    n: lambda run=run: run([text])
                    for n, (run, _) in runs.items()
                },
                args.rounds,
            )
            for name, (run, size) in runs.items():
                flipped = ""
                if text is long and size:
                    flipped = f"{flips(run, runs['classify'][0], texts):.2%}"
                size = f"{size:.1f}" if size else ""
                row = f"{name}, {title}", f"{results[name]:.2f}", size, flipped
                print(LAYOUT.format(*row), flush=True)
    draws = random.Random(0)
    alike = [" ".join(draws.choices(words, k=20)) for _ in range(args.texts)]
    mixed = [
        " ".join(draws.choices(words, k=draws.choice((4, 8, 16, 32, 80))))
        for _ in range(args.texts)
    ]
    for title, some in (("one length", alike), ("mixed lengths", mixed)):
        some = [text[:600] for text in some]
        results = take_turns(
            {
                "ours": lambda: classifier.classify(some),
                "theirs": lambda: pipeline(some, batch_size=32),
            },
            max(3, args.rounds // 20),
        )
        ratio = results["theirs"] / results["ours"]
        print(
            f"{len(some)} texts of {title}: classify {results['ours']:.0f} ms, "
            f"pipeline {results['theirs']:.0f} ms, {ratio:.2f} times as fast"
        )


def make_classifier(args):
    """A trained classifier, and texts to judge."""
    import keras_electra

    cls = keras_electra.ElectraTextClassifier
    if args.data is None:
        return cls.from_preset(args.preset, labels=["bad", "good"]), WORDS
    train, dev = (
        [row.rsplit("\t", 1) for row in read(args.data, part)]
        for part in ("train", "dev")
    )
    texts = [text for text, _ in dev][: args.judged]
    if args.train == 0:
        return cls.from_preset(args.preset), texts
    classifier = cls.from_preset(args.preset, labels=["bad", "good"])
    random.Random(0).shuffle(train)
    x, y = zip(*train[: args.train])
    classifier.fit(list(x), list(map(int, y)), batch_size=32, verbose=0)
    return classifier, texts


def read(folder, part):
    (path,) = folder.glob(f"{part}.tsv*")
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    return data.decode("utf-8").splitlines()[1:]


def make_text(classifier, words, length):
    """A text of that many tokens, special ones included."""
    tokenizer, draws, text = (
        classifier.preprocessor.tokenizer,
        random.Random(1),
        "",
    )
    while True:
        more = f"{text} {draws.choice(words)}".strip()
        if len(tokenizer.encode_batch([more])[0]) > length - 2:
            return text
        text = more


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
    graph, names = (
        folder / "theirs.onnx",
        ("input_ids", "attention_mask", "token_type_ids"),
    )
    sample = tuple(torch.ones((2, 5), dtype=torch.int64) for _ in names)
    axes = {name: {0: "batch", 1: "length"} for name in names}
    pipeline.model.config.return_dict = False
    torch.onnx.export(
        pipeline.model,
        sample,
        graph,
        input_names=names,
        dynamic_shapes=axes,
        output_names=["logits"],
        dynamo=True,
        verbose=False,
        external_data=False,
    )
    pipeline.model.config.return_dict = True
    small = folder / "theirs_quantized.onnx"
    quantization.quantize_dynamic(graph, small)
    names = list(classifier.labels or map(str, range(classifier.num_classes)))

    def classify(texts):
        return [best[0][0] for best in classifier.classify(list(texts))]

    def by_pipeline(texts):
        return [best["label"] for best in pipeline(list(texts))]

    place = folder / "ours/onnx/model.onnx"
    runs = {
        "classify": (classify, None),
        "transformers' pipeline": (by_pipeline, None),
    }
    for title, path in (
        ("export, onnxruntime, float32", place),
        ("export, onnxruntime, int8", place.with_stem("model_quantized")),
        ("transformers' graph, onnxruntime, float32", graph),
        ("transformers' graph, onnxruntime, int8", small),
        *(
            (f"export, OpenVINO, {title}", path)
            for title, path in zip(
                ("float32", "int8"),
                sorted((folder / "openvino/openvino").glob("*.xml")),
            )
        ),
    ):
        run = by_graph(
            path, folder / "ours/tokenizer.json", names, args.threads
        )
        files = path.parent.glob(f"{path.stem}.*")
        runs[title] = run, sum(f.stat().st_size for f in files) / 1e6
    return pipeline, runs


def by_graph(path, tokenizer, names, threads):
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

        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        model = openvino.Core().compile_model(path, "CPU", settings)

        def compute(x):
            return model(x)[0]

    def run(texts):
        labels = []
        for text in texts:
            row = tokenizer.encode(text)
            x = {n: np.array([getattr(row, f)]) for n, f in fields.items()}
            labels.append(names[int(compute(x).argmax())])
        return labels

    return run


def flips(run, reference, texts):
    pairs = zip(run(texts), reference(texts))
    return statistics.mean(a != b for a, b in pairs)


def take_turns(runs, rounds):
    """Medians of milliseconds; in every round all run once, in any order."""
    seconds, names = {name: [] for name in runs}, list(runs)
    for number in range(rounds + 3):
        random.shuffle(names)
        for name in names:
            start = time.perf_counter()
            runs[name]()
            if number >= 3:
                seconds[name].append(time.perf_counter() - start)
    return {n: 1000 * statistics.median(s) for n, s in seconds.items()}


WORDS = ["the film is good", "a dull and long story", "what a fine day"] * 40


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
    add("--rounds", type=int, default=100)
    add("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
