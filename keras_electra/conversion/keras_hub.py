"""KerasHub's own ELECTRA presets: an encoder with a pooler and tanh GELU.

KerasHub opens and writes them; weights are taken over by the original's names.
The pooler, which ELECTRA has not and nobody trained, is left, or written fresh.
"""

import functools
from typing import Any

import keras_hub

from keras_electra.arguments import check_option
from keras_electra.arguments import keyword_names
from keras_electra.conversion import weights
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets_saving import save_h5
from keras_electra.text.tokenizer import ElectraTokenizer

BACKBONE = "keras_hub>ElectraBackbone"
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
    def tensors(self) -> dict[str, Any]:
        # float32, whatever the policy is: it is a file that is read.
        backbone = keras_hub.models.ElectraBackbone.from_preset(
            self.source, dtype="float32"
        )
        arrays = weights.arrays_of(network(backbone))
        for name, array in arrays.items():
            if "/attention/" in name:  # with an axis for the heads there
                axes = 2 if name.endswith("kernel") else 1
                arrays[name] = array.reshape((backbone.hidden_dim,) * axes)
        pooler = {(w.path,): w for w in backbone.pooled_dense.weights}
        arrays.update(weights.arrays_of(pooler))
        return {n: weights.in_memory(array) for n, array in arrays.items()}

    def backbone_arguments(self, network: Any) -> dict[str, Any]:
        config = self.files.read_json("config.json")["config"]
        sizes = {name: config[name] for name in SAME_NAMES}
        sizes["vocabulary_size"] = config["vocab_size"]
        return {**sizes, "activation": "gelu_approximate"}

    def reasons(self, network: Any) -> dict[str, Any]:
        return {".*pooled_dense": "pooler, never trained"}

    def tokenizer(self, **kwargs: Any) -> Any:
        config = self.files.read_json("tokenizer.json").get("config")
        vocabulary = self.files.find("assets/tokenizer/vocabulary.txt")
        if config is None or vocabulary is None:
            return None
        settings = {n: config.get(n, v) for n, v in TEXT_SETTINGS.items()}
        return ElectraTokenizer(str(vocabulary), **{**settings, **kwargs})


def network(backbone: Any) -> Any:
    """Weights of KerasHub's backbone by the original's names, no pooler."""
    table = weights.of_parts(backbone, EMBEDDINGS, "electra/embeddings/")
    return table | weights.encoder(backbone, parts=LAYER)


def write(task: Any, head: Any, folder: Any) -> None:
    """Writes the encoder of a task."""
    backbone = task.backbone
    check_option(
        "activation", backbone.activation, ("gelu", "gelu_approximate")
    )
    check_option("layer_norm_epsilon", backbone.layer_norm_epsilon, (1e-12,))
    theirs = keras_hub.models.ElectraBackbone(
        vocab_size=backbone.vocabulary_size,
        **{name: getattr(backbone, name) for name in SAME_NAMES},
        dtype="float32",
    )
    arrays = weights.arrays_of(weights.network(backbone))
    weights.fill(network(theirs), arrays.get)
    theirs.save_weights = functools.partial(save_h5, theirs)
    theirs.save_to_preset(str(folder))
    tokenizer = getattr(task.preprocessor, "tokenizer", None)
    if tokenizer is not None:
        if not tokenizer.pipeline.is_word_piece:
            raise ValueError(
                "KerasHub's ELECTRA has WordPiece only: export to transformers."
            )
        settings = {n: bool(getattr(tokenizer, n)) for n in TEXT_SETTINGS}
        if tokenizer.strip_accents is None:  # where text is lowered
            settings["strip_accents"] = settings["lowercase"]
        keras_hub.tokenizers.ElectraTokenizer(
            tokenizer.get_vocabulary(), **settings
        ).save_to_preset(str(folder))
