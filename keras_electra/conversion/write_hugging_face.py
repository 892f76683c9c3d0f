"""Writes networks in the form of transformers, which then opens them.

One folder holds one network with its head: `model.safetensors` in float32,
`config.json` and the files of the tokenizer.
"""

import json

import numpy as np
import safetensors.numpy

from keras_electra.conversion.hugging_face import ACTIVATIONS
from keras_electra.conversion.hugging_face import CONFIG
from keras_electra.conversion.hugging_face import SIZES
from keras_electra.conversion.hugging_face import is_transposed
from keras_electra.conversion.hugging_face import transformers_name
from keras_electra.conversion.places import to_array
from keras_electra.conversion.tensor_files import SAFETENSORS
from keras_electra.conversion.tokenizer_files import write_tokenizer

# The name in transformers for each `activation`: the first that means it.
HIDDEN_ACT = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}


def write_network(
    folder, backbone, table, architecture, tokenizer=None, settings=None
):
    """Writes one network.

    Args:
        folder: `Path`; it is made if need be.
        backbone: `ElectraBackbone`.
        table: dict from original names to `Place`s or arrays: all weights.
        architecture: string. Class name in transformers.
        tokenizer: `ElectraTokenizer` or `None`.
        settings: dict or `None`. More entries of `config.json`.

    Raises:
        ValueError: when transformers has no such network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = network_config(backbone, architecture)
    if tokenizer is not None:
        config["pad_token_id"] = tokenizer.pad_token_id
    config.update(settings or {})
    tensors = {}
    for name, place in table.items():
        array = to_array(place)
        array = array.T if is_transposed(name) else array
        tensors[transformers_name(name)] = np.ascontiguousarray(array)
    safetensors.numpy.save_file(
        tensors, folder / SAFETENSORS, metadata={"format": "pt"}
    )
    if tokenizer is not None:
        write_tokenizer(tokenizer, folder, backbone.max_sequence_length)
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def network_config(backbone, architecture):
    """What `config.json` says of a network.

    Args:
        backbone: `ElectraBackbone`.
        architecture: string. Class name in transformers.

    Returns:
        dict.

    Raises:
        ValueError: when transformers has no such activation.
    """
    if backbone.activation not in HIDDEN_ACT:
        raise ValueError(
            f"transformers has no activation {backbone.activation!r}. "
            f"Expected one of {sorted(HIDDEN_ACT)}."
        )
    return {
        "model_type": "electra",
        "architectures": [architecture],
        **{theirs: getattr(backbone, ours) for theirs, ours in SIZES.items()},
        "hidden_act": HIDDEN_ACT[backbone.activation],
        "hidden_dropout_prob": backbone.dropout,
        "attention_probs_dropout_prob": backbone.attention_dropout,
        "initializer_range": backbone.initializer_range,
        "layer_norm_eps": 1e-12,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }
