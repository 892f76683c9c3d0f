"""Presets: built-in names, a pre-trainer's parts, and safe saving.

A preset is a folder as KerasHub's `save_to_preset` writes it. The built-in
ones are the folders under `presets/` of the checkout, which a wheel carries
as `keras_electra/_presets/`; their names are the folders' names. KerasHub has
no public way to add names, so this file, and no other, uses its private
registry.
"""

import json
import os
import pathlib
import shutil
import uuid

import keras
from keras_hub.src.utils import preset_utils

from keras_electra.conversion import detect
from keras_electra.conversion import export
from keras_electra.conversion import loading
from keras_electra.conversion import pairs
from keras_electra.conversion.task_forms import task_form
from keras_electra.model.backbone import ElectraBackbone

PRETRAINER = "keras_electra>ElectraPretrainer"


def presets_folder():
    """The folder with one built-in preset a subfolder, as a `Path`."""
    package = pathlib.Path(__file__).resolve().parent
    installed = package / "_presets"
    return installed if installed.is_dir() else package.parent / "presets"


def find_presets(folder):
    """Finds the presets in a folder.

    Args:
        folder: `Path`. It need not exist.

    Returns:
        A dict from name to what KerasHub's registry holds: `metadata`, shown
        by `presets` of a class, and the path under `kaggle_handle`.
    """
    found = {}
    for config in sorted(folder.glob("*/config.json")):
        metadata_file = config.with_name("metadata.json")
        if not metadata_file.is_file():
            continue
        metadata = json.loads(metadata_file.read_text(encoding="utf-8"))
        name = config.parent.name
        found[name] = {
            "metadata": {
                "description": f"ELECTRA preset {name} of keras_electra.",
                "params": metadata.get("parameter_count"),
                "path": "electra",
            },
            "kaggle_handle": str(config.parent),
        }
    return found


def register_builtin_presets(folder=None):
    """Makes the names of built-in presets known to `from_preset`.

    Args:
        folder: `Path` or `None`. Defaults to `presets_folder()`.

    Raises:
        ValueError: when KerasHub has another preset of the same name.
    """
    found = find_presets(presets_folder() if folder is None else folder)
    for name, entry in found.items():
        known = preset_utils.BUILTIN_PRESETS.get(name, entry)
        if known["metadata"] != entry["metadata"]:
            raise ValueError(
                f"The preset folder {entry['kaggle_handle']!r} has the name "
                f"of one of KerasHub's presets, {name!r}. Rename the folder."
            )
    preset_utils.register_presets(found, ElectraBackbone)


def open_checkpoint(preset, network=None):
    """Opens what `from_preset` got, if it is of a form that is not ours.

    Args:
        preset: string or path. A name, a handle, a folder, or the prefix of a
            TF1 checkpoint.
        network: string or `None`. Which folder of an exported pair to take.

    Returns:
        A `Checkpoint` of `keras_electra.conversion`; `None` if KerasHub is to
        open it.

    Raises:
        ValueError: when the form is unknown or ambiguous, or a file damaged.
        ConnectionError: when a hub cannot be reached.
    """
    preset = os.fspath(preset)
    folder = _local(preset, network)
    if folder is not None:
        return detect.open_checkpoint(str(folder), _finder(folder), folder)
    if "://" not in preset and preset not in preset_utils.BUILTIN_PRESETS:
        return None  # KerasHub knows how to say that there is no such thing
    return detect.open_checkpoint(preset, lambda name: _download(preset, name))


def _local(preset, network=None):
    """The `Path` of a local folder or prefix, or `None`."""
    folder = pathlib.Path(preset).expanduser()
    if folder.is_dir():
        return _folder_of_pair(folder, network)
    return folder if pathlib.Path(f"{folder}.index").is_file() else None


def _folder_of_pair(folder, network):
    """Of an exported pair one of its two folders."""
    pair = [folder / name for name in ("discriminator", "generator")]
    if (folder / "config.json").exists() or not all(
        (part / "config.json").is_file() for part in pair
    ):
        return folder
    return folder / (network or "discriminator")


def _finder(folder):
    def find(name):
        path = folder / name
        return path if path.is_file() else None

    return find


def _download(preset, name):
    """Local path of a file of a hub, or `None` if it has no such file."""
    try:
        return preset_utils.get_file(preset, name)
    except FileNotFoundError as error:
        if _is_about_connection(error):
            raise _no_connection(preset, error) from error
        return None
    except (ValueError, ImportError):
        raise
    except Exception as error:
        raise _no_connection(preset, error) from error


def _is_about_connection(error):
    while error is not None:
        if type(error).__name__ == "LocalEntryNotFoundError":
            return True
        error = error.__cause__
    return False


def _no_connection(preset, error):
    return ConnectionError(
        f"{preset!r} could not be downloaded: is there a network, and does "
        "the repository exist and permit reading? Download its files by other "
        f"means and give the folder. The hub's library says: {error}"
    )


def add_pretrainer_parts(preset, load_weights, kwargs, network, head):
    """Takes one network and its head from the preset of a pre-trainer.

    KerasHub reads a head's weights only for the task class that wrote them,
    and always takes the discriminator for the backbone.

    Args:
        preset: string. As in `from_preset`.
        load_weights: bool. As in `from_preset`.
        kwargs: dict. Arguments of `from_preset` for the task.
        network: string. Attribute of the pre-trainer with the backbone.
        head: string. Attribute of the pre-trainer with the head.

    Returns:
        dict. `kwargs` with `backbone` and `head` in place of `dtype` if the
        preset is a pre-trainer's, else `kwargs`.

    Raises:
        ValueError: when the pre-trainer had no such network or head.
    """
    if "backbone" in kwargs or saved_task(preset) != PRETRAINER:
        return kwargs
    from keras_electra.pretraining.pretrainer import ElectraPretrainer

    kwargs = dict(kwargs)
    pretrainer = ElectraPretrainer.from_preset(
        preset, load_weights=load_weights, dtype=kwargs.pop("dtype", None)
    )
    parts = {
        "backbone": getattr(pretrainer, network),
        "head": getattr(pretrainer, head),
    }
    if None in parts.values():
        raise ValueError(
            f"Preset {preset!r} was pre-trained without a `{network}` or "
            f"`{head}`, so there is none to open. Open it as another task."
        )
    return {**parts, **kwargs}


def load_pretrainer(cls, discriminator, generator, load_weights, **kwargs):
    """A pre-trainer of networks from one or two presets of any form.

    Args:
        cls: `ElectraPretrainer`.
        discriminator: string or path. As in `from_preset`.
        generator: string, path, or `None`: the one beside the discriminator,
            or else a fresh one.
        load_weights: bool. As in `from_preset`.
        **kwargs: `dtype`, and arguments of `cls`.

    Returns:
        An object of `cls`.
    """
    from keras_electra.tasks.masked_lm import ElectraMaskedLM
    from keras_electra.tasks.replaced_token_detector import (
        ElectraReplacedTokenDetector,
    )

    common = {"dtype": kwargs.pop("dtype", None), "compile": False}
    tied, filler = False, None
    with loading.silence():  # one summary of both is shown in the end
        detector = ElectraReplacedTokenDetector.from_preset(
            discriminator, load_weights, **common
        )
        if generator is None:
            generator, tied = _generator_beside(discriminator)
        if generator is not None:
            filler = ElectraMaskedLM.from_preset(
                generator, load_weights, **common
            )
    return pairs.build_pretrainer(cls, detector, filler, tied, **kwargs)


def _generator_beside(preset):
    """The preset with the generator that belongs to a discriminator.

    Returns:
        It or `None`, and whether generator and discriminator are one network.
    """
    folder = pathlib.Path(os.fspath(preset)).expanduser()
    if _folder_of_pair(folder, "generator") != folder:
        return folder, False
    if saved_task(preset) == PRETRAINER:
        return preset, False
    checkpoint = open_checkpoint(preset)
    if checkpoint is not None and checkpoint.is_pair:
        return preset, checkpoint.is_tied
    return None, False


def saved_task(preset):
    """The registered name of the task that a preset was saved from.

    Args:
        preset: string. As in `from_preset`.

    Returns:
        string, or `None` if the preset has no task.
    """
    preset, file = os.fspath(preset), preset_utils.TASK_CONFIG_FILE
    folder = _local(preset)
    if folder is not None:
        path = _finder(folder)(file)
    elif "://" in preset or preset in preset_utils.BUILTIN_PRESETS:
        path = _download(preset, file)
    else:
        return None
    if path is None:
        return None
    config = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    return config["registered_name"]


def atomic_save_to_preset(save, preset_dir, **kwargs):
    """Saves a preset so that a failure leaves the folder as it was.

    All files are written to a new subfolder first (on the same disk whatever
    the folder is mounted on) and then moved, `config.json` last: without it
    no folder is taken for a preset. Weights of an earlier preset that the
    new one does not overwrite are removed, other files stay.

    Args:
        save: function of a folder and `**kwargs`, such as `save_to_preset`
            of a KerasHub class.
        preset_dir: path of the folder, which need not exist.
        **kwargs: passed to `save`.
    """
    target = pathlib.Path(preset_dir)
    existed = target.is_dir()
    target.mkdir(parents=True, exist_ok=True)
    written = target / f".saving-{uuid.uuid4().hex[:8]}"
    written.mkdir()
    try:
        save(str(written), **kwargs)
        files = [path for path in written.rglob("*") if path.is_file()]
        files.sort(key=lambda path: (path.name == "config.json", path))
        names = {path.relative_to(written) for path in files}
        if pathlib.Path("config.json") in names:
            for stale in target.glob("*.weights.*"):
                if stale.relative_to(target) not in names:
                    stale.unlink()
        for path in files:
            place = target / path.relative_to(written)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)
    finally:
        shutil.rmtree(written, ignore_errors=True)
        if not existed and not any(target.iterdir()):
            target.rmdir()


def export_pretrainer(pretrainer, folder):
    """Writes both networks in the form of transformers; see the pre-trainer."""
    atomic_save_to_preset(
        lambda path: export.pretrainer_to_transformers(
            pretrainer, pathlib.Path(path)
        ),
        folder,
    )


class ForeignPresets:
    """`from_preset` that opens checkpoints of other forms, too.

    To be mixed into a class of KerasHub, before its base class.
    """

    @classmethod
    def from_preset(cls, preset, load_weights=True, **kwargs):
        """Opens a preset, or a checkpoint that was made elsewhere.

        Args:
            preset: string or path. A built-in name, a folder, the prefix of a
                TF1 checkpoint, or a handle such as `"hf://user/model"`.
            load_weights: bool. Whether to load the weights. Defaults to
                `True`.
            **kwargs: `dtype`, and arguments of the constructor.

        Returns:
            An object of this class.

        Raises:
            ValueError: when the form is unknown or ambiguous, a file damaged,
                or the network another one; nothing is returned half-built.
        """
        form = task_form(cls)
        checkpoint = open_checkpoint(preset, form and form.network)
        if checkpoint is None:
            preset = os.fspath(preset)
            return super().from_preset(preset, load_weights, **kwargs)
        return loading.load_task(cls, checkpoint, load_weights, **kwargs)


class PresetSaving(ForeignPresets):
    """How our tasks are saved: safely, and without their optimizers.

    To be mixed into a KerasHub task, before its base class. KerasHub would
    save the state of the optimizer too, which is twice as large as the network
    and of no use in a preset; `.keras` files have it.
    """

    def export_to_transformers(self, folder):
        """Writes the task so that Hugging Face's package opens it.

        Weights (safetensors, float32), configuration and tokenizer. A
        classifier with the original's head becomes one with that package's
        that computes the same; `from_preset` recognizes it.

        Args:
            folder: path of the folder, made if need be. A failure leaves in
                it what was there before.

        Raises:
            ValueError: when that package has no such task or head.
        """
        atomic_save_to_preset(
            lambda path: export.task_to_transformers(self, pathlib.Path(path)),
            folder,
        )

    def save_to_preset(self, preset_dir, max_shard_size=10):
        """Saves to a folder; a full disk leaves what was there before.

        Args:
            preset_dir: path of the folder.
            max_shard_size: float or `None`. Largest file of weights, in GB.
                Defaults to `10`.
        """
        atomic_save_to_preset(
            super().save_to_preset, preset_dir, max_shard_size=max_shard_size
        )

    def save_task_weights(self, filepath):
        """Saves what the task has beside its backbone."""
        keras.saving.save_weights(
            self, filepath, objects_to_skip=self._outside_task_weights()
        )

    def load_task_weights(self, filepath):
        """Loads what `save_task_weights` of the same class saved."""
        keras.saving.load_weights(
            self, filepath, objects_to_skip=self._outside_task_weights()
        )

    def _outside_task_weights(self):
        optimizer = getattr(self, "optimizer", None)  # none if not compiled
        layers = self.backbone._flatten_layers()
        return [*layers, *filter(None, [optimizer])]


register_builtin_presets()
