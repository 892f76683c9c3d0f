"""A preset in the shell: `python -m keras_electra --help`.

Answers are lines with tabs, and an empty one for each text. A tab is between
two texts of a pair. Lines of standard input are answered 256 at a time.
"""

import argparse
import itertools
import sys
from typing import Any

import keras

import keras_electra
from keras_electra.conversion.export import PLACES
from keras_electra.conversion.heads import HEADS
from keras_electra.conversion.load import Files
from keras_electra.presets_saving import known_rows

PAIRS = ("ElectraPretrainer", "ElectraTextGenerator")
# Classes of presets that have the head of a command, its own first.
HAVE: dict[str, Any] = {
    "detect": ("ElectraReplacedTokenDetector", *PAIRS),
    "classify": ("ElectraTextClassifier",),
    "fill-mask": ("ElectraMaskedLM", *PAIRS),
}
FORMS = ("preset", "transformers", "tf1", "keras_hub")
TEXTS = "texts", {"nargs": "*", "help": "by default lines of standard input"}
SURE: tuple[Any, ...] = "--abstain-below", {"type": float, "default": 0.0}
TOP_K: tuple[Any, ...] = "--top-k", {"type": int, "default": 5}
INTO: tuple[Any, ...] = "--to", {"choices": FORMS, "default": "preset"}
FORM: tuple[Any, ...] = "--to", {"choices": PLACES, "default": "onnx"}
BITS = "--quantize", {"choices": ["int8"]}
COMMANDS: tuple[Any, ...] = (  # with what they do and take
    ("detect", "how probably tokens were replaced", TEXTS, SURE),
    ("classify", "labels and probabilities", TEXTS, SURE),
    ("fill-mask", "words for each [MASK]", TEXTS, TOP_K),
    ("convert", "a checkpoint of any form into another", ("folder", {}), INTO),
    ("export", "a graph that runs without Keras", ("folder", {}), FORM, BITS),
    ("info", "what a preset is"),
)


def main(arguments: list[str] | None = None) -> None:
    """Runs one command; `arguments` are by default those of the process."""
    prog = "python -m keras_electra"
    parser = argparse.ArgumentParser(prog, description=__doc__)
    version = keras_electra.__version__
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text, *options in COMMANDS:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("preset", help="a name, folder or handle")
        for flag, settings in options:
            command.add_argument(flag, **settings)
    options = parser.parse_args(arguments)
    try:
        for row in run(**vars(options)):
            row = [f"{v:.4f}" if isinstance(v, float) else v for v in row]
            print(*row, sep="\t", flush=True)
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        sys.exit(f"{prog} {options.command}: {error}")


def run(command, preset, texts=(), folder=None, to=None, **options):
    """Yields what is to be printed: rows."""
    name = name_of(preset)
    classes = HAVE.get(command, [name])
    if name not in classes:
        raise ValueError(
            f"{preset} has a head of {name}, so a random one would answer. "
            f"Give a preset of {' or '.join(classes)}."
        )
    if command in HAVE:  # answers alone go to standard output
        keras.config.disable_interactive_logging()
    cls = getattr(keras_electra, classes[0])
    task = cls.from_preset(preset, load_weights=command != "info")
    if command == "info":
        yield from {"class": name, **known_rows(task)}.items()
    elif command == "export":
        task.export(folder, to, **options)
    elif command == "convert":
        verb = "save" if to == "preset" else "export"
        getattr(task, f"{verb}_to_{to}")(folder)
    else:
        method = getattr(task, command.replace("-", "_"))
        lines = iter(texts or (line.rstrip("\n") for line in sys.stdin))
        while x := list(itertools.islice(lines, 256)):
            if getattr(task, "text_pairs", False):
                x = tuple(map(list, zip(*(line.split("\t", 1) for line in x))))
            for rows in method(x, **options):
                if command == "fill-mask":
                    rows = [row for mask in rows for row in mask]
                yield from (*rows, ()) if isinstance(rows, list) else [[rows]]


def name_of(preset: Any) -> Any:
    """The name of our class whose head a preset or checkpoint has."""
    files = Files(preset)
    if saved := files.read_json("task.json").get("registered_name"):
        return saved.removeprefix("keras_electra>")
    if files.is_pair or files.has_index():
        return PAIRS[0]
    known = files.read_json("config.json").get("architectures") or []
    names = [name for name in HEADS if HEADS[name].architecture in known]
    return (names or ["ElectraTextEmbedder"])[0]  # an encoder gives vectors


if __name__ == "__main__":
    main()
