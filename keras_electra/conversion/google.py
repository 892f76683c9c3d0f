"""Google's TF1 checkpoints (google-research/electra), read and written.

They hold two networks; sizes come from the shapes, and what these do not show
(heads, dropout, activation) from a `config.json` beside them, or the paper.
"""

import functools
from typing import Any

from keras_electra.backend.files import read_checkpoint
from keras_electra.backend.files import write_checkpoint
from keras_electra.backend.files import write_json
from keras_electra.conversion import hugging_face
from keras_electra.conversion import tokenizer_files
from keras_electra.conversion import weights
from keras_electra.conversion.heads import check_values
from keras_electra.conversion.heads import head_of
from keras_electra.pretraining.pretrainer import ElectraPretrainer

SECTION = "{}_bert_config"  # of a `config.json` with the original's
KERNEL = "encoder/layer_{}/output/dense/kernel"
MARKS = {
    "discriminator": f"electra/{KERNEL.format(0)}",
    "generator": "generator_predictions/dense/kernel",
}
# Settings that the program knows no other values of.
PROGRAM = {"activation": "gelu", "layer_norm_epsilon": 1e-12}
PREFIXES = {"discriminator": "electra", "generator": "generator"}
# Variable -> what its shape says.
SIZES = {
    "embeddings/word_embeddings": ("vocabulary_size", "embedding_dim"),
    "embeddings/position_embeddings": ("max_sequence_length",),
    "embeddings/token_type_embeddings": ("num_segments",),
    "encoder/layer_0/intermediate/dense/bias": ("intermediate_dim",),
    "encoder/layer_0/output/dense/bias": ("hidden_dim",),
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
        self.networks = tuple(n for n in MARKS if MARKS[n] in self.tensors)
        if not self.networks:
            raise ValueError(
                f"{self.source} holds no ELECTRA. Expected variables such as "
                f"{MARKS['discriminator']!r}, found {list(shapes)[:3]}."
            )
        # Else one encoder is both (original `untied_generator=False`).
        self._has_two = f"generator/{KERNEL.format(0)}" in self.tensors
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
        return {
            # Not visible in any shape; 64 units in all sizes of the paper.
            "num_heads": max(1, sizes["hidden_dim"] // 64),
            "activation": hugging_face.activation_of(section, self.source),
            **sizes,
        }

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


def write(task: Any, folder: Any) -> None:
    """Writes the networks of a pre-trainer, or of a task, and their heads."""
    backbone, head = task.backbone, head_of(type(task))
    network = (head and head.network) or "discriminator"
    networks = {network: backbone}
    if isinstance(task, ElectraPretrainer):
        table = weights.pretrainer(task)
        if task.generator not in (None, backbone):
            networks["generator"] = task.generator
    else:
        table = {
            **weights.embeddings(backbone.embeddings),
            **weights.encoder(backbone, PREFIXES[network]),
            **(head.weights(task) if head and head.network else {}),
        }
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
        tokenizer_files.write_tokenizer(
            tokenizer, folder, backbone.max_sequence_length, is_full=False
        )
    write_checkpoint(folder / "model.ckpt", weights.arrays_of(table))
    config["pretraining_config"] = program
    write_json(folder / hugging_face.CONFIG, config)
