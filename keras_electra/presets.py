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


def saved_task(preset):
    """The registered name of the task that a preset was saved from.

    Args:
        preset: string. As in `from_preset`.

    Returns:
        string, or `None` if the preset has no task.
    """
    file = preset_utils.TASK_CONFIG_FILE
    if not preset_utils.check_file_exists(preset, file):
        return None
    return preset_utils.load_json(preset, file)["registered_name"]


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


class PresetSaving:
    """How our tasks are saved: safely, and without their optimizers.

    To be mixed into a KerasHub task, before its base class. KerasHub would
    save the state of the optimizer too, which is twice as large as the network
    and of no use in a preset; `.keras` files have it.
    """

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
