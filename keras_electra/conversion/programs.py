"""Checkpoints of Google's program (TF1) and of KerasHub, read and written.

Google's hold two networks; sizes come from the shapes, and what these do not
show from a `config.json` beside them, or the paper. KerasHub's presets are an
encoder with tanh GELU and a pooler, which ELECTRA has not and nobody trained.
"""

import functools
from typing import Any

import keras_hub

from keras_electra.arguments import check_option
from keras_electra.arguments import keyword_names
from keras_electra.backend.files import read_checkpoint
from keras_electra.backend.files import write_checkpoint
from keras_electra.backend.files import write_json
from keras_electra.conversion import hugging_face
from keras_electra.conversion import tokenizer_files
from keras_electra.conversion import weights
from keras_electra.conversion.heads import check_values
from keras_electra.conversion.heads import head_of
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets_saving import save_h5
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.text.tokenizer import ElectraTokenizer

SECTION = "{}_bert_config"  # of a `config.json` with the original's
KERNEL = "encoder/layer_{}/output/dense/kernel"
MARKS = {
    "discriminator": f"electra/{KERNEL.format(0)}",
    "generator": "generator_predictions/dense/kernel",
}
# Settings that the program knows no other values of.
PROGRAM = {"activation": "gelu", "layer_norm_epsilon": 1e-12}
# Variable -> what its shape says.
SIZES = {
    "embeddings/word_embeddings": ("vocabulary_size", "embedding_dim"),
    "embeddings/position_embeddings": ("max_sequence_length",),
    "embeddings/token_type_embeddings": ("num_segments",),
    "encoder/layer_0/intermediate/dense/bias": ("intermediate_dim",),
    "encoder/layer_0/output/dense/bias": ("hidden_dim",),
}
KERAS_HUB = "keras_hub>ElectraBackbone"
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


class GoogleCheckpoint(weights.Checkpoint):
    """A checkpoint of the original program in `Files`."""

    form = "Google's TF1"

    def __init__(self, files: Any):
        super().__init__(files)
        shapes, read = read_checkpoint(files.path)
        self.tensors = {
            name: weights.Tensor(shape, functools.partial(read, name))
            for name, shape in shapes.items()
        }
        self._config = files.read_json(hugging_face.CONFIG)
        # What it says of the program, not of a network.
        program = self._config.get("pretraining_config", self._config)
        self.lowercase = program.get("do_lower_case")
        self.networks = tuple(n for n in MARKS if MARKS[n] in shapes)
        if not self.networks:
            raise ValueError(
                f"{self.source} holds no ELECTRA. Expected variables such as "
                f"{MARKS['discriminator']!r}, found {list(shapes)[:3]}."
            )
        # Else one encoder is both (original `untied_generator=False`).
        self._has_two = f"generator/{KERNEL.format(0)}" in shapes
        self.is_tied = len(self.networks) > 1 and not self._has_two

    def _section(self, network):
        """What the configuration beside says about one network."""
        is_other = network == "generator" and "discriminator" in self.networks
        default = {} if is_other else self._config
        return self._config.get(SECTION.format(network), default)

    def backbone_arguments(self, network: Any) -> dict[str, Any]:
        section, layers = self._section(network), 0
        while self.tensor(f"electra/{KERNEL.format(layers)}", network):
            layers += 1
        sizes = {"num_layers": layers}
        for name, ours in SIZES.items():
            shape = self.tensor(f"electra/{name}", network).shape
            sizes.update(zip(ours, shape))
        for theirs, (ours, _) in hugging_face.NAMES.items():
            value = section.get(theirs)
            if value is not None and sizes.setdefault(ours, value) != value:
                raise ValueError(
                    f"config.json of {self.source} has {theirs}={value}, but "
                    f"the weights of the {network} have {sizes[ours]}."
                )
        # Not visible in any shape; 64 units in all sizes of the paper.
        sizes.setdefault("num_heads", max(1, sizes["hidden_dim"] // 64))
        activation = hugging_face.activation_of(section, self.source)
        return {**sizes, "activation": activation}

    def notes(self, network: Any) -> Any:
        note = f"the {network} is taken to have heads of 64 units"
        is_said = "num_attention_heads" in self._section(network)
        return [note] * (not is_said) + super().notes(network)

    def stored_name(self, name: str, network: Any) -> Any:
        if network == "discriminator" or not name.startswith("electra/"):
            return name
        own = name.replace("electra/", "generator/", 1)
        # Embeddings are shared unless they are there twice.
        is_own = self._has_two and not name.startswith("electra/embeddings/")
        return own if is_own or own in self.tensors else name

    def reasons(self, network: Any) -> dict[str, Any]:
        other = "generator/" if network == "discriminator" else "electra/"
        return {
            ".*/adam_[mv]$": "state of the optimizer",
            "global_step$": "counter of steps",
            r"\w+_predictions/|task_specific/": "not of this task's head",
            other if self._has_two else "$": "of the other network",
        }


def write_google(task: Any, folder: Any) -> None:
    """Writes the networks of a pre-trainer, or of a task, and their heads."""
    backbone, head = task.backbone, head_of(type(task))
    network = (head and head.network) or "discriminator"
    networks = {network: backbone}
    if isinstance(task, ElectraPretrainer):
        table = weights.pretrainer(task)
        if task.generator not in (None, backbone):
            networks["generator"] = task.generator
    else:
        prefix = "generator" if network == "generator" else "electra"
        table = weights.embeddings(backbone.embeddings)
        table |= weights.encoder(backbone, prefix)
        table |= head.weights(task) if head and head.network else {}
    if (weights.OUTPUT_TABLE,) in table:
        raise ValueError("The original has no head with tie_embeddings=False.")
    config = {}
    for network, backbone in networks.items():
        check_values(backbone.get_config(), PROGRAM, "a TF1 checkpoint")
        section = hugging_face.network_config(backbone)
        config[SECTION.format(network)] = section
        program = {"embedding_size": section.pop("embedding_size")}
    tokenizer = getattr(task.preprocessor, "tokenizer", None)
    if tokenizer is not None:
        program["do_lower_case"] = bool(tokenizer.lowercase)
    length = backbone.max_sequence_length
    tokenizer_files.write_tokenizer(tokenizer, folder, length, is_full=False)
    write_checkpoint(folder / "model.ckpt", weights.arrays_of(table))
    config["pretraining_config"] = program
    write_json(folder / hugging_face.CONFIG, config)


class KerasHubCheckpoint(weights.Checkpoint):
    """A preset of `keras_hub.models.ElectraBackbone` in `Files`."""

    form = "KerasHub"

    @functools.cached_property
    def tensors(self) -> dict[str, Any]:
        # float32, whatever the policy is: it is a file that is read.
        backbone = keras_hub.models.ElectraBackbone.from_preset(
            self.source, dtype="float32"
        )
        arrays = weights.arrays_of(_network(backbone))
        for name, array in arrays.items():
            if "/attention/" in name:  # with an axis for the heads there
                axes = 2 if name.endswith("kernel") else 1
                arrays[name] = array.reshape((backbone.hidden_dim,) * axes)
        pooler = {(w.path,): w for w in backbone.pooled_dense.weights}
        arrays.update(weights.arrays_of(pooler))
        return {n: weights.in_memory(array) for n, array in arrays.items()}

    def backbone_arguments(self, network: Any) -> dict[str, Any]:
        config = self.files.read_json(hugging_face.CONFIG)["config"]
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


def _network(backbone):
    """Weights of KerasHub's backbone by the original's names, no pooler."""
    table = weights.of_parts(backbone, EMBEDDINGS, "electra/embeddings/")
    return table | weights.encoder(backbone, parts=LAYER)


def write_keras_hub(task: Any, head: Any, folder: Any) -> None:
    """Writes the encoder of a task, with a fresh pooler."""
    backbone = task.backbone
    options = ("gelu", "gelu_approximate")
    check_option("activation", backbone.activation, options)
    check_option("layer_norm_epsilon", backbone.layer_norm_epsilon, (1e-12,))
    theirs = keras_hub.models.ElectraBackbone(
        vocab_size=backbone.vocabulary_size,
        **{name: getattr(backbone, name) for name in SAME_NAMES},
        dtype="float32",
    )
    arrays = weights.arrays_of(weights.network(backbone))
    weights.fill(_network(theirs), arrays.get)
    theirs.save_weights = functools.partial(save_h5, theirs)
    theirs.save_to_preset(str(folder))
    tokenizer = getattr(task.preprocessor, "tokenizer", None)
    if tokenizer is None:
        return
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
