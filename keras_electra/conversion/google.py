"""Google's TF1 checkpoints (google-research/electra), read and written.

They hold a generator and a discriminator, and no sizes: these come from the
shapes. What shapes do not show (heads, dropout, activation) comes from a
`config.json` beside them, or else from the paper. Written checkpoints have the
original's names and shapes; beside them are `vocab.txt` and two files with what
neither says: `config.json` and `tokenizer_config.json` (case, accents).
"""

import json

from keras_electra.backend.tf_checkpoint import TensorBundle
from keras_electra.backend.tf_checkpoint import write_checkpoint
from keras_electra.conversion import hugging_face
from keras_electra.conversion import tokenizer_files
from keras_electra.conversion import weights
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR
from keras_electra.conversion.checkpoint import Checkpoint
from keras_electra.conversion.heads import head_of

# Sections of a `config.json` with the original's configurations.
SECTIONS = {
    DISCRIMINATOR: "discriminator_bert_config",
    GENERATOR: "generator_bert_config",
}
# Written by the original program beside the weights, and of no use here.
OPTIMIZER_SUFFIXES = ("/adam_m", "/adam_v")
COUNTER = "global_step"
OTHER_HEADS = (
    "generator_predictions/",
    "discriminator_predictions/",
    "task_specific/",
)
PREFIX = "model.ckpt"


class GoogleCheckpoint(Checkpoint):
    """A checkpoint of the original program.

    Args:
        path: `Path` of the folder, or of the prefix of the checkpoint.
        source: string. Where it is from, for messages.

    Raises:
        FileNotFoundError: when there is no checkpoint.
        ValueError: when it is damaged, or holds no ELECTRA.
    """

    form = "Google's TF1"

    def __init__(self, path, source):
        self.source = source
        self._bundle = TensorBundle(path)
        self._folder = self._bundle.prefix.parent
        self._names = self._bundle.names()
        self._known = set(self._names)
        path = self._find(hugging_face.CONFIG)
        text = "{}" if path is None else path.read_text(encoding="utf-8")
        self._config = json.loads(text)
        # What it says of the program, not of a network.
        self._program = self._config.get("pretraining_config", self._config)
        marks = {
            DISCRIMINATOR: "electra/encoder/layer_0/output/dense/kernel",
            GENERATOR: "generator_predictions/dense/kernel",
        }
        self.networks = tuple(n for n in marks if marks[n] in self._known)
        if not self.networks:
            raise ValueError(
                f"{source} holds no ELECTRA. Expected variables such as "
                f"{marks[DISCRIMINATOR]!r}, found {self._names[:3]}."
            )
        # Else one encoder is both (original `untied_generator=False`).
        self._owns = "generator/encoder/layer_0/output/dense/kernel" in (
            self._known
        )
        self.is_pair = len(self.networks) > 1
        self.is_tied = self.is_pair and not self._owns

    def _section(self, network):
        """What the configuration beside says about one network."""
        if SECTIONS[network] in self._config:
            return self._config[SECTIONS[network]]
        is_other = network == GENERATOR and DISCRIMINATOR in self.networks
        return {} if is_other else self._config

    def backbone_arguments(self, network):
        def shape(name):
            return self.shape(f"electra/{name}", network)

        first = "encoder/layer_0/intermediate/dense/kernel"
        hidden_dim, intermediate_dim = shape(first)
        words = shape("embeddings/word_embeddings")
        layers, last = 0, "output/dense/kernel"
        while self.has(f"electra/encoder/layer_{layers}/{last}", network):
            layers += 1
        arguments = {
            "vocabulary_size": words[0],
            "num_layers": layers,
            # Not visible in any shape; 64 units in all sizes of the paper.
            "num_heads": max(1, hidden_dim // 64),
            "hidden_dim": hidden_dim,
            "intermediate_dim": intermediate_dim,
            "embedding_dim": words[1],
            "max_sequence_length": shape("embeddings/position_embeddings")[0],
            "num_segments": shape("embeddings/token_type_embeddings")[0],
        }
        section = self._section(network)
        for theirs, (ours, _) in hugging_face.SIZES.items():
            value = section.get(theirs, arguments[ours])
            if theirs != "num_attention_heads" and value != arguments[ours]:
                raise ValueError(
                    f"config.json of {self.source} has {theirs}={value}, but "
                    f"the weights of the {network} have {arguments[ours]}. "
                    "Correct it, or take the right files."
                )
            arguments[ours] = value
        for theirs, (ours, _) in hugging_face.SETTINGS.items():
            if theirs in section:
                arguments[ours] = section[theirs]
        activation = section.get("hidden_act", "gelu")
        return {**arguments, "activation": hugging_face.ACTIVATIONS[activation]}

    def notes(self, network):
        notes = []
        if "num_attention_heads" not in self._section(network):
            notes.append(
                f"the {network} is taken to have heads of 64 units: no "
                "config.json says otherwise"
            )
        says_case = "do_lower_case" in self._program or any(
            self._find(name) is not None
            for name in (tokenizer_files.TOKENIZER, tokenizer_files.CONFIG)
        )
        if self._find(tokenizer_files.VOCABULARY) and not says_case:
            lowers = self.tokenizer().lowercase
            notes.append(
                f"text is {'' if lowers else 'not '}lowered, because the "
                f"vocabulary has {'no ' if lowers else ''}words with capitals"
            )
        return tuple(notes)

    def names(self):
        return self._names

    def stored_name(self, name, network):
        if network == DISCRIMINATOR or not name.startswith("electra/"):
            return name
        own = name.replace("electra/", "generator/", 1)
        return own if own in self._known else name

    def shape(self, name, network):
        return self._bundle.shape(self.stored_name(name, network))

    def read(self, name, network):
        return self._bundle.read(self.stored_name(name, network))

    def drop_reason(self, stored, network):
        if stored.endswith(OPTIMIZER_SUFFIXES):
            return "state of the optimizer"
        if stored == COUNTER:
            return "counter of steps"
        if stored.startswith(OTHER_HEADS):
            return "not of this task's head"
        other = "generator/" if network == DISCRIMINATOR else "electra/"
        is_other = stored.startswith(other) and self._owns
        return "of the other network" if is_other else None

    def tokenizer(self, **kwargs):
        lowercase = self._program.get("do_lower_case")
        return tokenizer_files.read_tokenizer(
            self._find, self.source, lowercase_unless_said=lowercase, **kwargs
        )

    def _find(self, name):
        path = self._folder / name
        return path if path.is_file() else None


def write_task(task, folder):
    """Writes the encoder of a task, and its head if it is of pre-training."""
    head, backbone = head_of(type(task)), task.backbone
    network = (head and head.network) or DISCRIMINATOR
    prefix = "generator" if network == GENERATOR else "electra"
    table = {
        **weights.embeddings(backbone.embeddings),
        **weights.encoder(backbone, prefix),
    }
    if head and head.network:
        table.update(head.weights(task))
    if weights.OUTPUT_TABLE in table:
        raise ValueError(
            "The original program's output matrix is the word embeddings. "
            "This head has one of its own (tie_embeddings=False)."
        )
    _write(table, {network: backbone}, folder, task.preprocessor)


def write_pretrainer(pretrainer, folder):
    """Writes both networks of a pre-trainer with their heads."""
    networks = {DISCRIMINATOR: pretrainer.backbone}
    if pretrainer.generator not in (None, pretrainer.backbone):
        networks[GENERATOR] = pretrainer.generator
    table = weights.pretrainer(pretrainer)
    _write(table, networks, folder, pretrainer.preprocessor)


def _write(table, networks, folder, preprocessor):
    config = {}
    for network, backbone in networks.items():
        # The original knows one name only, and means the exact one.
        if backbone.activation != "gelu":
            raise ValueError(
                "The original program has the exact GELU only. This network "
                f"has the activation {backbone.activation!r} and would "
                "compute other numbers there."
            )
        section = hugging_face.network_config(backbone)
        program = {"embedding_size": section.pop("embedding_size")}
        config[SECTIONS[network]] = section
    tokenizer = getattr(preprocessor, "tokenizer", None)
    if tokenizer is not None:
        program["do_lower_case"] = bool(tokenizer.lowercase)
        tokenizer_files.write_plain(
            tokenizer, folder, backbone.max_sequence_length
        )
    arrays = {name: weights.to_array(weight) for name, weight in table.items()}
    write_checkpoint(folder / PREFIX, arrays)
    hugging_face.write_config(folder, {**config, "pretraining_config": program})
