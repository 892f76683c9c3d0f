"""Opens presets and knows their names; every room may build on it.

A preset is a folder as KerasHub's `save_to_preset` writes it. `conversion`
registers from above what opens and writes other forms (`OPENERS`, `EXPORTERS`).
KerasHub has no public way to add names of presets: this file, and no other,
uses its private registry.
"""

import json
import os
import pathlib

import keras
from keras_hub.src.utils import preset_utils

from keras_electra.arguments import constructor_keywords
from keras_electra.arguments import reject_unknown

# Functions of a class, a preset, `load_weights` and a dict of arguments. They
# return an object of the class, or `None` if KerasHub is to open the preset.
OPENERS = []
PARTS = ("preprocessor", "tokenizer")
# Name of a form -> function of a task and a `Path` that writes the task there.
EXPORTERS = {}


class OpensPresets:
    """`from_preset` for other forms; mixed in before KerasHub's class."""

    places = ()  # names of arguments that say where else to look

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Opens a preset, or a checkpoint that was made elsewhere.

        Args:
            preset: string or path. A built-in name, a folder, the prefix of a
                TF1 checkpoint, or a handle such as `"hf://user/model"`. Of
                two networks a task takes the one it is made for, and all else
                the discriminator.
            load_weights: bool. Whether to load the weights of a network.
                Defaults to `True`.
            **kwargs: arguments of the constructor, and of those of its
                preprocessor and tokenizer, such as `sequence_length` and
                `lowercase`: they take the place of what the preset says.

        Raises:
            TypeError: for an argument that none of them has.
            ValueError: when the form is unknown or ambiguous, a file damaged,
                or the network another one; nothing is returned half-built.
            FileNotFoundError: when there is no such file.
        """
        own, passed_on = split_arguments(cls, kwargs)
        preset = preset if preset is None else os.fspath(preset)
        for opener in OPENERS:
            opened = opener(cls, preset, load_weights, dict(kwargs))
            if opened is not None:
                return opened
        if passed_on:
            part, part_cls = _part_of(cls)
            own[part] = part_cls.from_preset(preset, **passed_on)
        weights = [load_weights] if issubclass(cls, keras.Model) else []
        return super().from_preset(preset, *weights, **own)


def split_arguments(cls, arguments):
    """Parts arguments of `from_preset` into two dicts by whose they are.

    Those of the class itself, and those of its preprocessor (of a
    preprocessor: of its tokenizer).
    """
    mine, below = {*constructor_keywords(cls), *cls.places}, set()
    part, part_cls = _part_of(cls)
    while part_cls is not None:  # its own parts are not given so
        below |= constructor_keywords(part_cls) - {"tokenizer", "vocabulary"}
        part_cls = _part_of(part_cls)[1]
    where = f"{cls.__name__}.from_preset"
    reject_unknown(where, arguments, mine | below)
    own = {n: v for n, v in arguments.items() if n in mine}
    passed_on = {n: v for n, v in arguments.items() if n not in mine}
    if passed_on and part in own:
        raise ValueError(
            f"`{where}` takes either `{part}` or arguments for a new one. "
            f"Received both `{part}` and {sorted(passed_on)}."
        )
    return own, passed_on


def _part_of(cls):
    """Name and class of what takes the arguments that a class has not."""
    parts = {n: getattr(cls, f"{n}_cls", None) for n in PARTS}
    return next((item for item in parts.items() if item[1]), (None, None))


def is_known(preset):
    """Whether a string is a built-in name or the handle of a hub."""
    return "://" in preset or preset in preset_utils.BUILTIN_PRESETS


def download(preset, name):
    """The local path of a file of a preset, or `None` if it has no such file.

    A hub that cannot be reached is a `ConnectionError`.
    """
    try:
        return preset_utils.get_file(preset, name)
    except (ValueError, ImportError):
        raise
    except Exception as error:
        cause, is_missing = error, isinstance(error, FileNotFoundError)
        while cause is not None:  # not found there, or not even looked for?
            is_missing &= type(cause).__name__ != "LocalEntryNotFoundError"
            cause = cause.__cause__
        if is_missing:
            return None
        raise ConnectionError(
            f"{preset!r} could not be downloaded: is there a network, and "
            "does the repository exist and permit reading? Else give a folder "
            f"with its files. The hub's library says: {error}"
        ) from error


def presets_folder():
    """The `Path` of `presets/`, which a wheel carries as `_presets/`."""
    package = pathlib.Path(__file__).resolve().parent
    installed = package / "_presets"
    return installed if installed.is_dir() else package.parent / "presets"


def find_presets(folder):
    """The presets in a `Path`: names -> folders."""
    found = [file.parent for file in sorted(folder.glob("*/metadata.json"))]
    return {p.name: p for p in found if (p / "config.json").is_file()}


def _facts(folder):
    metadata = json.loads((folder / "metadata.json").read_text("utf-8"))
    return {
        "parameters": metadata.get("parameter_count"),
        "language": "English" if folder.name.endswith("_en") else None,
        "corpus": "see the card in its folder",
        "licence": "apache-2.0",
        "source": "this package",
        "verified": "opened and run by the tests",
    }


def register_presets(backbone_cls, folder=None):
    """Makes names of presets known, and `presets` of each class list all."""
    found = find_presets(folder or presets_folder())
    known = {**presets(), **{name: _facts(p) for name, p in found.items()}}
    entries = {}
    for name, facts in known.items():
        description = f"ELECTRA, {facts['language']}."
        metadata = {"description": description, "path": "electra", **facts}
        metadata["params"] = facts["parameters"]
        handle = str(found.get(name, name))
        entries[name] = {"metadata": metadata, "kaggle_handle": handle}
    ours = {name: entries[name] for name in found}
    preset_utils.register_presets(ours, backbone_cls)
    # KerasHub's own names are registered already, and handles need no name.
    listed = preset_utils.BUILTIN_PRESETS_FOR_BACKBONE[backbone_cls]
    for name, entry in entries.items():
        entry = preset_utils.BUILTIN_PRESETS.get(name, entry)
        listed.setdefault(name, entry)


def presets():
    """Lists the presets that `from_preset` opens by name or handle.

    Any other folder or handle with ELECTRA in a form of `from_preset` opens
    as well; these are the known ones.

    Args:
        None.

    Returns:
        A dict from the name or handle to a dict with `parameters` (int, of
        the encoder), `language`, `corpus`, `licence`, `source` and
        `verified`: what was tried of it here. Unknown values are `None`.
    """
    folder = presets_folder()
    ours = {name: _facts(path) for name, path in find_presets(folder).items()}
    others = (folder / "others.json").read_text(encoding="utf-8")
    return {**ours, **json.loads(others)}
