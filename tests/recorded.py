"""Numbers recorded from the original program, and the settings beside them.

`pytest --golden FOLDER` checks the package against another set of the same
form, so nothing here or in the tests may know what is in one.
"""

import json
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent / "golden"


def use(folder):
    """Takes all numbers from another folder; before tests are collected."""
    global FOLDER
    FOLDER = pathlib.Path(folder).resolve()
    if not (FOLDER / "tiny_ckpt").is_dir():
        raise FileNotFoundError(
            "--golden must name a folder of recorded numbers, with "
            f"`tiny_ckpt` and the like in it. Received: {folder}"
        )


def read_json(name):
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def read_arrays(name):
    with np.load(FOLDER / name) as arrays:
        return dict(arrays)


def special_ids():
    """Ids of the special tokens in the recorded vocabulary, by token."""
    text = (FOLDER / "vocab.txt").read_bytes().decode("utf-8")
    ids = {token: id for id, token in enumerate(text.split("\n"))}
    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    return {name: ids[name] for name in names}


def heads():
    """Numbers of attention heads, which no checkpoint of TF1 tells."""
    config = read_json("tiny_ckpt/config.json")
    return {
        "num_heads": config["discriminator_bert_config"]["num_attention_heads"],
        "generator_num_heads": config["generator_bert_config"][
            "num_attention_heads"
        ],
    }


def objective():
    """Arguments of the pre-trainer that weigh its losses."""
    config = read_json("tiny_ckpt/config.json")["pretraining_config"]
    return {
        "generator_weight": config["gen_weight"],
        "discriminator_weight": config["disc_weight"],
        "temperature": config["temperature"],
    }


def question_settings(task):
    """Arguments of the preprocessor with which questions were read."""
    settings = read_json("finetune_features.json")["qa"][task]
    return {
        "sequence_length": settings["max_seq_length"],
        "stride": settings["doc_stride"],
        "max_question_length": settings["max_query_length"],
    }


def keys_of(arrays, prefix):
    """Names below a prefix, the first part of each, in order, once."""
    names = (n.removeprefix(prefix) for n in arrays if n.startswith(prefix))
    return list(dict.fromkeys(name.split("/")[0] for name in names))


def tokenizer_settings():
    """Arguments of the tokenizer with which texts were read."""
    config = read_json("tiny_ckpt/config.json")["pretraining_config"]
    return {"lowercase": config["do_lower_case"]}
