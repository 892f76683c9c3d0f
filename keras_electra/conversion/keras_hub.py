"""KerasHub's own ELECTRA presets: an encoder with a pooler and tanh GELU.

KerasHub opens and writes them (and downloads its six presets); here weights
are taken over under the original's names. Its pooler was never trained,
because ELECTRA has none: it is left behind, and written as a fresh one.
"""

import functools
import json

import keras_hub
import numpy as np

from keras_electra.conversion import weights
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR
from keras_electra.conversion.checkpoint import Checkpoint
from keras_electra.presets_saving import strips_accents
from keras_electra.text.tokenizer import ElectraTokenizer

KERASHUB_BACKBONE = "keras_hub>ElectraBackbone"
VOCABULARY = "assets/tokenizer/vocabulary.txt"
SAME_NAMES = (
    "num_layers",
    "num_heads",
    "hidden_dim",
    "intermediate_dim",
    "embedding_dim",
    "dropout",
    "max_sequence_length",
    "num_segments",
)
# Name in the original -> attribute in KerasHub.
EMBEDDINGS = {
    "word_embeddings": "token_embedding.embeddings",
    "position_embeddings": "position_embedding.position_embeddings",
    "token_type_embeddings": "segment_embedding.embeddings",
    "LayerNorm": "embeddings_layer_norm",
}
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


class KerasHubCheckpoint(Checkpoint):
    """A preset of `keras_hub.models.ElectraBackbone`.

    Args:
        find: function from a file name to its local path, or to `None`.
        config: dict. Content of its `config.json`.
        preset: string. As in KerasHub's `from_preset`.
    """

    form = "KerasHub"
    # Generator or discriminator: neither says what it is.
    networks = (DISCRIMINATOR, GENERATOR)

    def __init__(self, find, config, preset):
        self.source, self._find = preset, find
        self._config = config["config"]

    @functools.cached_property
    def _backbone(self):
        # float32, whatever the policy is: it is a file that is read.
        return keras_hub.models.ElectraBackbone.from_preset(
            self.source, dtype="float32"
        )

    @functools.cached_property
    def _weights(self):
        return network(self._backbone)

    def backbone_arguments(self, network):
        return {
            **{name: self._config[name] for name in SAME_NAMES},
            "vocabulary_size": self._config["vocab_size"],
            "activation": "gelu_approximate",
        }

    def names(self):
        pooler = [w.path for w in self._backbone.pooled_dense.weights]
        return sorted([*self._weights, *pooler])

    def shape(self, name, network):
        """Its shape, without the axis that attention has for the heads."""
        shape = self._weights[name].shape
        if "/attention/self/" in name:
            return (*shape[:-2], shape[-2] * shape[-1])
        if "/attention/output/dense/kernel" in name:
            return (shape[0] * shape[1], shape[2])
        return shape

    def read(self, name, network):
        array = weights.to_array(self._weights[name])
        return np.reshape(array, self.shape(name, network))

    def drop_reason(self, stored, network):
        return "pooler, never trained" if "pooled_dense" in stored else None

    def tokenizer(self, **kwargs):
        path = self._find("tokenizer.json")
        vocabulary = self._find(VOCABULARY)
        if path is None or vocabulary is None:
            return None
        with open(path, encoding="utf-8") as file:
            config = json.load(file)["config"]
        settings = {n: config.get(n, v) for n, v in TEXT_SETTINGS.items()}
        return ElectraTokenizer(str(vocabulary), **{**settings, **kwargs})


def network(backbone):
    """Weights of KerasHub's backbone by the original's names, no pooler."""
    prefix = "electra/embeddings"
    table = weights.of_parts(backbone, EMBEDDINGS, prefix)
    if hasattr(backbone, "embeddings_projection"):
        projection = backbone.embeddings_projection
        table.update(weights.of_layer(projection, f"{prefix}_project"))
    for i, layer in enumerate(backbone.transformer_layers):
        name = f"electra/encoder/layer_{i}"
        table.update(weights.of_parts(layer, LAYER, name))
    return table


def write_task(task, folder):
    """Writes the encoder of a task."""
    _write(task.backbone, task.preprocessor, folder)


def write_pretrainer(pretrainer, folder):
    """Writes the encoders of a pre-trainer, each into a folder."""
    for name in (DISCRIMINATOR, GENERATOR):
        attribute = "backbone" if name == DISCRIMINATOR else "generator"
        backbone = getattr(pretrainer, attribute)
        if backbone is not None:
            _write(backbone, pretrainer.preprocessor, folder / name)


def _write(backbone, preprocessor, folder):
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
    ours = weights.network(backbone)
    for name, weight in network(theirs).items():
        array = weights.to_array(ours[name])
        weight.variable.assign(np.reshape(array, weight.shape))
    theirs.save_to_preset(str(folder))
    tokenizer = getattr(preprocessor, "tokenizer", None)
    if tokenizer is None:
        return
    settings = {name: getattr(tokenizer, name) for name in TEXT_SETTINGS}
    settings["strip_accents"] = strips_accents(tokenizer)
    keras_hub.tokenizers.ElectraTokenizer(
        tokenizer.get_vocabulary(),
        **{name: bool(value) for name, value in settings.items()},
    ).save_to_preset(str(folder))
