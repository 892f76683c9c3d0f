"""Pre-trainers with the weights of the original program's checkpoints."""

import types

import keras

from keras_electra.conversion import weights
from keras_electra.conversion.load import Files
from keras_electra.conversion.programs import GoogleCheckpoint
from keras_electra.model.backbone import ElectraBackbone


class Arrays(weights.Checkpoint):
    """A checkpoint of arrays by their original names."""

    form, source = "arrays", "here"

    def __init__(self, arrays):
        self.tensors = {
            name: weights.in_memory(array) for name, array in arrays.items()
        }

    def reasons(self, network):
        return {"extra": "on purpose"}


def variables(path):
    """All variables of a checkpoint but the optimizer's, by their names."""
    return {
        name: tensor.read()
        for name, tensor in GoogleCheckpoint(Files(path)).tensors.items()
        if "adam" not in name and name != "global_step"
    }


def load(pretrainer, arrays):
    """Gives every weight of a pre-trainer the array of its original name."""
    table = weights.pretrainer(pretrainer)
    return weights.assign(Arrays(arrays), "discriminator", table, {}, [])


def load_towers(pretrainer, arrays):
    """The same with Electric's generator, which no other form holds."""
    backbone, towers = pretrainer.backbone, pretrainer.generator
    table = weights.network(backbone)
    for tower, name in ((towers.left, "ltr"), (towers.right, "rtl")):
        table |= weights.encoder(tower, f"generator_{name}")
        if tower.embeddings is not backbone.embeddings:
            own = tower.embeddings
            table |= weights.embeddings(own, f"generator_{name}")
    for head, parts in (
        (pretrainer.generator_head, weights.TOKEN_HEAD),
        (pretrainer.discriminator_head, weights.REPLACED_HEAD),
    ):
        table |= weights.of_parts(types.SimpleNamespace(head=head), parts)
    arrays = {
        name.replace("cloze_pred", "generator_pred"): array
        for name, array in arrays.items()
    }
    weights.fill(table, arrays.pop)
    assert not arrays


def backbones(path, num_heads=None, generator_num_heads=None, **kwargs):
    """Both networks of a checkpoint's sizes, with random weights."""
    checkpoint = GoogleCheckpoint(Files(path))
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
