"""Says from the files what form a checkpoint has.

Ours and KerasHub's have a `config.json` with a registered name, those of
transformers one with a model type, and those of the original an `.index`
file. Nothing is guessed: two forms in one folder are an error, and so is
none.
"""

import json
import pathlib

from keras_electra.conversion.google_checkpoint import GoogleCheckpoint
from keras_electra.conversion.hugging_face import CONFIG
from keras_electra.conversion.hugging_face import TransformersCheckpoint
from keras_electra.conversion.kerashub import KERASHUB_BACKBONE
from keras_electra.conversion.kerashub import KerasHubCheckpoint
from keras_electra.conversion.tensor_files import WEIGHT_FILES

LOOKED_FOR = (
    f"{CONFIG} with `registered_name` (this package, KerasHub)",
    f"{CONFIG} with `model_type` and {' or '.join(WEIGHT_FILES)} "
    "(transformers)",
    "one `*.index` file, or a `checkpoint` file that names one, with its "
    "`*.data-*` (Google's TF1)",
    f"`discriminator/{CONFIG}` and `generator/{CONFIG}` (an exported pair)",
)


def open_checkpoint(preset, find, folder=None):
    """Opens a checkpoint if it is of a form that is not ours.

    Args:
        preset: string. Name, handle or folder, for messages and for KerasHub.
        find: function from a file name to its local path, or to `None`.
        folder: `Path` or `None`. The folder or, of a TF1 checkpoint, the
            prefix, if it is local.

    Returns:
        A `Checkpoint`; `None` for a preset of this package, or of a class
        that KerasHub can open itself.

    Raises:
        ValueError: when the form is unknown or ambiguous, or a file damaged.
    """
    if folder is not None and not folder.is_dir():
        return GoogleCheckpoint(folder, preset)
    config = read_config(find, preset)
    if "registered_name" in config:
        _check_alone(preset, f"a preset ({CONFIG})", folder)
        if config["registered_name"] == KERASHUB_BACKBONE:
            return KerasHubCheckpoint(preset, find, config)
        return None
    has_weights = any(find(name) is not None for name in WEIGHT_FILES)
    if has_weights:
        _check_alone(preset, "weights of transformers", folder)
    if folder is not None and has_index(folder):
        return GoogleCheckpoint(folder, preset)
    if "model_type" in config or "architectures" in config:
        return TransformersCheckpoint(find, preset)
    listed = "".join(f"\n- {what}" for what in LOOKED_FOR)
    raise ValueError(
        f"No checkpoint was recognized in {preset}. Looked for:{listed}"
    )


def has_index(folder):
    """Whether a folder holds a TF1 checkpoint."""
    return any(folder.glob("*.index"))


def _check_alone(preset, what, folder):
    """Raises if there is a TF1 checkpoint, too."""
    if folder is not None and has_index(folder):
        raise ValueError(
            f"{preset} is ambiguous: it holds both {what} and a TF1 "
            "checkpoint (*.index). Put them in two folders, or give the "
            "prefix of the TF1 checkpoint, such as 'folder/model.ckpt-40'."
        )


def read_config(find, source):
    """The content of `config.json`, or an empty dict if there is none."""
    path = find(CONFIG)
    if path is None:
        return {}
    try:
        config = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it is not an object")
    except ValueError as error:
        raise ValueError(
            f"{CONFIG} of {source} is no valid JSON: {error}. Copy or "
            "download it again."
        ) from error
    return config
