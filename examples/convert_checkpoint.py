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

import numpy as np

import keras_electra
from keras_electra.conversion.compare import TEXTS

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
        print(keras_electra.compare_with_source(model, source, texts, x))
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
