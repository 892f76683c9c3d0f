"""KerasHub's own ELECTRA presets: an encoder with a pooler and tanh GELU.

KerasHub opens and writes them (and downloads its six presets); here weights
are taken over under the original's names. Its pooler was never trained,
because ELECTRA has none: it is left behind, and written as a fresh one.
"""

import functools

import keras_hub
import numpy as np

from keras_electra.arguments import keyword_names
from keras_electra.conversion import weights
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets_saving import strips_accents
from keras_electra.text.tokenizer import ElectraTokenizer

BACKBONE = "keras_hub>ElectraBackbone"
VOCABULARY = "assets/tokenizer/vocabulary.txt"
# Arguments that are called the same here and there.
SAME_NAMES = set(keyword_names(ElectraBackbone)) & set(
    keyword_names(keras_hub.models.ElectraBackbone)
) - {"dtype"}
# Name in the original -> attribute in KerasHub.
EMBEDDINGS = {**weights.EMBEDDINGS, "LayerNorm": "embeddings_layer_norm"}
LAYER = {
    "attention/self/query": "_self_attention_layer.query_dense",
    "attention/self/key": "_self_attention_layer.key_dense",
    "attention/self/value": "_self_attention_layer.value_dense",
    "attention/output/dense": "_self_attention_layer.output_dense",
    "attention/output/LayerNorm": "_self_attention_layer_norm",
    "intermediate/dense": "_feedforward_intermediate_dense",
    "output/dense": "_feedforward_output_dense",
    "output/LayerNorm": "_feedforward_layer_norm",
}
TEXT_SETTINGS = {
    "lowercase": False,
    "strip_accents": False,
    "split_on_cjk": True,
    "special_tokens_in_strings": False,
}


class KerasHubCheckpoint(weights.Checkpoint):
    """A preset of `keras_hub.models.ElectraBackbone` in `Files`."""

    form = "KerasHub"

    @functools.cached_property
    def tensors(self):
        # float32, whatever the policy is: it is a file that is read.
        backbone = keras_hub.models.ElectraBackbone.from_preset(
            self.source, dtype="float32"
        )
        arrays = weights.arrays_of(network(backbone))
        for name, array in arrays.items():
            if "/attention/" in name:  # with an axis for the heads there
                axes = 2 if name.endswith("kernel") else 1
                arrays[name] = array.reshape((backbone.hidden_dim,) * axes)
        pooler = backbone.pooled_dense.weights
        arrays.update({w.path: np.asarray(w) for w in pooler})
        return {
            name: weights.Tensor(array.shape, lambda array=array: array)
            for name, array in arrays.items()
        }

    def backbone_arguments(self, network):
        config = self.files.read_json("config.json")["config"]
        return {
            **{name: config[name] for name in SAME_NAMES},
            "vocabulary_size": config["vocab_size"],
            "activation": "gelu_approximate",
        }

    def reasons(self, network):
        return {".*pooled_dense": "pooler, never trained"}

    def tokenizer(self, **kwargs):
        config = self.files.read_json("tokenizer.json").get("config")
        vocabulary = self.files.find(VOCABULARY)
        if config is None or vocabulary is None:
            return None
        settings = {n: config.get(n, v) for n, v in TEXT_SETTINGS.items()}
        return ElectraTokenizer(str(vocabulary), **{**settings, **kwargs})


def network(backbone):
    """Weights of KerasHub's backbone by the original's names, no pooler."""
    table = weights.of_parts(backbone, EMBEDDINGS, "electra/embeddings/")
    if hasattr(backbone, "embeddings_projection"):
        projection = {"embeddings_project": "embeddings_projection"}
        table.update(weights.of_parts(backbone, projection, "electra/"))
    for i, layer in enumerate(backbone.transformer_layers):
        prefix = f"electra/encoder/layer_{i}/"
        table.update(weights.of_parts(layer, LAYER, prefix))
    return table


def write(task, head, folder):
    """Writes the encoder of a task."""
    backbone = task.backbone
    if backbone.activation not in ("gelu", "gelu_approximate"):
        raise ValueError(
            "KerasHub's ELECTRA has GELU only. This network has the "
            f"activation {backbone.activation!r}."
        )
    theirs = keras_hub.models.ElectraBackbone(
        vocab_size=backbone.vocabulary_size,
        **{name: getattr(backbone, name) for name in SAME_NAMES},
        dtype="float32",
    )
    arrays = weights.arrays_of(weights.network(backbone))
    weights.fill(network(theirs), arrays.get)
    theirs.save_to_preset(str(folder))
    tokenizer = getattr(task.preprocessor, "tokenizer", None)
    if tokenizer is not None:
        if not tokenizer.pipeline.is_word_piece:
            raise ValueError(
                "KerasHub's ELECTRA has WordPiece only. This tokenizer is of "
                "another kind: export to transformers."
            )
        settings = {n: bool(getattr(tokenizer, n)) for n in TEXT_SETTINGS}
        settings["strip_accents"] = strips_accents(tokenizer)
        keras_hub.tokenizers.ElectraTokenizer(
            tokenizer.get_vocabulary(), **settings
        ).save_to_preset(str(folder))
