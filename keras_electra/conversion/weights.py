"""The weight map, and how the weights of a checkpoint are taken over.

Every form is read and written through one set of names: the original's
(google-research/electra), and for heads that it lacks transformers' with
slashes. Taking over is complete or not at all: every tensor must be used or
dropped for a reason, and have the right shape, before a weight is touched.
"""

import collections
import dataclasses
import operator
import typing

import keras
import numpy as np
from keras import ops

# What a network of a checkpoint may be used as.
DISCRIMINATOR, GENERATOR = "discriminator", "generator"
# Name in the original -> attribute here.
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
    "generator_predictions/dense": "dense",
    "generator_predictions/LayerNorm": "layer_norm",
    "generator_predictions/output_bias": "bias",
    OUTPUT_TABLE: "output_embeddings",
}
REPLACED_HEAD = {
    "discriminator_predictions/dense": "dense",
    "discriminator_predictions/dense_1": "output_dense",
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
    parts_of = collections.defaultdict(dict)  # id of a variable -> its part
    for name, weight in table.items():
        parts_of[id(weight.variable)][name] = weight
    for parts in parts_of.values():
        variable = next(iter(parts.values())).variable
        buffer = np.empty(tuple(variable.shape), "float32")
        for name, weight in parts.items():
            weight.read(buffer)[...] = read(name)
        variable.assign(buffer)


def of_layer(layer, name, columns=slice(None)):
    """Weights of a dense layer or layer normalization called `name`."""
    parts = ("kernel", "bias")
    if not hasattr(layer, "kernel"):
        parts = ("gamma", "beta")
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
        fused = layer.attention.query_key_value
        for j, part in enumerate(("query", "key", "value")):
            columns = slice(j * width, (j + 1) * width)
            own = f"{name}attention/self/{part}"
            table.update(of_layer(fused, own, columns))
        table.update(of_parts(layer, LAYER, name))
    return table


def network(backbone):
    """Weights of a whole `ElectraBackbone`."""
    return {**embeddings(backbone.embeddings), **encoder(backbone)}


def pretrainer(pretrainer):
    """Weights of an `ElectraPretrainer`, each once."""
    backbone, generator = pretrainer.backbone, pretrainer.generator
    table = embeddings(backbone.embeddings)
    owns = generator not in (None, backbone)
    if owns:
        table.update(encoder(generator, "generator"))
        if generator.embeddings is not backbone.embeddings:
            table.update(embeddings(generator.embeddings, "generator"))
    if generator is not None:
        table.update(of_parts(pretrainer.generator_head, TOKEN_HEAD))
    if pretrainer.discriminator_head is not None or not owns:
        table.update(encoder(backbone))
    if pretrainer.discriminator_head is not None:
        table.update(of_parts(pretrainer.discriminator_head, REPLACED_HEAD))
    return table


class Tensor(typing.NamedTuple):
    """A tensor in a file: its shape, and a function that reads it."""

    shape: tuple
    read: typing.Callable


class Checkpoint:
    """One checkpoint in a form that is not ours; a subclass knows the form.

    Attributes:
        form: string. Name of the form, for the summary.
        source: string. Where it is from, for messages.
        tensors: dict from stored names to `Tensor`s, shaped like ours.
        networks: tuple of `"discriminator"` and `"generator"`, as far as the
            checkpoint holds them. Both for a bare or fine-tuned encoder, of
            which nobody can say what it is.
        is_pair: bool. Whether it holds the two of a pre-training.
        is_tied: bool. Whether these two are one encoder.
        config: dict. Content of `config.json` of transformers, or empty.
        architecture: string or `None`. Its class in transformers, if known.
        token_head: dict. Arguments of `ElectraMaskedLM` for its head.
    """

    networks = (DISCRIMINATOR, GENERATOR)
    is_pair = is_tied = False
    config, token_head = {}, {}
    architecture = None

    def backbone_arguments(self, network):
        """Keyword arguments of `ElectraBackbone` for a network."""
        raise NotImplementedError

    def tokenizer(self, **kwargs):
        """A new `ElectraTokenizer`, or `None`; `kwargs` go before its files."""
        raise NotImplementedError

    def notes(self, network):
        """What was assumed about a network, as strings for the summary."""
        return ()

    def stored_name(self, name, network):
        """The stored name for an original name, whether there is one or not."""
        return name

    def drop_reason(self, stored, network):
        """Why a tensor is left out on purpose; `None` if it must not be."""
        return None

    def tensor(self, name, network):
        """The `Tensor` with an original name, or `None`."""
        return self.tensors.get(self.stored_name(name, network))


@dataclasses.dataclass(frozen=True)
class Summary:
    """What became of a checkpoint.

    Attributes:
        source: string. Where it is from.
        form: string. Its form.
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
                shown = ", ".join(names[:4])
                more = f", ... {len(names)} in all" if len(names) > 4 else ""
                lines.append(f"  {title}: {shown}{more} ({reason})")
        return "\n".join([*lines, *(f"  note: {n}" for n in self.notes)])


def assign(checkpoint, network, table, new=(), notes=()):
    """Gives the weights of a table the values of a checkpoint.

    Args:
        checkpoint: `Checkpoint`.
        network: string. Which of its `networks`.
        table: dict from original names to `Weight`s.
        new: pairs of a path and a reason, for weights not in `table`.
        notes: strings for the summary.

    Returns:
        A `Summary`.

    Raises:
        ValueError: when a tensor is missing, left over or of another shape;
            no weight has been changed then.
    """
    source, tensors = checkpoint.source, checkpoint.tensors
    stored = {name: checkpoint.stored_name(name, network) for name in table}
    dropped = {
        name: checkpoint.drop_reason(name, network)
        for name in sorted(tensors.keys() - stored.values())
    }
    missing = sorted(stored.values() - tensors.keys())
    left_over = [name for name, reason in dropped.items() if reason is None]
    if missing or left_over:
        raise ValueError(
            f"{source} must hold exactly the weights of its network. Missing: "
            f"{missing or 'none'}. Left over: {left_over or 'none'}. Either "
            "its configuration contradicts its weights, or it is not ELECTRA's."
        )
    for name, weight in table.items():
        shape = tensors[stored[name]].shape
        if shape != weight.shape:
            raise ValueError(
                f"{stored[name]!r} of {source} must have the shape "
                f"{weight.shape} by the configuration, but has {shape}. The "
                "configuration contradicts the weights; correct it, or take "
                "the right files."
            )
    fill(table, lambda name: tensors[stored[name]].read())
    return Summary(
        source,
        checkpoint.form,
        len(table),
        tuple(dropped.items()),
        tuple(new),
        tuple(notes),
    )
