"""Which weight of ours each variable of the original is.

Every form of a checkpoint is read and written through one set of names,
those of the original program (google-research/electra), because it has one
for every weight. The names of heads that it lacks are transformers' with
slashes. Query, key and value are one matrix here and three in all other
forms, so a name may stand for a range of columns.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

# The output matrix of an untied head. The original has no such thing.
OUTPUT_TABLE = "generator_predictions/output_embeddings"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a variable of the original lives in our model.

    Attributes:
        variable: `keras.Variable`.
        columns: slice or `None`. Range of the last axis, or all of it.
    """

    variable: keras.Variable
    columns: slice | None = None

    @property
    def shape(self):
        shape = tuple(self.variable.shape)
        if self.columns is None:
            return shape
        return (*shape[:-1], self.columns.stop - self.columns.start)

    def read(self, array):
        """Cuts this place out of an array shaped like the variable."""
        return array if self.columns is None else array[..., self.columns]

    def write(self, array, values):
        """Puts values into this place of an array like the variable."""
        array[... if self.columns is None else (..., self.columns)] = values


def to_array(place):
    """The values of a `Place`, float32; an array stays what it is."""
    if isinstance(place, np.ndarray):
        return place
    values = np.asarray(ops.convert_to_numpy(place.variable), "float32")
    return place.read(values)


def dense(layer, name):
    """Places of a dense layer called `name`."""
    return {
        f"{name}/kernel": Place(layer.kernel),
        f"{name}/bias": Place(layer.bias),
    }


def layer_norm(layer, name):
    """Places of a layer normalization called `name`."""
    return {
        f"{name}/gamma": Place(layer.gamma),
        f"{name}/beta": Place(layer.beta),
    }


def embeddings(layer, prefix="electra"):
    """Places of an `ElectraEmbeddings`."""
    name = f"{prefix}/embeddings"
    return {
        f"{name}/word_embeddings": Place(layer.token_embedding.embeddings),
        f"{name}/position_embeddings": Place(
            layer.position_embedding.position_embeddings
        ),
        f"{name}/token_type_embeddings": Place(
            layer.segment_embedding.embeddings
        ),
        **layer_norm(layer.layer_norm, f"{name}/LayerNorm"),
    }


def encoder(backbone, prefix="electra"):
    """Places of an `ElectraBackbone` but its embeddings."""
    table = {}
    if backbone.embeddings_projection is not None:
        table.update(
            dense(
                backbone.embeddings_projection, f"{prefix}/embeddings_project"
            )
        )
    width = backbone.hidden_dim
    for i, layer in enumerate(backbone.transformer_layers):
        name = f"{prefix}/encoder/layer_{i}"
        fused = layer.attention.query_key_value
        for j, part in enumerate(("query", "key", "value")):
            columns = slice(j * width, (j + 1) * width)
            inner = f"{name}/attention/self/{part}"
            table[f"{inner}/kernel"] = Place(fused.kernel, columns)
            table[f"{inner}/bias"] = Place(fused.bias, columns)
        output = f"{name}/attention/output"
        table.update(dense(layer.attention.output_dense, f"{output}/dense"))
        table.update(
            layer_norm(layer.attention_layer_norm, f"{output}/LayerNorm")
        )
        table.update(
            dense(layer.intermediate_dense, f"{name}/intermediate/dense")
        )
        table.update(dense(layer.output_dense, f"{name}/output/dense"))
        table.update(
            layer_norm(layer.output_layer_norm, f"{name}/output/LayerNorm")
        )
    return table


def network(backbone):
    """Places of a whole `ElectraBackbone`."""
    return {**embeddings(backbone.embeddings), **encoder(backbone)}


def token_prediction_head(head):
    """Places of a `TokenPredictionHead`; a tied table is the embeddings'."""
    name = "generator_predictions"
    table = {
        **dense(head.dense, f"{name}/dense"),
        **layer_norm(head.layer_norm, f"{name}/LayerNorm"),
        f"{name}/output_bias": Place(head.bias),
    }
    if not head.tie_embeddings:
        table[OUTPUT_TABLE] = Place(head.output_embeddings)
    return table


def replaced_token_head(head):
    """Places of a `ReplacedTokenHead`."""
    name = "discriminator_predictions"
    return {
        **dense(head.dense, f"{name}/dense"),
        **dense(head.output_dense, f"{name}/dense_1"),
    }
