"""The form of transformers, read and written: a folder or a hub repository.

Its names are the original's with dots, and dense kernels are transposed. A
repository holds one network, so both kinds call their encoder `electra`; what
it is shows in the head beside it. `model.safetensors` is written in float32.
"""

import json

import numpy as np
import safetensors.numpy

from keras_electra.conversion import tokenizer_files
from keras_electra.conversion import weights
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR
from keras_electra.conversion.checkpoint import Checkpoint
from keras_electra.conversion.heads import HEADS
from keras_electra.conversion.heads import check_token_head
from keras_electra.conversion.heads import check_values
from keras_electra.conversion.heads import head_of
from keras_electra.conversion.tensor_files import SAFETENSORS
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
# And back: the first that means it.
HIDDEN_ACT = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
# Names in both, and what ELECTRA's configuration has when it is not written.
SIZES = {
    "vocab_size": ("vocabulary_size", 30522),
    "num_hidden_layers": ("num_layers", 12),
    "num_attention_heads": ("num_heads", 4),
    "hidden_size": ("hidden_dim", 256),
    "intermediate_size": ("intermediate_dim", 1024),
    "embedding_size": ("embedding_dim", 128),
    "max_position_embeddings": ("max_sequence_length", 512),
    "type_vocab_size": ("num_segments", 2),
}
# The same for what no shape of a weight shows.
SETTINGS = {
    "hidden_dropout_prob": ("dropout", 0.1),
    "attention_probs_dropout_prob": ("attention_dropout", 0.1),
    "initializer_range": ("initializer_range", 0.02),
}
NAMES = {**SIZES, **SETTINGS}
# What ours is, and no checkpoint may differ in.
FIXED = {
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}
OUTPUT_TABLE = "generator_lm_head.weight"
WORDS = "electra.embeddings.word_embeddings.weight"
HEAD_NAMES = (
    "generator_predictions.",
    "generator_lm_head.",
    "discriminator_predictions.",
    "classifier.",
    "qa_outputs.",
    "sequence_summary.",
)
SUFFIXES = {
    ".kernel": ".weight",
    ".gamma": ".weight",
    ".beta": ".bias",
    "_embeddings": "_embeddings.weight",
}


def transformers_name(name):
    """The name in transformers of a variable of the original."""
    if name == "generator_predictions/output_bias":
        return "generator_lm_head.bias"
    if name == weights.OUTPUT_TABLE:
        return OUTPUT_TABLE
    name = name.replace("/dense_1/", "/dense_prediction/")
    return _modern(name.replace("/layer_", "/layer.").replace("/", "."))


def _modern(name):
    """The present name of a tensor; some files have the first version's."""
    for old, new in SUFFIXES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def is_transposed(name):
    """Whether a variable of the original is transposed in transformers."""
    return name.endswith("/kernel")


class TransformersCheckpoint(Checkpoint):
    """A folder or repository as `save_pretrained` of transformers writes it.

    Args:
        find: function from a file name to its local path, or to `None`.
        config: dict. Content of its `config.json`.
        source: string. Where it is from, for messages.

    Raises:
        ValueError: when it is not ELECTRA's, a file is damaged, or the
            configuration asks for what our network is not.
    """

    form = "transformers"

    def __init__(self, find, config, source):
        self.source, self._find = source, find
        defaults = {theirs: value for theirs, (_, value) in NAMES.items()}
        self.config = {"hidden_act": "gelu", **defaults, **config}
        kind = config.get("model_type", "electra")
        if kind != "electra":
            raise ValueError(
                f"{source} holds a network of another architecture. Expected "
                f"model_type 'electra' in its config.json, found {kind!r}. "
                "Only ELECTRA is read here; KerasHub reads many others: "
                "`keras_hub.models.Backbone.from_preset`."
            )
        check_values(config, FIXED, source)
        if self.config["hidden_act"] not in ACTIVATIONS:
            raise ValueError(
                f"{source} has hidden_act={self.config['hidden_act']!r}. "
                f"Expected one of {sorted(ACTIVATIONS)}."
            )
        self._tensors = TensorFiles(find, source)
        self._stored = {_modern(n): n for n in self._tensors.names()}
        # `ElectraModel` alone has no prefix.
        if WORDS not in self._stored:
            bare = {f"electra.{n}": s for n, s in self._stored.items()}
            self._stored = bare if WORDS in bare else self._stored
        self._present = {s: n for n, s in self._stored.items()}
        self.networks = (DISCRIMINATOR, GENERATOR)
        for network in self.networks:
            if any(n.startswith(f"{network}_") for n in self._stored):
                self.networks = (network,)
        self.architecture = (config.get("architectures") or [None])[0]
        if "sequence_summary.summary.weight" in self._stored:
            self.architecture = "ElectraForMultipleChoice"

    def backbone_arguments(self, network):
        arguments = {ours: self.config[n] for n, (ours, _) in NAMES.items()}
        activation = ACTIVATIONS[self.config["hidden_act"]]
        return {**arguments, "activation": activation}

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
        name = self._present[stored]
        if name.endswith((".position_ids", ".token_type_ids")):
            return "a buffer, not a weight"
        if "pooler." in name:
            return "ELECTRA has no pooler"
        if name == OUTPUT_TABLE and self._is_tied():
            return "equal to the word embeddings"
        if name.startswith(HEAD_NAMES):
            return "not of this task's head"
        return None

    def _is_tied(self):
        """Whether the output matrix is the word embeddings."""
        if OUTPUT_TABLE not in self._stored:
            return True
        words = self._tensors.read(self._stored[WORDS])
        return np.array_equal(
            words, self._tensors.read(self._stored[OUTPUT_TABLE])
        )

    def tokenizer(self, **kwargs):
        return tokenizer_files.read_tokenizer(self._find, self.source, **kwargs)


def write_task(task, folder):
    """Writes a task with its head; of one without a `Head` its encoder."""
    head = head_of(type(task))
    table, settings = head.written(task) if head else ({}, {})
    architecture = head.architecture if head else "ElectraModel"
    tokenizer = getattr(task.preprocessor, "tokenizer", None)
    _write(folder, task.backbone, table, architecture, tokenizer, settings)


def write_pretrainer(pretrainer, folder):
    """Writes the networks of a pre-trainer, each into a folder."""
    tokenizer = getattr(pretrainer.preprocessor, "tokenizer", None)
    head = pretrainer.discriminator_head
    if head is not None:
        table = weights.replaced_token_head(head)
        name = HEADS["ElectraReplacedTokenDetector"].architecture
        path = folder / DISCRIMINATOR
        _write(path, pretrainer.backbone, table, name, tokenizer)
    if pretrainer.generator is not None:
        check_token_head(pretrainer.generator_head)
        table = weights.token_prediction_head(pretrainer.generator_head)
        name = HEADS["ElectraMaskedLM"].architecture
        path = folder / GENERATOR
        _write(path, pretrainer.generator, table, name, tokenizer)


def _write(folder, backbone, head, architecture, tokenizer, settings=()):
    """Writes a network with a table of its head."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "electra",
        "architectures": [architecture],
        **network_config(backbone),
        "layer_norm_eps": 1e-12,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }
    if tokenizer is not None:
        config["pad_token_id"] = tokenizer.pad_token_id
        tokenizer_files.write_tokenizer(
            tokenizer, folder, backbone.max_sequence_length
        )
    tensors = {}
    for name, weight in {**weights.network(backbone), **head}.items():
        array = weights.to_array(weight)
        array = array.T if is_transposed(name) else array
        tensors[transformers_name(name)] = np.ascontiguousarray(array)
    safetensors.numpy.save_file(
        tensors, folder / SAFETENSORS, metadata={"format": "pt"}
    )
    write_config(folder, {**config, **dict(settings)})


def network_config(backbone):
    """What `config.json` says of a network."""
    if backbone.activation not in HIDDEN_ACT:
        raise ValueError(
            f"transformers has no activation {backbone.activation!r}. "
            f"Expected one of {sorted(HIDDEN_ACT)}."
        )
    sizes = {n: getattr(backbone, ours) for n, (ours, _) in NAMES.items()}
    return {**sizes, "hidden_act": HIDDEN_ACT[backbone.activation]}


def write_config(folder, config):
    """Writes `config.json`."""
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
