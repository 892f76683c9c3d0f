"""The weight map: which weight of ours each variable of the original is.

Every form of a checkpoint is read and written through one set of names, those
of the original program (google-research/electra), because it has one for every
weight. The names of heads that it lacks are transformers' with slashes. Query,
key and value are one matrix here and three in all other forms, so a name may
stand for a range of columns.
"""

import dataclasses
import operator

import keras
import numpy as np
from keras import ops

# Name in the original -> attribute here, of the embeddings and of a layer.
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


@dataclasses.dataclass(frozen=True)
class Weight:
    """A `keras.Variable` of ours, or a range of columns of its last axis."""

    variable: keras.Variable
    columns: slice | None = None

    @property
    def shape(self):
        shape = tuple(self.variable.shape)
        if self.columns is None:
            return shape
        return (*shape[:-1], self.columns.stop - self.columns.start)

    def read(self, array):
        """Cuts this weight out of an array shaped like the variable."""
        return array if self.columns is None else array[..., self.columns]

    def write(self, array, values):
        """Puts values into this weight of an array like the variable."""
        array[... if self.columns is None else (..., self.columns)] = values


def to_array(weight):
    """The values of a `Weight`, float32; an array stays what it is."""
    if isinstance(weight, np.ndarray):
        return weight
    values = np.asarray(ops.convert_to_numpy(weight.variable), "float32")
    return weight.read(values)


def fill(table, read):
    """Assigns what `read` gives for the names of a table to its weights."""
    waiting = {}  # id of a variable -> its names
    for name, weight in table.items():
        waiting.setdefault(id(weight.variable), []).append(name)
    for names in waiting.values():
        variable = table[names[0]].variable
        buffer = np.empty(tuple(variable.shape), "float32")
        for name in names:
            table[name].write(buffer, read(name))
        variable.assign(buffer)


def of_layer(layer, name, columns=None):
    """Weights of a dense layer or layer normalization called `name`."""
    parts = ("kernel", "bias")
    if not hasattr(layer, "kernel"):
        parts = ("gamma", "beta")
    return {f"{name}/{p}": Weight(getattr(layer, p), columns) for p in parts}


def of_parts(root, attributes, prefix):
    """Weights of attributes that are layers or variables, by their names."""
    table = {}
    for name, attribute in attributes.items():
        part = operator.attrgetter(attribute)(root)
        if isinstance(part, keras.Layer):
            table.update(of_layer(part, f"{prefix}/{name}"))
        else:
            table[f"{prefix}/{name}"] = Weight(part)
    return table


def embeddings(layer, prefix="electra"):
    """Weights of an `ElectraEmbeddings`."""
    return of_parts(layer, EMBEDDINGS, f"{prefix}/embeddings")


def encoder(backbone, prefix="electra"):
    """Weights of an `ElectraBackbone` but its embeddings."""
    table, width = {}, backbone.hidden_dim
    if backbone.embeddings_projection is not None:
        projection = backbone.embeddings_projection
        table.update(of_layer(projection, f"{prefix}/embeddings_project"))
    for i, layer in enumerate(backbone.transformer_layers):
        name = f"{prefix}/encoder/layer_{i}"
        for j, part in enumerate(("query", "key", "value")):
            columns = slice(j * width, (j + 1) * width)
            fused = layer.attention.query_key_value
            own = f"{name}/attention/self/{part}"
            table.update(of_layer(fused, own, columns))
        table.update(of_parts(layer, LAYER, name))
    return table


def network(backbone):
    """Weights of a whole `ElectraBackbone`."""
    return {**embeddings(backbone.embeddings), **encoder(backbone)}


def token_prediction_head(head):
    """Weights of a `TokenPredictionHead`; a tied table is the embeddings'."""
    name = "generator_predictions"
    table = {
        **of_layer(head.dense, f"{name}/dense"),
        **of_layer(head.layer_norm, f"{name}/LayerNorm"),
        f"{name}/output_bias": Weight(head.bias),
    }
    if not head.tie_embeddings:
        table[OUTPUT_TABLE] = Weight(head.output_embeddings)
    return table


def replaced_token_head(head):
    """Weights of a `ReplacedTokenHead`."""
    name = "discriminator_predictions"
    return {
        **of_layer(head.dense, f"{name}/dense"),
        **of_layer(head.output_dense, f"{name}/dense_1"),
    }


def pretrainer(pretrainer):
    """Weights of an `ElectraPretrainer`, each once."""
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
