"""Google's TF1 checkpoints as one of the forms that can be loaded.

They hold a generator and a discriminator, and no sizes: these come from the
shapes. What shapes do not show (heads, dropout, activation) comes from a
`config.json` beside them, or else from the paper.
"""

import json

from keras_electra.conversion import google
from keras_electra.conversion import tokenizer_files
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR
from keras_electra.conversion.checkpoint import Checkpoint
from keras_electra.conversion.hugging_face import ACTIVATIONS
from keras_electra.conversion.hugging_face import SIZES
from keras_electra.conversion.tf_bundle import TensorBundle

# Sections of a `config.json` with the original's configurations.
SECTIONS = {
    DISCRIMINATOR: "discriminator_bert_config",
    GENERATOR: "generator_bert_config",
}
INVISIBLE = {
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "initializer_range": "initializer_range",
}
OTHER_HEADS = (
    "generator_predictions/",
    "discriminator_predictions/",
    "task_specific/",
)


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
        self._path = path
        self._bundle = TensorBundle(path)
        self._folder = self._bundle.prefix.parent
        self._all_names = self._bundle.names()
        self._names = set(self._all_names)
        self._config = self._read_config()
        networks = {
            DISCRIMINATOR: "electra/encoder/layer_0/output/dense/kernel",
            GENERATOR: "generator_predictions/dense/kernel",
        }
        self.networks = tuple(
            network for network, name in networks.items() if name in self._names
        )
        self.is_pair = len(self.networks) > 1
        self.is_tied = self.is_pair and self._encoder(GENERATOR) == "electra"
        if not self.networks:
            raise ValueError(
                f"{source} holds no ELECTRA. Expected variables such as "
                f"{networks[DISCRIMINATOR]!r}, found {self._all_names[:3]}."
            )

    def _read_config(self):
        path = self._folder / "config.json"
        if not path.is_file():
            return {}
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def _section(self, network):
        """What the configuration beside says about one network."""
        if SECTIONS[network] in self._config:
            return self._config[SECTIONS[network]]
        is_other = network == GENERATOR and DISCRIMINATOR in self.networks
        return {} if is_other else self._config

    def _encoder(self, network):
        """The prefix of a network's encoder."""
        if network == DISCRIMINATOR:
            return "electra"
        own = "generator/encoder/layer_0/output/dense/kernel" in self._names
        # Else one encoder is both (original `untied_generator=False`).
        return "generator" if own else "electra"

    def backbone_arguments(self, network):
        arguments = google.backbone_arguments(
            self._path, self._encoder(network)
        )
        section = self._section(network)
        for theirs, ours in SIZES.items():
            value = section.get(theirs, arguments[ours])
            if theirs == "num_attention_heads":
                arguments[ours] = value
            elif value != arguments[ours]:
                raise ValueError(
                    f"config.json of {self.source} has {theirs}={value}, but "
                    f"the weights of the {network} have {arguments[ours]}. "
                    "Correct it, or take the right files."
                )
        for theirs, ours in INVISIBLE.items():
            if theirs in section:
                arguments[ours] = section[theirs]
        activation = section.get("hidden_act", "gelu")
        return {**arguments, "activation": ACTIVATIONS[activation]}

    def notes(self, network):
        notes = []
        if "num_attention_heads" not in self._section(network):
            notes.append(
                f"the {network} is taken to have heads of 64 units: no "
                "config.json says otherwise"
            )
        says_case = "do_lower_case" in self._program() or any(
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
        return self._all_names

    def stored_name(self, name, network):
        if network == DISCRIMINATOR or not name.startswith("electra/"):
            return name
        own = name.replace("electra/", "generator/", 1)
        return own if own in self._names else name

    def shape(self, name, network):
        return self._bundle.shape(self.stored_name(name, network))

    def read(self, name, network):
        return self._bundle.read(self.stored_name(name, network))

    def drop_reason(self, stored, network):
        if stored.endswith(google.OPTIMIZER_SUFFIXES):
            return "state of the optimizer"
        if stored in google.IGNORED_NAMES:
            return "counter of steps"
        if stored.startswith(OTHER_HEADS):
            return "not of this task's head"
        other = "generator" if network == DISCRIMINATOR else "electra"
        if stored.startswith(f"{other}/") and self._encoder(GENERATOR) != (
            "electra"
        ):
            return "of the other network"
        return None

    def tokenizer(self, **kwargs):
        return tokenizer_files.read_tokenizer(
            self._find,
            self.source,
            lowercase_unless_said=self._program().get("do_lower_case"),
            **kwargs,
        )

    def _find(self, name):
        path = self._folder / name
        return path if path.is_file() else None

    def _program(self):
        """What the configuration beside says about the program."""
        return self._config.get("pretraining_config", self._config)
