"""Opens presets and knows their names; every room may build on it.

A preset is a folder as KerasHub's `save_to_preset` writes it. Checkpoints of
other forms are opened and written by functions that `conversion` registers
here from above (`OPENERS`, `EXPORTERS`), so this file knows no class of ours.
KerasHub has no public way to add names of presets: this file, and no other,
uses its private registry.
"""

import inspect
import json
import os
import pathlib

import keras
import keras_hub
from keras_hub.src.utils import preset_utils

from keras_electra.arguments import keyword_names
from keras_electra.arguments import reject_unknown

# Functions of a class, a preset, `load_weights` and a dict of arguments. They
# return an object of the class, or `None` if KerasHub is to open the preset.
OPENERS = []
# Name of a form -> function of a task and a `Path` that writes the task there.
EXPORTERS = {}

# What was tried of a preset here. Downloads were not: there is no network.
OURS = "opened and run by the tests"
FORM = (
    "file format only: checkpoints written by the same library at small and "
    "at this size's shapes are read and compared; not downloaded"
)


class OpensPresets:
    """`from_preset` that opens checkpoints of other forms, too.

    To be mixed into a class of KerasHub, before its base class.
    """

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

        Returns:
            An object of this class.

        Raises:
            TypeError: for an argument that none of them has.
            ValueError: when the form is unknown or ambiguous, a file damaged,
                or the network another one; nothing is returned half-built.
            FileNotFoundError: when there is no such file.
        """
        return open_preset(
            cls, super().from_preset, preset, load_weights, kwargs
        )


def open_preset(cls, open_ours, preset, load_weights, arguments, extra=()):
    """What `from_preset` does, with names of `extra` arguments for openers.

    `open_ours` opens what no opener does. `preset` may be `None` if an extra
    argument says where the networks are.
    """
    own, passed_on = split_arguments(cls, arguments, extra)
    preset = preset if preset is None else os.fspath(preset)
    for opener in OPENERS:
        opened = opener(cls, preset, load_weights, dict(arguments))
        if opened is not None:
            return opened
    part = passes_on_to(cls)
    if passed_on:
        own[part] = getattr(cls, f"{part}_cls").from_preset(preset, **passed_on)
    weights = [load_weights] if issubclass(cls, keras.Model) else []
    return open_ours(preset, *weights, **own)


def split_arguments(cls, arguments, extra=()):
    """Parts arguments of `from_preset` by whose they are.

    Returns:
        Two dicts: arguments of the class itself (and those in `extra`), and
        those of its preprocessor (of a preprocessor: of its tokenizer).
    """
    mine = {*_constructor_names(cls), *extra}
    part, others = passes_on_to(cls), set()
    if part is not None:
        others = _names_below(getattr(cls, f"{part}_cls"))
    where = f"{cls.__name__}.from_preset"
    reject_unknown(where, arguments, mine | others)
    own = {n: v for n, v in arguments.items() if n in mine}
    passed_on = {n: v for n, v in arguments.items() if n not in mine}
    if passed_on and part in own:
        raise ValueError(
            f"`{where}` takes either `{part}` or arguments for a new one. "
            f"Received both `{part}` and {sorted(passed_on)}."
        )
    return own, passed_on


def passes_on_to(cls):
    """Which part of a class takes the arguments it does not know."""
    for part in ("preprocessor", "tokenizer"):
        if getattr(cls, f"{part}_cls", None) is not None:
            return part
    return None


def _names_below(cls):
    """Names for a part and all below it; its own parts are not given so."""
    names, part = _constructor_names(cls), passes_on_to(cls)
    if part is not None:
        names |= _names_below(getattr(cls, f"{part}_cls"))
    return names - {"tokenizer", "vocabulary", "name", "dtype", "trainable"}


def _constructor_names(cls):
    """Arguments of a constructor, with those of the bases it passes on to."""
    names = {"name", "dtype", "trainable"}
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] == "keras":
            break
        if "__init__" not in vars(base):
            continue
        names.update(keyword_names(base.__init__))
        parameters = inspect.signature(base.__init__).parameters.values()
        if inspect.Parameter.VAR_KEYWORD not in {p.kind for p in parameters}:
            break
    return names


def is_known(preset):
    """Whether a string is a built-in name or the handle of a hub."""
    return "://" in preset or preset in preset_utils.BUILTIN_PRESETS


def download(preset, name):
    """The local path of a file of a preset, or `None` if it has no such file.

    Raises:
        ConnectionError: when the hub cannot be reached.
    """
    try:
        return preset_utils.get_file(preset, name)
    except (ValueError, ImportError):
        raise
    except Exception as error:
        cause, causes = error, set()
        while cause is not None:
            causes.add(type(cause).__name__)
            cause = cause.__cause__
        is_missing = isinstance(error, FileNotFoundError)
        if is_missing and "LocalEntryNotFoundError" not in causes:
            return None
        raise ConnectionError(
            f"{preset!r} could not be downloaded: is there a network, and "
            "does the repository exist and permit reading? Download its files "
            "by other means and give the folder. The hub's library says: "
            f"{error}"
        ) from error


def presets_folder():
    """The folder with one built-in preset a subfolder, as a `Path`.

    `presets/` of the checkout, which a wheel carries as `_presets/`.
    """
    package = pathlib.Path(__file__).resolve().parent
    installed = package / "_presets"
    return installed if installed.is_dir() else package.parent / "presets"


def find_presets(folder):
    """The presets in a `Path`: names -> what KerasHub's registry holds."""
    found = {}
    for config in sorted(folder.glob("*/config.json")):
        metadata_file = config.with_name("metadata.json")
        if not metadata_file.is_file():
            continue
        metadata = json.loads(metadata_file.read_text(encoding="utf-8"))
        name = config.parent.name
        found[name] = _entry(
            f"ELECTRA preset {name} of keras_electra.",
            str(config.parent),
            params=metadata.get("parameter_count"),
        )
    return found


def _entry(description, handle, **facts):
    metadata = {"description": description, "path": "electra", **facts}
    return {"metadata": metadata, "kaggle_handle": handle}


def register_presets(backbone_cls, folder=None):
    """Makes names of presets known, and `presets` of each class list all.

    A name that KerasHub has for another preset is a `ValueError`.
    """
    found = find_presets(folder or presets_folder())
    for name, entry in found.items():
        known = preset_utils.BUILTIN_PRESETS.get(name, entry)
        if known["metadata"] != entry["metadata"]:
            raise ValueError(
                f"The preset folder {entry['kaggle_handle']!r} has the name "
                f"of one of KerasHub's presets, {name!r}. Rename the folder."
            )
    preset_utils.register_presets(found, backbone_cls)
    # KerasHub's own names are registered already, and handles need no name.
    for name, facts in presets().items():
        if facts["verified"] == OURS:
            continue
        preset_utils.BUILTIN_PRESETS_FOR_BACKBONE[backbone_cls][name] = _entry(
            f"ELECTRA, {facts['language']}.",
            facts["source"] if "://" in facts["source"] else name,
            params=facts["parameters"],
            **facts,
        )


def presets():
    """Lists the presets that `from_preset` opens by name or handle.

    Any other folder or handle with ELECTRA in a form of `from_preset` opens
    as well; these are the known ones.

    Args:
        None.

    Returns:
        A dict from the name or handle to a dict with `parameters` (int, of
        the encoder), `language`, `corpus`, `licence`, `source` and
        `verified`: what was tried of it here. Unknown values are `None`. A
        download never was tried, because the tests have no network.
    """
    folder, known = presets_folder(), {}
    for name, entry in find_presets(folder).items():
        known[name] = {
            "parameters": entry["metadata"]["params"],
            "language": "English" if name.endswith("_en") else None,
            "corpus": "see the card in its folder",
            "licence": "apache-2.0",
            "source": "this package",
            "verified": OURS,
        }
    for name, entry in keras_hub.models.ElectraBackbone.presets.items():
        known[name] = {
            "parameters": entry["metadata"]["params"],
            "language": "English",
            "corpus": "English Wikipedia and BooksCorpus",
            "licence": "apache-2.0",
            "source": entry["kaggle_handle"],
            "verified": FORM,
        }
    others = (folder / "others.json").read_text(encoding="utf-8")
    return {**known, **json.loads(others)}
