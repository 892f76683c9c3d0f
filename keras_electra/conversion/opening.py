"""Opens and writes all other forms for `keras_electra.presets`.

`presets` knows no form but KerasHub's; `keras_electra/__init__.py` registers
what is here.
"""

import os
import pathlib

import keras_hub

from keras_electra.conversion import detect
from keras_electra.conversion import export
from keras_electra.conversion import loading
from keras_electra.conversion import pairs
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR
from keras_electra.conversion.task_forms import task_form
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import EXPORTERS
from keras_electra.presets import OPENERS
from keras_electra.presets import download
from keras_electra.presets import is_known
from keras_electra.presets import saved_task as read_saved_task
from keras_electra.presets import split_arguments
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.tasks.masked_lm import ElectraMaskedLM
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetector,
)
from keras_electra.text.tokenizer import ElectraTokenizer

PRETRAINER = "keras_electra>ElectraPretrainer"
# Attributes of a pre-trainer with each network and its head.
PARTS = {
    DISCRIMINATOR: ("backbone", "discriminator_head"),
    GENERATOR: ("generator", "generator_head"),
}


def register():
    """Makes `from_preset` and `export_to_...` know all forms."""
    OPENERS.append(open_preset)
    EXPORTERS.update(
        transformers=export.to_transformers,
        tf1=export.to_google,
        keras_hub=export.to_kerashub,
    )


def open_preset(cls, preset, load_weights, arguments):
    """One of `OPENERS`, for all that KerasHub does not open."""
    if issubclass(cls, ElectraPretrainer):
        return open_pretrainer(cls, preset, load_weights, arguments)
    form = task_form(cls)
    network = form and form.network
    if network and "backbone" not in arguments:
        if saved_task(preset) == PRETRAINER:
            return open_part(cls, network, preset, load_weights, arguments)
    checkpoint = open_checkpoint(preset, network)
    if checkpoint is None:
        return None
    if issubclass(cls, ElectraTokenizer):
        return loading.require_tokenizer(checkpoint, **arguments)
    if issubclass(cls, keras_hub.models.Preprocessor):
        return loading.load_preprocessor(cls, checkpoint, **arguments)
    if issubclass(cls, ElectraBackbone):
        return loading.load_backbone(checkpoint, load_weights, **arguments)
    return loading.load_task(cls, checkpoint, load_weights, **arguments)


def open_checkpoint(preset, network=None):
    """Opens what `from_preset` got, if it is of a form that is not ours.

    Args:
        preset: string or path. A name, a handle, a folder, or the prefix of a
            TF1 checkpoint.
        network: string or `None`. Which folder of an exported pair to take.

    Returns:
        A `Checkpoint`; `None` if KerasHub is to open it.

    Raises:
        ValueError: when the form is unknown or ambiguous, or a file damaged.
        ConnectionError: when a hub cannot be reached.
    """
    preset = os.fspath(preset)
    folder = _local(preset, network)
    if folder is not None:
        return detect.open_checkpoint(
            str(folder), _finder(preset, network), folder
        )
    if not is_known(preset):
        return None  # KerasHub knows how to say that there is no such thing
    return detect.open_checkpoint(preset, _finder(preset))


def saved_task(preset):
    """The registered name of the task a preset was saved from, or `None`."""
    return read_saved_task(_finder(os.fspath(preset)))


def _finder(preset, network=None):
    """Function from a file name of a preset to its local path or `None`."""
    folder = _local(preset, network)

    def find(name):
        if folder is not None:
            return folder / name if (folder / name).is_file() else None
        return download(preset, name) if is_known(preset) else None

    return find


def _local(preset, network=None):
    """The `Path` of a local folder or prefix, or `None`."""
    folder = pathlib.Path(preset).expanduser()
    if folder.is_dir():
        return _folder_of_pair(folder, network)
    return folder if pathlib.Path(f"{folder}.index").is_file() else None


def _folder_of_pair(folder, network):
    """Of an exported pair one of its two folders."""
    pair = [folder / name for name in (DISCRIMINATOR, GENERATOR)]
    if (folder / "config.json").exists() or not all(
        (part / "config.json").is_file() for part in pair
    ):
        return folder
    return folder / (network or DISCRIMINATOR)


def open_part(cls, network, preset, load_weights, arguments):
    """One network of a pre-trainer's preset and its head, as a task.

    KerasHub reads a head's weights only for the task class that wrote them,
    and always takes the discriminator for the backbone.
    """
    pretrainer = ElectraPretrainer.from_preset(
        preset, load_weights, dtype=arguments.pop("dtype", None)
    )
    parts = [getattr(pretrainer, name) for name in PARTS[network]]
    if None in parts:
        raise ValueError(
            f"Preset {preset!r} was pre-trained without a `{PARTS[network][0]}`"
            f" or `{PARTS[network][1]}`, so there is none to open. Open it as "
            "another task."
        )
    backbone, head = parts
    own, passed_on = split_arguments(cls, arguments)
    if "preprocessor" not in own and pretrainer.preprocessor is not None:
        preprocessor = cls.preprocessor_cls.from_preset(preset, **passed_on)
        own["preprocessor"] = preprocessor
    return cls(**{"backbone": backbone, "head": head, **own})


def open_pretrainer(cls, preset, load_weights, arguments):
    """A pre-trainer of networks from one or two presets of any form.

    Without `generator` it is the one beside the discriminator, or else a
    fresh one.
    """
    generator = arguments.pop("generator", None)
    discriminator = arguments.pop("discriminator", preset)
    if generator is None and preset is not None:
        if saved_task(preset) == PRETRAINER:
            return None
    arguments, of_text = split_arguments(cls, arguments)
    of_text, of_tokens = split_arguments(cls.preprocessor_cls, of_text)
    common = {
        "dtype": arguments.pop("dtype", None),
        "compile": False,
        **of_tokens,
    }
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
    return pairs.build_pretrainer(
        cls, detector, filler, tied, of_text, **arguments
    )


def _generator_beside(preset):
    """The preset with the generator that belongs to a discriminator.

    Returns:
        It or `None`, and whether generator and discriminator are one network.
    """
    folder = pathlib.Path(os.fspath(preset)).expanduser()
    if _folder_of_pair(folder, GENERATOR) != folder:
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
