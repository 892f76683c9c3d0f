"""KerasHub's registry of names, and its downloads.

A preset is a folder as KerasHub's `save_to_preset` writes it. The built-in
ones are the folders under `presets/` of the checkout, which a wheel carries
as `keras_electra/_presets/`; their names are the folders' names. KerasHub has
no public way to add names, so this file, and no other, uses its private
registry.
"""

import json
import pathlib

from keras_hub.src.utils import preset_utils

from keras_electra.model.backbone import ElectraBackbone

TASK_CONFIG = preset_utils.TASK_CONFIG_FILE


def presets_folder():
    """The folder with one built-in preset a subfolder, as a `Path`."""
    package = pathlib.Path(__file__).resolve().parent.parent
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


def list_for(cls, entries):
    """Adds entries to `presets` of a class and of the tasks on it.

    Names are not registered: KerasHub's own are already, and handles need no
    name.

    Args:
        cls: `ElectraBackbone`.
        entries: dict as `find_presets` gives it.
    """
    preset_utils.BUILTIN_PRESETS_FOR_BACKBONE[cls].update(entries)


def is_known(preset):
    """Whether a string is a built-in name or the handle of a hub."""
    return "://" in preset or preset in preset_utils.BUILTIN_PRESETS


def kerashub_presets():
    """KerasHub's six names of ELECTRA, as its registry holds them."""
    import keras_hub

    return dict(keras_hub.models.ElectraBackbone.presets)


def download(preset, name):
    """Fetches a file of a preset, from a hub or from the cache.

    Args:
        preset: string. A built-in name or a handle.
        name: string. Name of the file.

    Returns:
        Its local path, or `None` if the preset has no such file.

    Raises:
        ConnectionError: when the hub cannot be reached.
    """
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


register_builtin_presets()
