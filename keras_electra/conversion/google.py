"""Checkpoints of the original program (google-research/electra, TF1).

Its variables are addressed by name. One table says which weight of a
pre-trainer each name is; reading, and comparing gradients or optimizer slots,
go by it. `google_checkpoint.py` makes it one of the forms of `from_preset`.
"""

import keras

from keras_electra.conversion.assign import fill
from keras_electra.conversion.places import embeddings
from keras_electra.conversion.places import encoder
from keras_electra.conversion.places import replaced_token_head
from keras_electra.conversion.places import token_prediction_head
from keras_electra.conversion.tf_bundle import TensorBundle
from keras_electra.model.backbone import ElectraBackbone

# Written by the original program beside the weights, and of no use here.
OPTIMIZER_SUFFIXES = ("/adam_m", "/adam_v")
IGNORED_NAMES = ("global_step",)


def places(pretrainer):
    """Maps the original's variable names to the weights of a pre-trainer.

    Args:
        pretrainer: `ElectraPretrainer`.

    Returns:
        A dict from name to `Place`, every weight of ours covered once.
    """
    backbone, generator = pretrainer.backbone, pretrainer.generator
    table = {}
    owns = generator is not None and generator is not backbone
    if owns:
        table.update(encoder(generator, "generator"))
        if generator.embeddings is not backbone.embeddings:
            table.update(embeddings(generator.embeddings, "generator"))
    if generator is not None:
        table.update(token_prediction_head(pretrainer.generator_head))
    table.update(embeddings(backbone.embeddings))
    if pretrainer.discriminator_head is not None or not owns:
        table.update(encoder(backbone))
    if pretrainer.discriminator_head is not None:
        table.update(replaced_token_head(pretrainer.discriminator_head))
    return table


def assign(pretrainer, arrays):
    """Gives every weight of a pre-trainer the value of its original name.

    Args:
        pretrainer: `ElectraPretrainer`.
        arrays: mapping from the original's variable names to arrays.

    Raises:
        ValueError: when a name is missing or left over, or a shape differs;
            no weight has been changed then.
    """
    table = places(pretrainer)
    missing, unused = set(table) - set(arrays), set(arrays) - set(table)
    if missing or unused:
        raise ValueError(
            "The checkpoint must hold exactly the variables of the model. "
            f"Missing: {sorted(missing) or 'none'}. Left over: "
            f"{sorted(unused) or 'none'}. Build the pre-trainer with the "
            "layers, sharing and heads that the checkpoint was trained with."
        )
    for name, place in table.items():
        if tuple(arrays[name].shape) != place.shape:
            raise ValueError(
                f"Variable {name!r} of the checkpoint must have shape "
                f"{place.shape}. It has {tuple(arrays[name].shape)}. Build "
                "the pre-trainer with the checkpoint's sizes."
            )
    fill(table, arrays.__getitem__)


def load_checkpoint(pretrainer, path):
    """Loads the weights of a checkpoint of the original program.

    Args:
        pretrainer: `ElectraPretrainer` of the checkpoint's sizes.
        path: string. Folder or prefix of the checkpoint.

    Raises:
        ValueError: when the checkpoint is damaged, or not of this model.
    """
    bundle = TensorBundle(path)
    assign(pretrainer, {name: bundle.read(name) for name in _names(bundle)})


def _names(bundle):
    return [
        name
        for name in bundle.names()
        if not name.endswith(OPTIMIZER_SUFFIXES) and name not in IGNORED_NAMES
    ]


def backbone_arguments(path, prefix="electra", num_heads=None):
    """Infers the sizes of one network of a checkpoint from its shapes.

    Args:
        path: string. Folder or prefix of the checkpoint.
        prefix: string. `"electra"` for the discriminator, `"generator"` for
            the generator. Defaults to `"electra"`.
        num_heads: int or `None`. Not visible in any shape. Defaults to heads
            of 64 units, as in all sizes of the paper.

    Returns:
        A dict of keyword arguments of `keras_electra.ElectraBackbone`.

    Raises:
        ValueError: when the checkpoint does not hold the network.
    """
    bundle = TensorBundle(path)
    shapes = {name: tuple(bundle.shape(name)) for name in _names(bundle)}
    first = f"{prefix}/encoder/layer_0/intermediate/dense/kernel"
    if first not in shapes:
        raise ValueError(
            f"The checkpoint at {path!r} must hold the network {prefix!r}. "
            f"It has no variable {first!r}, but the networks "
            f"{sorted({name.split('/')[0] for name in shapes})}."
        )
    owner = prefix
    if f"{prefix}/embeddings/word_embeddings" not in shapes:
        owner = "electra"
    tables = f"{owner}/embeddings"
    hidden_dim, intermediate_dim = shapes[first]
    vocabulary_size, embedding_dim = shapes[f"{tables}/word_embeddings"]
    layers = {
        name.split("/")[2]
        for name in shapes
        if name.startswith(f"{prefix}/encoder/layer_")
    }
    return {
        "vocabulary_size": vocabulary_size,
        "num_layers": len(layers),
        "num_heads": num_heads or max(1, hidden_dim // 64),
        "hidden_dim": hidden_dim,
        "intermediate_dim": intermediate_dim,
        "embedding_dim": embedding_dim,
        "max_sequence_length": shapes[f"{tables}/position_embeddings"][0],
        "num_segments": shapes[f"{tables}/token_type_embeddings"][0],
    }


def backbones(path, num_heads=None, generator_num_heads=None, **kwargs):
    """Builds both networks of a checkpoint, with random weights.

    Args:
        path: string. Folder or prefix of the checkpoint.
        num_heads: int or `None`. Heads of the discriminator.
        generator_num_heads: int or `None`. Heads of the generator.
        **kwargs: further arguments of both, such as `dropout` and `dtype`.

    Returns:
        Discriminator and generator, `ElectraBackbone`s with the sharing of
        embeddings that the checkpoint has.
    """
    discriminator = ElectraBackbone(
        **backbone_arguments(path, "electra", num_heads),
        **kwargs,
        name="discriminator",
    )
    names = TensorBundle(path).names()
    own = "generator/embeddings/word_embeddings" in names
    with keras.name_scope("generator"):
        generator = ElectraBackbone(
            **backbone_arguments(path, "generator", generator_num_heads),
            **kwargs,
            embeddings=None if own else discriminator.embeddings,
            name="generator",
        )
    return discriminator, generator
