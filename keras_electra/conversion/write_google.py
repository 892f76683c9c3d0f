"""Writes Google's TF1 checkpoints, from which the original program starts.

Variables have its names and shapes. `vocab.txt` is beside them, and two files
with what neither says: `config.json` (heads, dropout) and
`tokenizer_config.json` (case, accents).
"""

import json

from keras_electra.conversion import google
from keras_electra.conversion import places
from keras_electra.conversion.google_checkpoint import SECTIONS
from keras_electra.conversion.tf_writer import write_checkpoint
from keras_electra.conversion.tokenizer_files import write_plain
from keras_electra.conversion.write_hugging_face import network_config

PREFIX = "model.ckpt"
# Names of a network's section of `config.json`, as in `BertConfig`.
SECTION_NAMES = (
    "attention_probs_dropout_prob",
    "hidden_act",
    "hidden_dropout_prob",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "type_vocab_size",
    "vocab_size",
)


def write_pretrainer(pretrainer, folder, tokenizer=None):
    """Writes both networks of a pre-trainer with their heads.

    Args:
        pretrainer: `ElectraPretrainer`.
        folder: `Path` of a folder that exists.
        tokenizer: `ElectraTokenizer` or `None`.
    """
    networks = {"discriminator": pretrainer.backbone}
    if pretrainer.generator not in (None, pretrainer.backbone):
        networks["generator"] = pretrainer.generator
    _write(google.places(pretrainer), networks, folder, tokenizer)


def write_task(task, network, folder, tokenizer=None):
    """Writes the encoder of a task, and its head if it is of pre-training.

    Args:
        task: a task.
        network: string or `None`. `"generator"` or `"discriminator"` for a
            task of that network with a head of pre-training.
        folder: `Path` of a folder that exists.
        tokenizer: `ElectraTokenizer` or `None`.
    """
    backbone = task.backbone
    table = places.embeddings(backbone.embeddings)
    if network == "generator":
        table.update(places.encoder(backbone, "generator"))
        if not task.head.tie_embeddings:
            raise ValueError(
                "The original program's output matrix is the word embeddings. "
                "This head has one of its own (tie_embeddings=False)."
            )
        table.update(places.token_prediction_head(task.head))
    else:
        table.update(places.encoder(backbone))
    if network == "discriminator":
        table.update(places.replaced_token_head(task.head))
    networks = {network or "discriminator": backbone}
    _write(table, networks, folder, tokenizer)


def _write(table, networks, folder, tokenizer):
    arrays = {name: places.to_array(place) for name, place in table.items()}
    config = {}
    for network, backbone in networks.items():
        whole = network_config(backbone, None)
        # The original knows one name only, and means the exact one.
        if backbone.activation != "gelu":
            raise ValueError(
                "The original program has the exact GELU only. This network "
                f"has the activation {backbone.activation!r} and would "
                "compute other numbers there."
            )
        config[SECTIONS[network]] = {n: whole[n] for n in SECTION_NAMES}
    program = {"embedding_size": backbone.embedding_dim}
    if tokenizer is not None:
        program["do_lower_case"] = bool(tokenizer.lowercase)
        write_plain(tokenizer, folder, backbone.max_sequence_length)
    config["pretraining_config"] = program
    write_checkpoint(folder / PREFIX, arrays)
    text = json.dumps(config, indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
