"""Checkpoints in the form of transformers: a folder or a hub repository.

Its names are the original's with dots, and dense kernels are transposed. A
repository holds one network, so both kinds call their encoder `electra`; what
it is shows in the head beside it.
"""

import json

from keras_electra.conversion import places
from keras_electra.conversion import tokenizer_files
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR
from keras_electra.conversion.checkpoint import Checkpoint
from keras_electra.conversion.tensor_files import TensorFiles

CONFIG = "config.json"
# `hidden_act` of transformers -> `activation` of `ElectraBackbone`.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_approximate",
    "gelu_pytorch_tanh": "gelu_approximate",
    "gelu_fast": "gelu_approximate",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
SIZES = {
    "vocab_size": "vocabulary_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "hidden_size": "hidden_dim",
    "intermediate_size": "intermediate_dim",
    "embedding_size": "embedding_dim",
    "max_position_embeddings": "max_sequence_length",
    "type_vocab_size": "num_segments",
}
# Values that ELECTRA's configuration has when they are not written.
DEFAULTS = {
    "vocab_size": 30522,
    "embedding_size": 128,
    "hidden_size": 256,
    "num_hidden_layers": 12,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
}
# What ours is, and no checkpoint may differ in.
FIXED = {
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}
OUTPUT_TABLE = "generator_lm_head.weight"
WORDS = "electra.embeddings.word_embeddings.weight"
HEADS = (
    "generator_predictions.",
    "generator_lm_head.",
    "discriminator_predictions.",
    "classifier.",
    "qa_outputs.",
    "sequence_summary.",
)


def transformers_name(name):
    """The name in transformers of a variable of the original."""
    if name == "generator_predictions/output_bias":
        return "generator_lm_head.bias"
    if name == places.OUTPUT_TABLE:
        return OUTPUT_TABLE
    name = name.replace("/dense_1/", "/dense_prediction/")
    name = name.replace("/layer_", "/layer.").replace("/", ".")
    for ours, theirs in (
        (".kernel", ".weight"),
        (".gamma", ".weight"),
        (".beta", ".bias"),
        ("_embeddings", "_embeddings.weight"),
    ):
        if name.endswith(ours):
            return name.removesuffix(ours) + theirs
    return name


def is_transposed(name):
    """Whether a variable of the original is transposed in transformers."""
    return name.endswith("/kernel")


class TransformersCheckpoint(Checkpoint):
    """A folder or repository as `save_pretrained` of transformers writes it.

    Args:
        find: function from a file name to its local path, or to `None`.
        source: string. Where it is from, for messages.

    Raises:
        ValueError: when it is not ELECTRA's, a file is damaged, or the
            configuration asks for what our network is not.
        FileNotFoundError: when there are no weights.
    """

    form = "transformers"

    def __init__(self, find, source):
        self.source = source
        self._find = find
        with open(find(CONFIG), encoding="utf-8") as file:
            self.config = {**DEFAULTS, **json.load(file)}
        self._check_config()
        self._tensors = TensorFiles(find, source)
        self._stored = {_modern(n): n for n in self._tensors.names()}
        # `ElectraModel` alone has no prefix.
        if WORDS not in self._stored:
            bare = {f"electra.{n}": s for n, s in self._stored.items()}
            self._stored = bare if WORDS in bare else self._stored
        self._modern = {s: n for n, s in self._stored.items()}
        self.networks = self._networks()
        self.architecture = self._architecture()
        self.labels = self._labels()
        self.problem_type = self.config.get("problem_type")
        dropout = self.config.get("classifier_dropout")
        if dropout is None:
            dropout = self.config["hidden_dropout_prob"]
        self.classifier_dropout = dropout

    def _check_config(self):
        kind = self.config.get("model_type", "electra")
        if kind != "electra":
            raise ValueError(
                f"{self.source} holds a network of another architecture. "
                "Expected model_type 'electra' in its config.json, found "
                f"{kind!r}. Only ELECTRA is read here; KerasHub reads many "
                "others: `keras_hub.models.Backbone.from_preset`."
            )
        for name, expected in FIXED.items():
            value = self.config.get(name, expected)
            if value != expected:
                raise ValueError(
                    f"{self.source} has {name}={value!r} in its config.json; "
                    f"the networks here have {expected!r} and would compute "
                    "other numbers."
                )
        if self.config["hidden_act"] not in ACTIVATIONS:
            raise ValueError(
                f"{self.source} has hidden_act={self.config['hidden_act']!r}. "
                f"Expected one of {sorted(ACTIVATIONS)}."
            )

    def _networks(self):
        if any(name.startswith("generator_") for name in self._stored):
            return (GENERATOR,)
        if any(n.startswith("discriminator_") for n in self._stored):
            return (DISCRIMINATOR,)
        return (DISCRIMINATOR, GENERATOR)

    def _architecture(self):
        names = self.config.get("architectures") or [None]
        if "sequence_summary.summary.weight" in self._stored:
            return "ElectraForMultipleChoice"
        return names[0]

    def _labels(self):
        labels = self.config.get("id2label")
        if not labels:
            return None
        by_id = {int(id): str(label) for id, label in labels.items()}
        names = [by_id[id] for id in sorted(by_id)]
        if names == [f"LABEL_{i}" for i in range(len(names))]:
            return None  # what transformers writes when nobody named them
        return names

    def backbone_arguments(self, network):
        arguments = {ours: self.config[name] for name, ours in SIZES.items()}
        return {
            **arguments,
            "dropout": self.config["hidden_dropout_prob"],
            "attention_dropout": self.config["attention_probs_dropout_prob"],
            "activation": ACTIVATIONS[self.config["hidden_act"]],
            "initializer_range": self.config["initializer_range"],
        }

    def token_head_arguments(self):
        # Whatever `hidden_act` is (`ElectraGeneratorPredictions`).
        return {"head_activation": "gelu", "tie_embeddings": self._is_tied()}

    def names(self):
        return self._tensors.names()

    def stored_name(self, name, network):
        name = transformers_name(name)
        return self._stored.get(name, name)

    def shape(self, name, network):
        shape = self._tensors.shape(self.stored_name(name, network))
        return tuple(reversed(shape)) if is_transposed(name) else shape

    def read(self, name, network):
        array = self._tensors.read(self.stored_name(name, network))
        return array.T if is_transposed(name) else array

    def drop_reason(self, stored, network):
        name = self._modern[stored]
        if name.endswith((".position_ids", ".token_type_ids")):
            return "a buffer, not a weight"
        if "pooler." in name:
            return "ELECTRA has no pooler"
        if name == OUTPUT_TABLE and self._is_tied():
            return "equal to the word embeddings"
        if name.startswith(HEADS):
            return "not of this task's head"
        return None

    def _is_tied(self):
        """Whether the output matrix is the word embeddings."""
        if OUTPUT_TABLE not in self._stored:
            return True
        words = self._tensors.read(self._stored[WORDS])
        table = self._tensors.read(self._stored[OUTPUT_TABLE])
        return words.shape == table.shape and bool((words == table).all())

    def tokenizer(self, **kwargs):
        return tokenizer_files.read_tokenizer(self._find, self.source, **kwargs)


def _modern(name):
    """The present name of a tensor; some files have the first version's."""
    if name.endswith(".gamma"):
        return name.removesuffix("gamma") + "weight"
    if name.endswith(".beta"):
        return name.removesuffix("beta") + "bias"
    return name
