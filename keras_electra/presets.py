"""Opens presets and knows their names; every room may build on it.

`conversion` registers other forms than KerasHub's from above. KerasHub has no
public way to add names: this file, and no other, uses its private registry.
"""

import contextlib
import functools
import os
import pathlib
import shutil
from typing import Any

import keras
import keras_hub
from keras_hub.src.utils import preset_utils

from keras_electra.arguments import check_sizes
from keras_electra.arguments import constructor_keywords
from keras_electra.arguments import reject_unknown
from keras_electra.backend import files

# Functions of a class, a preset, `load_weights` and a dict of arguments. They
# return an object of the class, or `None` if KerasHub is to open the preset.
OPENERS: list[Any] = []
# Name of a form -> function of a task and a `Path` that writes the task there.
EXPORTERS: dict[str, Any] = {}
METADATA, TASK, TASK_WEIGHTS = "metadata.json", "task.json", "task.weights.h5"
WRONG = AttributeError, LookupError, TypeError  # of values of another type
SAVED = ".saved"  # in a preset's folder: a complete save, yet to be moved


class OpensPresets:
    """`from_preset` for other forms; mixed in before KerasHub's class."""

    places: Any = ()  # names of arguments that say where else to look

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
        if "num_classes" in own and hasattr(cls, "calibrate"):
            own.setdefault("calibration", None)  # it was that of another head
        preset = preset and os.path.expanduser(preset)
        finish_saving(preset or "")
        try:
            for opener in OPENERS:
                if opened := opener(cls, preset, load_weights, dict(kwargs)):
                    return opened
            if passed_on:
                part, part_cls = _part_of(cls)
                own[part] = part_cls.from_preset(preset, **passed_on)
            weights = [load_weights] if issubclass(cls, keras.Model) else []
            opened = super().from_preset(preset, *weights, **own)
        except (*WRONG, OSError, ValueError) as e:
            if isinstance(e, FileNotFoundError) or str(preset) in str(e):
                raise
            raise ValueError(
                f"{preset} has a damaged file, or an argument is wrong: {e}"
            ) from e
        # A head of other classes, which has to learn, is not quantized.
        return opened.with_plain_head() if "num_classes" in own else opened


class CheckingLoader(preset_utils.KerasPresetLoader):
    """Checks presets of ours, whichever class they are opened by."""

    def __init__(self, preset: Any, config: Any):
        finish_saving(preset)
        config = files.read_json(download(preset, "config.json"))
        super().__init__(preset, config)
        name = str(config["registered_name"])
        self._is_checked = not name.startswith("keras_electra>")

    def _check(self, kind, *given, **kwargs):
        load = getattr(super(), f"load_{kind}")
        weights = kind in ("backbone", "task") and given[1]
        if self._is_checked:
            return load(*given, **kwargs)
        self._is_checked = True  # with all of its parts
        is_task = kind == "task" and weights
        notes = _check_files(self.preset, weights, is_task)
        opened, head = load(*given, **kwargs), []
        _check_vocabulary(opened, self, bool(notes))
        if is_task:
            head = _check_head(opened, given[0], self.preset, not given[2])
        if weights and notes:
            part = getattr(opened, "backbone", opened)
            _check_numbers(part, self.preset, "model.weights.h5")
            if not head and opened.count_params() > part.count_params():
                names = "model.weights.h5", TASK_WEIGHTS
                _check_numbers(opened, self.preset, *names)
        if weights and keras.config.is_interactive_logging_enabled():
            notes = [f"{self.preset}: {note}\n" for note in notes + head]
            print(*notes, sep="", end="")
        return opened

    load_tokenizer = functools.partialmethod(_check, "tokenizer")
    load_preprocessor = functools.partialmethod(_check, "preprocessor")
    load_backbone = functools.partialmethod(_check, "backbone")
    load_task = functools.partialmethod(_check, "task")


# There is no public way to tell KerasHub's own classes.
preset_utils.KerasPresetLoader = CheckingLoader


def split_arguments(cls: Any, arguments: Any) -> tuple[Any, ...]:
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


def download(preset: Any, name: str) -> Any:
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


def _find(preset, name):
    if (path := download(preset, name)) is None:
        raise FileNotFoundError(
            f"{name} of {preset} is missing: get the whole preset again."
        )
    return path


def _check_files(preset, with_weights, is_task):
    """Checks the files of a preset of ours; notes on what nobody can check."""
    metadata, size = files.read_json(download(preset, METADATA)), 0
    needed = dict.fromkeys(["config.json"]) | metadata.get("sha256", {})
    if is_task and download(preset, TASK_WEIGHTS):
        needed.setdefault(TASK)
    if with_weights and not download(preset, "model.weights.json"):
        needed.setdefault("model.weights.h5")
    for name, checksum in needed.items():
        is_weights, is_of_task = ".weights." in name, name.startswith("task.")
        if not (is_task if is_of_task else with_weights or not is_weights):
            continue
        path = _find(preset, name)
        if checksum not in (None, files.checksum_of(path)):
            raise ValueError(
                f"{path} is not what was saved: its SHA-256 is not that in "
                f"{METADATA}. Get it again; if you changed it, delete its line."
            )
        size += os.path.getsize(path) if is_weights else 0
    if size:  # int4 has two numbers in a byte
        names = ["config.json", *[TASK] * is_task]
        configs = [files.read_json(download(preset, name)) for name in names]
        for sizes in _sizes_in(configs):
            check_sizes(sizes, 2 * size, preset)
    is_listed = "sha256" in metadata
    return [] if is_listed else [f"{METADATA} has no checksums of its files"]


def _sizes_in(value):
    """Yields all configurations of networks in the content of JSON."""
    if isinstance(value, dict) and "num_layers" in value:
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _sizes_in(part)


def _check_vocabulary(opened, loader, is_unchecked):
    rows = loader.config["config"]["vocabulary_size"]
    text = getattr(opened, "preprocessor", opened)
    text = getattr(text, "tokenizer", text)
    if isinstance(text, keras_hub.tokenizers.Tokenizer):
        size = text.vocabulary_size()
        is_odd = size != rows and (rows % 8 or rows - size > 127)  # no padding
        if size > rows or is_unchecked and is_odd:
            raise ValueError(
                f"The vocabulary (vocabulary.txt, tokenizer.json) of "
                f"{loader.preset} has {size} entries, but its network {rows} "
                "token ids."
            )


def _check_head(opened, cls, preset, is_new):
    """Notes on a head that is not from the preset; an error if it should be."""
    known = {id(weight) for weight in opened.backbone.weights}
    head = [w.path for w in opened.weights if id(w) not in known]
    saved = files.read_json(download(preset, TASK)).get("registered_name")
    saved = saved and keras.saving.get_registered_object(saved) or object
    if head and issubclass(saved, cls) and not is_new:
        _find(preset, TASK_WEIGHTS)
        return []
    return [f"fresh head: {', '.join(head)}"] if head else []


def _check_numbers(opened, preset, *names):
    """Sees in old presets what files hold and the configuration has not."""
    paths = filter(None, [download(preset, name) for name in names])
    if sum(map(files.count_numbers, paths)) > opened.count_params():
        raise ValueError(
            f"{names[-1]} of {preset} holds more weights than its network of "
            "the configuration has: get both again."
        )


def finish_saving(folder: Any) -> None:
    """Moves the files of a complete save, if there is one, to their places."""
    saved = pathlib.Path(folder, SAVED)
    paths = [path for path in saved.rglob("*") if path.is_file()]
    with contextlib.suppress(FileNotFoundError):  # another process does it
        for path in sorted(paths, key=lambda p: (p.name == "config.json", p)):
            place = saved.parent / path.relative_to(saved)
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.stat().st_size:
                os.replace(path, place)
            else:
                place.unlink(missing_ok=True)
                path.unlink()
        files.flush(saved)
        shutil.rmtree(saved)


def presets_folder() -> Any:
    """The `Path` of `presets/`, which a wheel carries as `_presets/`."""
    package = pathlib.Path(__file__).resolve().parent
    installed = package / "_presets"
    return installed if installed.is_dir() else package.parent / "presets"


def find_presets(folder: Any) -> dict[str, Any]:
    """The presets in a `Path`: names -> folders."""
    found = [file.parent for file in sorted(folder.glob("*/metadata.json"))]
    return {p.name: p for p in found if (p / "config.json").is_file()}


def _facts(folder):
    metadata = files.read_json(folder / METADATA)
    return {
        "parameters": metadata.get("parameter_count"),
        "language": "English" if folder.name.endswith("_en") else None,
        "corpus": "see the card in its folder",
        "licence": "apache-2.0",
        "source": "this package",
        "verified": "opened and run by the tests",
    }


def register_presets(backbone_cls: Any, folder: Any = None) -> None:
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


def presets() -> dict[str, dict[str, object]]:
    """Lists known presets; `from_preset` opens any other ELECTRA as well.

    Args:
        None.

    Returns a dict from name or handle to a dict: `parameters` of the encoder,
    `language`, `corpus`, `licence`, `source`, `verified` (how), or `None`s.
    """
    folder = presets_folder()
    ours = {name: _facts(path) for name, path in find_presets(folder).items()}
    return {**ours, **files.read_json(folder / "others.json")}
