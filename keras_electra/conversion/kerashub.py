"""KerasHub's own ELECTRA presets: an encoder with a pooler and tanh GELU.

KerasHub opens them (and downloads its six presets); here its weights are
taken over under the original's names. Its pooler was never trained, because
ELECTRA has none, and is left behind.
"""

import functools
import json

import keras_hub
import numpy as np
from keras import ops

from keras_electra.conversion import places
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR
from keras_electra.conversion.checkpoint import Checkpoint
from keras_electra.text.tokenizer import ElectraTokenizer

KERASHUB_BACKBONE = "keras_hub>ElectraBackbone"
VOCABULARY = "assets/tokenizer/vocabulary.txt"
POOLER = "pooled_dense"
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


class KerasHubCheckpoint(Checkpoint):
    """A preset of `keras_hub.models.ElectraBackbone`.

    Args:
        preset: string. As in KerasHub's `from_preset`.
        find: function from a file name to its local path, or to `None`.
        config: dict. Content of its `config.json`.
    """

    form = "KerasHub"
    # Generator or discriminator: neither says what it is.
    networks = (DISCRIMINATOR, GENERATOR)

    def __init__(self, preset, find, config):
        self.source = preset
        self._find = find
        self._config = config["config"]

    @functools.cached_property
    def _backbone(self):
        # float32, whatever the policy is: it is a file that is read.
        return keras_hub.models.ElectraBackbone.from_preset(
            self.source, dtype="float32"
        )

    @functools.cached_property
    def _variables(self):
        return variables(self._backbone)

    def backbone_arguments(self, network):
        return {
            **{name: self._config[name] for name in SAME_NAMES},
            "vocabulary_size": self._config["vocab_size"],
            "activation": "gelu_approximate",
        }

    def names(self):
        pooler = [w.path for w in self._backbone.pooled_dense.weights]
        return sorted([*self._variables, *pooler])

    def stored_name(self, name, network):
        return name

    def shape(self, name, network):
        return shape_here(name, self._variables[name].shape)

    def read(self, name, network):
        array = ops.convert_to_numpy(self._variables[name])
        return np.reshape(array, self.shape(name, network))

    def drop_reason(self, stored, network):
        return "pooler, never trained" if POOLER in stored else None

    def tokenizer(self, **kwargs):
        path = self._find("tokenizer.json")
        vocabulary = self._find(VOCABULARY)
        if path is None or vocabulary is None:
            return None
        with open(path, encoding="utf-8") as file:
            config = json.load(file)["config"]
        settings = {
            "lowercase": config.get("lowercase", False),
            "strip_accents": config.get("strip_accents", False),
            "split_on_cjk": config.get("split_on_cjk", True),
            "special_tokens_in_strings": config.get(
                "special_tokens_in_strings", False
            ),
        }
        return ElectraTokenizer(str(vocabulary), **{**settings, **kwargs})


def variables(backbone):
    """KerasHub's variables by the original's names, without the pooler.

    Args:
        backbone: `keras_hub.models.ElectraBackbone`.

    Returns:
        A dict from name to variable. Kernels of the attention have an axis
        for the heads; see `shape_here`.
    """
    name = "electra/embeddings"
    table = {
        f"{name}/word_embeddings": backbone.token_embedding.embeddings,
        f"{name}/position_embeddings": (
            backbone.position_embedding.position_embeddings
        ),
        f"{name}/token_type_embeddings": backbone.segment_embedding.embeddings,
        **_pair(backbone.embeddings_layer_norm, f"{name}/LayerNorm"),
    }
    if hasattr(backbone, "embeddings_projection"):
        table.update(
            _pair(backbone.embeddings_projection, "electra/embeddings_project")
        )
    for i, layer in enumerate(backbone.transformer_layers):
        name = f"electra/encoder/layer_{i}"
        attention = layer._self_attention_layer
        for part in ("query", "key", "value"):
            table.update(
                _pair(
                    getattr(attention, f"{part}_dense"),
                    f"{name}/attention/self/{part}",
                )
            )
        output = f"{name}/attention/output"
        table.update(_pair(attention.output_dense, f"{output}/dense"))
        table.update(
            _pair(layer._self_attention_layer_norm, f"{output}/LayerNorm")
        )
        table.update(
            _pair(
                layer._feedforward_intermediate_dense,
                f"{name}/intermediate/dense",
            )
        )
        table.update(
            _pair(layer._feedforward_output_dense, f"{name}/output/dense")
        )
        table.update(
            _pair(layer._feedforward_layer_norm, f"{name}/output/LayerNorm")
        )
    return table


def _pair(layer, name):
    """Two variables of a layer, told apart by their own names."""
    return {f"{name}/{weight.name}": weight for weight in layer.weights}


def shape_here(name, shape):
    """The shape of a variable of KerasHub without the axis of the heads."""
    shape = tuple(shape)
    if "/attention/self/" in name:
        heads, width = shape[-2:]
        return (*shape[:-2], heads * width)
    if "/attention/output/dense/kernel" in name:
        heads, width, units = shape
        return (heads * width, units)
    return shape


def write_preset(backbone, folder, tokenizer=None):
    """Writes a network as a preset of KerasHub's own `ElectraBackbone`.

    KerasHub computes the tanh form of GELU whatever the network was trained
    with, and its pooler is a fresh one.

    Args:
        backbone: `ElectraBackbone` of this package.
        folder: string. It is made if need be.
        tokenizer: `ElectraTokenizer` of this package, or `None`.

    Raises:
        ValueError: when the network has another activation than GELU.
    """
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
    table = places.network(backbone)
    for name, variable in variables(theirs).items():
        variable.assign(
            np.reshape(places.to_array(table[name]), variable.shape)
        )
    theirs.save_to_preset(folder)
    if tokenizer is None:
        return
    strip_accents = tokenizer.strip_accents
    if strip_accents is None:
        strip_accents = tokenizer.lowercase
    keras_hub.tokenizers.ElectraTokenizer(
        tokenizer.get_vocabulary(),
        lowercase=bool(tokenizer.lowercase),
        strip_accents=bool(strip_accents),
        split_on_cjk=bool(tokenizer.split_on_cjk),
        special_tokens_in_strings=bool(tokenizer.special_tokens_in_strings),
    ).save_to_preset(folder)
