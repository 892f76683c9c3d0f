"""Opens presets and checkpoints of every form.

A preset of this package is opened by KerasHub; whatever was made elsewhere is
read by `keras_electra.conversion`, which is told here where the files are.
"""

import json
import os
import pathlib

from keras_electra.conversion import detect
from keras_electra.conversion import loading
from keras_electra.conversion import pairs
from keras_electra.conversion.task_forms import task_form
from keras_electra.hub import registry

PRETRAINER = "keras_electra>ElectraPretrainer"


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
    if not registry.is_known(preset):
        return None  # KerasHub knows how to say that there is no such thing
    return detect.open_checkpoint(
        preset, lambda name: registry.download(preset, name)
    )


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


def saved_task(preset):
    """The registered name of the task that a preset was saved from.

    Args:
        preset: string. As in `from_preset`.

    Returns:
        string, or `None` if the preset has no task.
    """
    preset, file = os.fspath(preset), registry.TASK_CONFIG
    folder = _local(preset)
    if folder is not None:
        path = _finder(folder)(file)
    elif registry.is_known(preset):
        path = registry.download(preset, file)
    else:
        return None
    if path is None:
        return None
    config = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    return config["registered_name"]


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
    # Of all other forms only the original's holds both.
    local = _local(os.fspath(preset))
    if local is not None and (not local.is_dir() or detect.has_index(local)):
        checkpoint = open_checkpoint(preset)
        if checkpoint is not None and checkpoint.is_pair:
            return preset, checkpoint.is_tied
    return None, False


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
