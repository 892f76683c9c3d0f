"""Opens presets and knows their names; every room may build on it.

`conversion` registers other forms than KerasHub's from above. KerasHub has no
public way to add names: this file, and no other, uses its private registry.
"""

import json
import os
import pathlib

import keras
from keras_hub.src.utils import preset_utils

from keras_electra.arguments import check_count
from keras_electra.arguments import constructor_keywords
from keras_electra.arguments import reject_unknown

# Functions of a class, a preset, `load_weights` and a dict of arguments. They
# return an object of the class, or `None` if KerasHub is to open the preset.
OPENERS = []
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
                TF1 checkpoint, or a handle such as `"hf://user/model"`. Of two
                networks it is the one of the task, or else the discriminator.
            load_weights: bool. Whether to load weights. Defaults to `True`.
            **kwargs: of the constructor, the preprocessor's and tokenizer's,
                such as `sequence_length`, in place of what the preset says.

        A form that is unknown or ambiguous, a damaged file or another network
        is a `ValueError`, a missing file a `FileNotFoundError`.
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
    """Arguments of `from_preset`: a class's own, and its preprocessor's."""
    own, names = {*constructor_keywords(cls), *cls.places}, set()
    part, below = _part_of(cls)
    while below is not None:
        names |= constructor_keywords(below)
        below = _part_of(below)[1]
    known = own | names - {"tokenizer", "vocabulary"}  # are not given so
    where = f"{cls.__name__}.from_preset"
    reject_unknown(where, arguments, known)
    passed_on = {n: arguments[n] for n in arguments.keys() - own}
    if passed_on and part in arguments:
        raise ValueError(
            f"`{where}` takes either `{part}` or arguments for a new one. "
            f"Received both `{part}` and {sorted(passed_on)}."
        )
    return {n: arguments[n] for n in arguments.keys() & own}, passed_on


def _part_of(cls):
    """Name and class of what takes the arguments that a class has not."""
    names = ("preprocessor", "tokenizer")
    parts = [(name, getattr(cls, f"{name}_cls", None)) for name in names]
    return next((part for part in parts if part[1]), (None, None))


def download(preset, name):
    """The local path of a preset's file; `None` if there is no such file."""
    try:
        return preset_utils.get_file(preset, name)
    except (ValueError, ImportError):
        raise
    except Exception as error:
        cause = type(error.__cause__).__name__  # or not even looked for?
        is_missing = isinstance(error, FileNotFoundError)
        if is_missing and cause != "LocalEntryNotFoundError":
            return None
        raise ConnectionError(
            f"{preset!r} could not be downloaded: is there a network, and may "
            f"you read it? Else give a folder. The hub's library says: {error}"
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


def check_sizes(sizes, stored, source):
    """Checks sizes of a network (dict) before it is built, which they break.

    `source` holds `stored` numbers as weights: of more, nothing is built.
    """
    names = "hidden_dim", "intermediate_dim", "num_layers", "num_heads"
    tables = "vocabulary_size", "max_sequence_length", "num_segments"
    for name in (*names, *tables, "embedding_dim"):
        check_count(f"{name} of {source}", sizes[name])
    hidden, inner, layers, _ = (sizes[name] for name in names)
    needed = layers * hidden * (4 * hidden + 2 * inner)
    needed += sum(sizes[name] for name in tables) * sizes["embedding_dim"]
    if needed > 2 * stored:  # what is less wrong is said in more detail
        raise ValueError(
            f"The configuration of {source} means {needed:.3g} weights and "
            f"more, but its files hold {stored:.3g} at most. Get both again."
        )


def register_presets(backbone_cls, folder=None):
    """Makes names of presets known, and `presets` of each class list all."""
    found, entries = find_presets(folder or presets_folder()), {}
    ours = {name: _facts(path) for name, path in found.items()}
    for name, facts in (presets() | ours).items():
        metadata = {"description": f"ELECTRA, {facts['language']}.", **facts}
        metadata.update(path="electra", params=facts["parameters"])
        handle = str(found.get(name, name))
        entries[name] = {"metadata": metadata, "kaggle_handle": handle}
    preset_utils.register_presets({n: entries[n] for n in ours}, backbone_cls)
    # KerasHub's own names are registered already, and handles need no name.
    listed = preset_utils.BUILTIN_PRESETS_FOR_BACKBONE[backbone_cls]
    for name, entry in entries.items():
        listed.setdefault(name, preset_utils.BUILTIN_PRESETS.get(name, entry))


def presets():
    """Lists known presets; `from_preset` opens any other ELECTRA as well.

    Args:
        None.

    Returns a dict from name or handle to a dict: `parameters` of the encoder,
    `language`, `corpus`, `licence`, `source`, `verified` (how), or `None`s.
    """
    folder = presets_folder()
    ours = {name: _facts(path) for name, path in find_presets(folder).items()}
    others = (folder / "others.json").read_text(encoding="utf-8")
    return {**ours, **json.loads(others)}
