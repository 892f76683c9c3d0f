"""The weight map, and how the weights of a checkpoint are taken over.

All forms go through one set of names: the original's, and for heads that it
lacks transformers' with slashes. A table maps tuples of them to variables: of
query, key and value, side by side in one matrix here, or of one name.
"""

import dataclasses
import operator
import re
import types
import typing

import keras
import numpy as np

from keras_electra.conversion import tokenizer_files

# Name in the original -> attribute here: of embeddings, a layer and a task.
EMBEDDINGS = {
    "word_embeddings": "token_embedding.embeddings",
    "position_embeddings": "position_embedding.position_embeddings",
    "token_type_embeddings": "segment_embedding.embeddings",
    "LayerNorm": "layer_norm",
}
ATTENTION = tuple(f"attention/self/{n}" for n in ("query", "key", "value"))
LAYER = {
    ATTENTION: "attention.query_key_value",
    "attention/output/dense": "attention.output_dense",
    "attention/output/LayerNorm": "attention_layer_norm",
    "intermediate/dense": "intermediate_dense",
    "output/dense": "output_dense",
    "output/LayerNorm": "output_layer_norm",
}
# The output matrix of an untied head. The original has no such thing.
OUTPUT_TABLE = "generator_predictions/output_embeddings"
TOKEN_HEAD = {
    "generator_predictions/dense": "head.dense",
    "generator_predictions/LayerNorm": "head.layer_norm",
    "generator_predictions/output_bias": "head.bias",
    OUTPUT_TABLE: "head.output_embeddings",
}
REPLACED_HEAD = {
    "discriminator_predictions/dense": "head.dense",
    "discriminator_predictions/dense_1": "head.output_dense",
}


def of_parts(root, attributes, prefix=""):
    """Weights of attributes of `root`: layers, variables or `None`."""
    table = {}
    for names, attribute in attributes.items():
        names = (names,) if isinstance(names, str) else names
        part = operator.attrgetter(attribute)(root)
        variables = {} if part is None else {"": part}
        if isinstance(part, keras.Layer):
            is_dense = hasattr(part, "kernel")
            parts = ("kernel", "bias") if is_dense else ("gamma", "beta")
            variables = {f"/{name}": getattr(part, name) for name in parts}
        for end, variable in variables.items():
            table[tuple(prefix + name + end for name in names)] = variable
    return table


def embeddings(layer, prefix="electra"):
    """Weights of an `ElectraEmbeddings`."""
    return of_parts(layer, EMBEDDINGS, f"{prefix}/embeddings/")


def encoder(backbone, prefix="electra"):
    """Weights of an `ElectraBackbone` but its embeddings."""
    projection = {"embeddings_project": "embeddings_projection"}
    table = of_parts(backbone, projection, f"{prefix}/")
    for i, layer in enumerate(backbone.transformer_layers):
        table.update(of_parts(layer, LAYER, f"{prefix}/encoder/layer_{i}/"))
    return table


def network(backbone):
    """Weights of a whole `ElectraBackbone`."""
    return {**embeddings(backbone.embeddings), **encoder(backbone)}


def tasks_of(pretrainer):
    """What is like a task for each network of a pre-trainer with a head."""
    text = pretrainer.preprocessor
    parts = {
        "discriminator": (pretrainer.backbone, pretrainer.discriminator_head),
        "generator": (pretrainer.generator, pretrainer.generator_head),
    }
    return {
        name: types.SimpleNamespace(backbone=b, head=head, preprocessor=text)
        for name, (b, head) in parts.items()
        if b is not None and head is not None
    }


def pretrainer(pretrainer):
    """Weights of an `ElectraPretrainer`, each once."""
    backbone, generator = pretrainer.backbone, pretrainer.generator
    tasks, table = tasks_of(pretrainer), embeddings(backbone.embeddings)
    has_two = generator not in (None, backbone)
    if has_two:
        table.update(encoder(generator, "generator"))
        if generator.embeddings is not backbone.embeddings:
            table.update(embeddings(generator.embeddings, "generator"))
    if "generator" in tasks:
        table.update(of_parts(tasks["generator"], TOKEN_HEAD))
    if "discriminator" in tasks or not has_two:
        table.update(encoder(backbone))
    if "discriminator" in tasks:
        table.update(of_parts(tasks["discriminator"], REPLACED_HEAD))
    return table


def shapes_of(table):
    """The shapes of a table's parts by name."""
    return {
        name: (*variable.shape[:-1], variable.shape[-1] // len(names))
        for names, variable in table.items()
        for name in names
    }


def arrays_of(table, read=keras.ops.convert_to_numpy):
    """The values of a table's parts by name, float32."""
    arrays = {}
    for names, variable in table.items():
        values = np.asarray(read(variable), "float32")
        arrays.update(zip(names, np.split(values, len(names), axis=-1)))
    return arrays


def fill(table, read):
    """Assigns what `read` gives for the names of a table to its variables."""
    for names, variable in table.items():
        values = [np.asarray(read(name), "float32") for name in names]
        values = np.concatenate(values, axis=-1)
        variable.assign(np.reshape(values, variable.shape))


class Tensor(typing.NamedTuple):
    """A tensor in a file: its shape, and a function that reads it."""

    shape: tuple
    read: typing.Callable


class Checkpoint:
    """One checkpoint in a form that is not ours; a subclass knows the form.

    It adds `form`, its name; `tensors`, a dict from stored names to `Tensor`s
    shaped like ours; and `backbone_arguments(network)`.
    """

    # Both for an encoder of which nobody can say what it is.
    networks = ("discriminator", "generator")
    is_pair = is_tied = False  # the two of a pre-training; they are one encoder
    architecture, config = None, {}  # in transformers
    token_head = {}  # arguments of `ElectraMaskedLM`
    lowercase = True  # as of `read_tokenizer`

    def __init__(self, files):
        self.files, self.source = files, files.source

    def tokenizer(self, **kwargs):
        """A new tokenizer, or `None`; `kwargs` go before what files say."""
        return tokenizer_files.read_tokenizer(
            self.files.find, self.source, self.lowercase, **kwargs
        )

    def notes(self, network):
        """What was assumed about a network, for the summary."""
        return []

    def reasons(self, network):
        """Patterns of tensors that are left out on purpose -> why."""
        return {}

    def stored_name(self, name, network):
        """The stored name for an original name, whether there is one or not."""
        return name

    def tensor(self, name, network="discriminator"):
        """The `Tensor` with an original name, or `None`."""
        return self.tensors.get(self.stored_name(name, network))


@dataclasses.dataclass(frozen=True)
class Summary:
    """What became of a checkpoint; as a string, a report."""

    source: str
    form: str
    used: int  # tensors that are in the model now
    dropped: dict  # tensors that are not -> why
    new: dict  # paths of weights that are not from it -> why
    notes: list  # what else the user should know

    def __str__(self):
        lines = [f"{self.source} ({self.form}): {self.used} tensors used"]
        for title, found in (("dropped", self.dropped), ("new", self.new)):
            for reason in dict.fromkeys(found.values()):
                names = [name for name in found if found[name] == reason]
                lines.append(f"  {title}: {_few(names)} ({reason})")
        return "\n".join([*lines, *(f"  note: {n}" for n in self.notes)])


def _few(names):
    more = f", ... {len(names)} in all" if len(names) > 4 else ""
    return (", ".join(names[:4]) or "none") + more


def assign(checkpoint, network, table, new, notes):
    """Gives the weights of a table a network's values: all, or none.

    Every tensor must be used or dropped for a reason, and have the right
    shape; else it is a `ValueError` and no weight has been changed. `new` and
    `notes` are for the `Summary` that is returned.
    """
    source, tensors = checkpoint.source, checkpoint.tensors
    shapes, reasons = shapes_of(table), checkpoint.reasons(network)
    stored = {name: checkpoint.stored_name(name, network) for name in shapes}
    dropped = {
        name: next((why for p, why in reasons.items() if re.match(p, name)), "")
        for name in sorted(tensors.keys() - stored.values())
    }
    missing = sorted(stored.values() - tensors.keys())
    left_over = [name for name, reason in dropped.items() if not reason]
    wrong = [
        f"{stored[name]} {tensors[stored[name]].shape} in place of {shape}"
        for name, shape in shapes.items()
        if not missing and tensors[stored[name]].shape != shape
    ]
    if missing or left_over or wrong:
        raise ValueError(
            f"{source} must hold exactly the weights of its network. Missing: "
            f"{_few(missing)}. Left over: {_few(left_over)}. Of another shape: "
            f"{_few(wrong)}. Either its configuration contradicts its weights, "
            "or it is not ELECTRA's."
        )
    fill(table, lambda name: tensors[stored[name]].read())
    return Summary(source, checkpoint.form, len(shapes), dropped, new, notes)
