"""Converts an ELECTRA checkpoint between all forms, and proves it.

    python examples/convert_checkpoint.py hf://google/electra-base-discriminator
        --generator hf://google/electra-base-generator --output my_electra
    python examples/convert_checkpoint.py google_checkpoint/ --to transformers
        --output exported

The source may be a folder or handle in any form that `from_preset` takes. What
was used, dropped and new is printed, then the largest differences from the
source's own library on the same text, and from the written files.
"""

import argparse
import dataclasses
import json
import pathlib

import keras
import keras_hub
import numpy as np

import keras_electra

FORMS = ("preset", "transformers", "tf1", "keras_hub")
# Which class of `keras_electra` each choice is.
TASKS = {
    "pretrainer": "ElectraPretrainer",
    "detector": "ElectraReplacedTokenDetector",
    "masked_lm": "ElectraMaskedLM",
    "text_classifier": "ElectraTextClassifier",
    "token_classifier": "ElectraTokenClassifier",
    "question_answering": "ElectraQuestionAnswering",
    "multiple_choice": "ElectraMultipleChoice",
}
# The class of transformers for each of ours; all others have no head there.
ARCHITECTURES = {
    "ElectraReplacedTokenDetector": "ElectraForPreTraining",
    "ElectraMaskedLM": "ElectraForMaskedLM",
    "ElectraTextClassifier": "ElectraForSequenceClassification",
    "ElectraTokenClassifier": "ElectraForTokenClassification",
    "ElectraQuestionAnswering": "ElectraForQuestionAnswering",
    "ElectraMultipleChoice": "ElectraForMultipleChoice",
}
TEXTS = (
    "The chef cooked the meal.",
    "Replaced tokens: café, naïve, 北京, 12.50 -- and so on!",
)


def main(arguments=None):
    options = parse(arguments)
    cls = getattr(keras_electra, TASKS[options.task])
    kwargs = {}
    if options.generator:
        if options.task != "pretrainer":
            raise SystemExit("--generator goes with --task pretrainer.")
        kwargs["generator"] = options.generator
    model = cls.from_preset(options.source, **kwargs)
    if options.task == "pretrainer":
        generator = options.generator or options.source
        compare_parts(options.source, generator, options.text)
    else:
        compare(model, options.source, options.text)
    save = {
        "preset": model.save_to_preset,
        "transformers": model.export_to_transformers,
        "tf1": model.export_to_tf1,
        "keras_hub": model.export_to_keras_hub,
    }
    save[options.to](options.output)
    print(f"written to {options.output} in the form {options.to!r}")
    if options.to == "transformers":
        check_written(model, options)


def check_written(model, options):
    """Opens what was written with transformers and compares."""
    if options.task != "pretrainer":
        compare(model, options.output, options.text)
        return
    folder = options.output
    compare_parts(
        f"{folder}/discriminator", f"{folder}/generator", options.text
    )


def compare_parts(discriminator, generator, texts):
    """Compares the two networks of a pre-trainer, each with its own source."""
    for cls, source in (
        (keras_electra.ElectraReplacedTokenDetector, discriminator),
        (keras_electra.ElectraMaskedLM, generator),
    ):
        try:
            model = cls.from_preset(source)
        except ValueError as error:  # a source with one network
            print(f"not compared: {error}")
        else:
            compare(model, source, texts)


def compare(model, source, texts):
    x = random_rows(model.backbone) if model.preprocessor is None else None
    try:
        print(compare_with_source(model, source, texts, x))
    except (ValueError, ImportError) as error:
        print(f"not compared: {error}")


def random_rows(backbone):
    """Inputs for a checkpoint without a vocabulary."""
    shape = (2, min(16, backbone.max_sequence_length))
    ids = np.random.default_rng(0).integers(
        backbone.vocabulary_size, size=shape
    )
    return {
        "token_ids": ids,
        "segment_ids": np.zeros(shape),
        "padding_mask": np.ones(shape),
    }


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Largest absolute differences, over all tokens that are not padding.

    What one of the two lacks is `None`.
    """

    source: str
    same_tokens: bool | None
    hidden_states: float
    logits: float | None

    def __str__(self):
        logits = "no head" if self.logits is None else f"{self.logits:.2g}"
        tokens = {True: "equal", False: "DIFFERENT", None: "not compared"}
        return (
            f"compared with {self.source}: token ids "
            f"{tokens[self.same_tokens]}, largest difference of hidden states "
            f"{self.hidden_states:.2g}, of logits {logits}"
        )


def compare_with_source(model, source, texts=TEXTS, x=None):
    """Runs a model and the library that its checkpoint is of on one text.

    The token ids of both are compared, then both networks run on ours, so
    that one difference does not hide another. `x` may be given in place of
    `texts`: a dict of int arrays.
    """
    tokenizer = getattr(getattr(model, "preprocessor", None), "tokenizer", None)
    if x is None and tokenizer is None:
        raise ValueError("A model without a tokenizer is compared on `x`.")
    backbone = getattr(model, "backbone", model)
    if x is None:
        x = rows_of(ids_of(tokenizer, texts), backbone.max_sequence_length)
    architecture = ARCHITECTURES.get(type(model).__name__, "ElectraModel")
    if architecture == "ElectraForMultipleChoice":
        x = {n: a if a.ndim == 3 else a[:, None] for n, a in x.items()}
    x = {name: np.asarray(array, "int32") for name, array in x.items()}
    flat = {name: a.reshape(-1, a.shape[-1]) for name, a in x.items()}
    source, form = find_source(model, str(source))
    same_tokens, difference = None, None
    if form == "KerasHub":
        network = keras_hub.models.ElectraBackbone.from_preset(source)
        hidden = to_numpy(network(flat)["sequence_output"])
    elif form == "transformers":
        hidden, logits, ids = run_transformers(source, architecture, x, texts)
        if logits is not None:
            difference = largest(logits_of(model, x), logits, x)
        if tokenizer is not None and ids is not None:
            same_tokens = ids == ids_of(tokenizer, texts)
    else:
        raise ValueError(f"There is no program to compare {source} with.")
    ours = to_numpy(backbone(flat)["sequence_output"])
    return Comparison(
        source, same_tokens, largest(ours, hidden, flat), difference
    )


def find_source(model, source):
    """The source (of a pair, the folder of the network) and its form."""
    part = "discriminator"
    if isinstance(model, keras_electra.ElectraMaskedLM):
        part = "generator"
    for folder in (pathlib.Path(source), pathlib.Path(source) / part):
        if (folder / "config.json").is_file():
            config = json.loads((folder / "config.json").read_text("utf-8"))
            is_hub = config.get("registered_name", "").startswith("keras_hub>")
            if is_hub or "model_type" in config:
                return str(folder), "KerasHub" if is_hub else "transformers"
            return source, None
    summary = getattr(model, "conversion_summary", None)
    is_local = pathlib.Path(source).exists()
    return source, None if summary is None or is_local else summary.form


def run_transformers(source, architecture, x, texts):
    """Hidden states, logits or `None`, and token ids or `None`."""
    import transformers

    name = source.removeprefix("hf://")
    network = getattr(transformers, architecture).from_pretrained(name)
    network = network.float().eval()
    names = ("input_ids", "attention_mask", "token_type_ids")
    arrays = (x["token_ids"], x["padding_mask"], x["segment_ids"])
    inputs = transformers.BatchEncoding(
        {name: a.astype("int64") for name, a in zip(names, arrays)},
        tensor_type="pt",
    )
    outputs = network(**inputs, output_hidden_states=True)
    hidden = outputs.hidden_states[-1].detach().numpy()
    logits = getattr(outputs, "logits", None)
    if logits is not None:
        logits = logits.detach().numpy()
    elif hasattr(outputs, "start_logits"):
        spans = (outputs.start_logits, outputs.end_logits)
        logits = np.stack([t.detach().numpy() for t in spans], axis=-1)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        return hidden, logits, tokenizer(list(texts))["input_ids"]
    except (OSError, ValueError, TypeError):
        return hidden, logits, None


def logits_of(model, x):
    """Our head's output, for every position where it has one for each."""
    if "mask_positions" in model.input:
        rows, length = x["token_ids"].shape
        every = np.tile(np.arange(length, dtype="int32"), (rows, 1))
        x = {**x, "mask_positions": every}
    outputs = model(x)
    if not isinstance(outputs, dict):
        return to_numpy(outputs)
    spans = (outputs["start_logits"], outputs["end_logits"])
    return np.stack([to_numpy(span) for span in spans], axis=-1)


def largest(ours, theirs, x):
    """The largest difference; where there is one for each token, of tokens."""
    mask = x["padding_mask"].astype(bool)
    if ours.shape[: mask.ndim] != mask.shape:
        mask = ...
    return float(np.max(np.abs(ours[mask] - theirs[mask])))


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor), "float32")


def ids_of(tokenizer, texts):
    rows = tokenizer.encode_batch(list(texts), special_tokens=True)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    return [[cls, *row, sep] for row in rows]


def rows_of(ids, length):
    """Inputs with rows of ids, padded."""
    length = min(length, max(map(len, ids)))
    arrays = {
        name: np.zeros((len(ids), length), "int32")
        for name in ("token_ids", "segment_ids", "padding_mask")
    }
    for number, row in enumerate(ids):
        row = row[:length]
        arrays["token_ids"][number, : len(row)] = row
        arrays["padding_mask"][number, : len(row)] = 1
    return arrays


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="folder, name or handle")
    parser.add_argument("--generator", help="folder, name or handle")
    parser.add_argument("--task", choices=sorted(TASKS), default="pretrainer")
    parser.add_argument("--to", choices=FORMS, default="preset")
    parser.add_argument("--output", required=True, help="folder to write")
    parser.add_argument(
        "--text",
        nargs="+",
        default=list(TEXTS),
        help="texts to compare on",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
