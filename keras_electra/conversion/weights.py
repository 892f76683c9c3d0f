"""The weight map, and how the weights of a checkpoint are taken over.

Every form is read and written through one set of names: the original's
(google-research/electra), and for heads that it lacks transformers' with
slashes.
"""

import collections
import dataclasses
import operator
import types
import typing

import keras
import numpy as np
from keras import ops

from keras_electra.conversion import tokenizer_files

# What a network of a checkpoint may be used as.
DISCRIMINATOR, GENERATOR = "discriminator", "generator"
# Name in the original -> attribute here: of embeddings, a layer and a task.
EMBEDDINGS = {
    "word_embeddings": "token_embedding.embeddings",
    "position_embeddings": "position_embedding.position_embeddings",
    "token_type_embeddings": "segment_embedding.embeddings",
    "LayerNorm": "layer_norm",
}
LAYER = {
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


class Weight(typing.NamedTuple):
    """A variable of ours, or a range of columns of its last axis.

    Query, key and value are one matrix here and three in all other forms.
    """

    variable: keras.Variable
    columns: slice = slice(None)

    @property
    def shape(self):
        *rest, width = self.variable.shape
        return (*rest, len(range(width)[self.columns]))

    def read(self, array):
        """The part (a view) of an array that is shaped like the variable."""
        return array[..., self.columns]


def to_array(weight):
    """The values of a `Weight`, float32; an array stays what it is."""
    if isinstance(weight, np.ndarray):
        return weight
    values = np.asarray(ops.convert_to_numpy(weight.variable), "float32")
    return weight.read(values)


def fill(table, read):
    """Assigns what `read` gives for the names of a table to its weights."""
    variables = {id(w.variable): w.variable for w in table.values()}
    for variable in variables.values():
        buffer = np.empty(tuple(variable.shape), "float32")
        for name, weight in table.items():
            if weight.variable is variable:
                weight.read(buffer)[...] = read(name)
        variable.assign(buffer)


def of_layer(layer, name, columns=slice(None)):
    """Weights of a dense layer or layer normalization called `name`."""
    is_dense = hasattr(layer, "kernel")
    parts = ("kernel", "bias") if is_dense else ("gamma", "beta")
    return {f"{name}/{p}": Weight(getattr(layer, p), columns) for p in parts}


def of_parts(root, attributes, prefix=""):
    """Weights of attributes, by their names: layers, variables or `None`."""
    table = {}
    for name, attribute in attributes.items():
        part = operator.attrgetter(attribute)(root)
        if isinstance(part, keras.Layer):
            table.update(of_layer(part, prefix + name))
        elif part is not None:
            table[prefix + name] = Weight(part)
    return table


def embeddings(layer, prefix="electra"):
    """Weights of an `ElectraEmbeddings`."""
    return of_parts(layer, EMBEDDINGS, f"{prefix}/embeddings/")


def encoder(backbone, prefix="electra"):
    """Weights of an `ElectraBackbone` but its embeddings."""
    projection = {"embeddings_project": "embeddings_projection"}
    table = of_parts(backbone, projection, f"{prefix}/")
    width = backbone.hidden_dim
    for i, layer in enumerate(backbone.transformer_layers):
        name = f"{prefix}/encoder/layer_{i}/"
        for j, part in enumerate(("query", "key", "value")):
            columns = slice(j * width, (j + 1) * width)
            fused = layer.attention.query_key_value
            own = f"{name}attention/self/{part}"
            table.update(of_layer(fused, own, columns))
        table.update(of_parts(layer, LAYER, name))
    return table


def network(backbone):
    """Weights of a whole `ElectraBackbone`."""
    return {**embeddings(backbone.embeddings), **encoder(backbone)}


def tasks_of(pretrainer):
    """What is like a task for each network of a pre-trainer with a head."""
    parts = {
        DISCRIMINATOR: (pretrainer.backbone, pretrainer.discriminator_head),
        GENERATOR: (pretrainer.generator, pretrainer.generator_head),
    }
    return {
        network: types.SimpleNamespace(
            backbone=backbone, head=head, preprocessor=pretrainer.preprocessor
        )
        for network, (backbone, head) in parts.items()
        if backbone is not None and head is not None
    }


def pretrainer(pretrainer):
    """Weights of an `ElectraPretrainer`, each once."""
    backbone, generator = pretrainer.backbone, pretrainer.generator
    tasks = tasks_of(pretrainer)
    table = embeddings(backbone.embeddings)
    owns = generator not in (None, backbone)
    if owns:
        table.update(encoder(generator, "generator"))
        if generator.embeddings is not backbone.embeddings:
            table.update(embeddings(generator.embeddings, "generator"))
    if GENERATOR in tasks:
        table.update(of_parts(tasks[GENERATOR], TOKEN_HEAD))
    if DISCRIMINATOR in tasks or not owns:
        table.update(encoder(backbone))
    if DISCRIMINATOR in tasks:
        table.update(of_parts(tasks[DISCRIMINATOR], REPLACED_HEAD))
    return table


class Tensor(typing.NamedTuple):
    """A tensor in a file: its shape, and a function that reads it."""

    shape: tuple
    read: typing.Callable


class Checkpoint:
    """One checkpoint in a form that is not ours; a subclass knows the form.

    It adds `tensors`, a dict from stored names to `Tensor`s shaped like ours,
    and `backbone_arguments(network)`.

    Attributes:
        form: string. Name of the form, for the summary.
        networks: tuple of `"discriminator"` and `"generator"`, as far as it
            holds them; both for an encoder of which nobody can say.
        is_pair, is_tied: bools. Whether it holds the two of a pre-training,
            and whether these are one encoder.
        config, architecture: `config.json` and class name of transformers.
        token_head: dict. Arguments of `ElectraMaskedLM` for its head.
        lowercase: bool or `None`. As of `read_tokenizer`.
    """

    networks = (DISCRIMINATOR, GENERATOR)
    is_pair = is_tied = False
    config, token_head = {}, {}
    architecture, lowercase = None, True

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

    def stored_name(self, name, network):
        """The stored name for an original name, whether there is one or not."""
        return name

    def tensor(self, name, network):
        """The `Tensor` with an original name, or `None`."""
        return self.tensors.get(self.stored_name(name, network))

    def drop_reason(self, stored, network):
        """Why a tensor is left out on purpose; `None` if it must not be."""
        return None


@dataclasses.dataclass(frozen=True)
class Summary:
    """What became of a checkpoint.

    Attributes:
        source, form: strings. Where it is from, and its form.
        used: int. Number of tensors that are in the model now.
        dropped: pairs of the name of a tensor that is not, and why.
        new: pairs of the path of a weight that is not from it, and why.
        notes: strings. What else the user should know.
    """

    source: str
    form: str
    used: int
    dropped: tuple = ()
    new: tuple = ()
    notes: tuple = ()

    def __str__(self):
        lines = [f"{self.source} ({self.form}): {self.used} tensors used"]
        for title, pairs in (("dropped", self.dropped), ("new", self.new)):
            reasons = collections.defaultdict(list)
            for name, reason in pairs:
                reasons[reason].append(name)
            for reason, names in reasons.items():
                lines.append(f"  {title}: {_few(names)} ({reason})")
        return "\n".join([*lines, *(f"  note: {n}" for n in self.notes)])


def _few(names):
    more = f", ... {len(names)} in all" if len(names) > 4 else ""
    return (", ".join(names[:4]) or "none") + more


def assign(checkpoint, network, table, new=(), notes=()):
    """Gives the weights of a table a network's values: all, or none.

    Every tensor must be used or dropped for a reason, and have the right
    shape; else it is a `ValueError` and no weight has been changed. `new` and
    `notes` are for the `Summary` that is returned.
    """
    tensors = checkpoint.tensors
    stored = {checkpoint.stored_name(n, network): n for n in table}
    dropped = {
        name: checkpoint.drop_reason(name, network)
        for name in sorted(tensors.keys() - stored)
    }
    missing = sorted(stored.keys() - tensors)
    left_over = [name for name, reason in dropped.items() if reason is None]
    wrong = [
        f"{name} {tensors[name].shape} in place of {table[ours].shape}"
        for name, ours in stored.items()
        if name in tensors and tensors[name].shape != table[ours].shape
    ]
    if missing or left_over or wrong:
        raise ValueError(
            f"{checkpoint.source} must hold exactly the weights of its "
            f"network. Missing: {_few(missing)}. Left over: "
            f"{_few(left_over)}. Of another shape: {_few(wrong)}. Either its "
            "configuration contradicts its weights, or it is not ELECTRA's."
        )
    read = {ours: tensors[name].read for name, ours in stored.items()}
    fill(table, lambda name: read[name]())
    return Summary(
        checkpoint.source,
        checkpoint.form,
        used=len(table),
        dropped=tuple(dropped.items()),
        new=tuple(new),
        notes=tuple(notes),
    )
