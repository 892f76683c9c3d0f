"""Pre-trainers with the weights of the original program's checkpoints."""

import keras

from keras_electra.conversion import weights
from keras_electra.conversion.checkpoint import Checkpoint
from keras_electra.conversion.checkpoint import assign
from keras_electra.conversion.google import GoogleCheckpoint
from keras_electra.model.backbone import ElectraBackbone


class Arrays(Checkpoint):
    """A checkpoint of arrays by their original names."""

    form, source = "arrays", "here"
    networks = ("discriminator", "generator")

    def __init__(self, arrays):
        self.arrays = arrays

    def names(self):
        return sorted(self.arrays)

    def shape(self, name, network):
        return self.arrays[name].shape

    def read(self, name, network):
        return self.arrays[name]

    def drop_reason(self, stored, network):
        return "on purpose" if stored.startswith("extra") else None


def variables(path):
    """All variables of a checkpoint but the optimizer's, by their names."""
    checkpoint = GoogleCheckpoint(path, str(path))
    # Under the discriminator's eyes every name is what it is.
    return {
        name: checkpoint.read(name, "discriminator")
        for name in checkpoint.names()
        if "adam" not in name and name != "global_step"
    }


def load(pretrainer, arrays):
    """Gives every weight of a pre-trainer the array of its original name."""
    return assign(
        Arrays(arrays), "discriminator", weights.pretrainer(pretrainer)
    )


def backbones(path, num_heads=None, generator_num_heads=None, **kwargs):
    """Both networks of a checkpoint's sizes, with random weights."""
    checkpoint = GoogleCheckpoint(path, str(path))
    built = []
    for network, heads in (
        ("discriminator", num_heads),
        ("generator", generator_num_heads),
    ):
        arguments = checkpoint.backbone_arguments(network)
        arguments.pop("attention_dropout", None)  # follows `dropout`
        if heads is not None:
            arguments["num_heads"] = heads
        embeddings = built[0].embeddings if built else None
        with keras.name_scope(network if built else ""):
            built.append(
                ElectraBackbone(
                    **{**arguments, **kwargs},
                    embeddings=embeddings,
                    name=network,
                )
            )
    return built
