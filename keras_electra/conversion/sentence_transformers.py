"""Folders of sentence-transformers: how a network's output becomes a vector.

`modules.json` names the steps. Those that `ElectraTextEmbedder` has are obeyed;
others are an error, since its vectors would be different ones.
"""

import json
import re

from keras_electra.arguments import check_number
from keras_electra.arguments import check_option

MODULES, ROOM = "modules.json", "sentence_transformers.models"
STEPS = (["Pooling"], ["Pooling", "Normalize"])  # after the network


def modules(files):
    """Names of the steps, and the folders of their files, `""` for the root."""
    found = files.read_json(MODULES, [])
    try:
        # Classes of others keep their dots.
        pattern = r"^sentence_transformers\.(.*\.)?"
        names = [re.sub(pattern, "", each["type"]) for each in found]
        # Inside: a file could name any place.
        folder = re.compile(r"(\w[\w.-]*)?")
        return names, [folder.fullmatch(each["path"])[0] for each in found]
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"{MODULES} of {files.source} must list modules, each with `type` "
            f"and, of a folder inside, `path`. Received: {str(found)[:200]}."
        ) from error


def recipe(checkpoint):
    """Arguments of `ElectraTextEmbedder`; none if it is not such a folder."""
    files, source = checkpoint.files, checkpoint.source
    names, folders = modules(files)
    if not names:
        return {}
    # The network is called BERT in the first versions.
    if names[0] not in ("Transformer", "BERT") or names[1:] not in STEPS:
        raise ValueError(
            f"The vectors of {source} are made by {', '.join(names)} "
            f"({MODULES}). ElectraTextEmbedder has Transformer, Pooling and "
            "Normalize only: open it as ElectraBackbone and do the rest."
        )
    config = files.read_json("config_sentence_transformers.json")
    if prompt := config.get("default_prompt_name"):
        text = f"{config.get('prompts')}"[:100]
        raise ValueError(
            f"{source} puts the prompt {prompt!r} of {text} before all texts, "
            "which ElectraTextEmbedder does not. Open it as ElectraBackbone."
        )
    name = f"{folders[1]}/config.json"
    config = files.read_json(name)
    if not config:
        raise FileNotFoundError(
            f"{source} lacks {name}, which {MODULES} names."
        )
    # As there: the mean unless it is switched off.
    config = {"pooling_mode_mean_tokens": True, **config}
    modes = [m for m in config if m.startswith("pooling_mode_") and config[m]]
    modes = [m.removeprefix("pooling_mode_").split("_token")[0] for m in modes]
    pooling = config.get("pooling_mode") or "+".join(modes)
    check_option(f"pooling in {name} of {source}", pooling, ("mean", "cls"))
    layer = checkpoint.backbone_arguments("discriminator")["num_layers"]
    is_unit = "Normalize" in names
    return {"pooling": pooling, "normalize": is_unit, "layer": layer}


def text_settings(files):
    """`length` of rows, and `do_lower_case`, of texts before anything else."""
    config = files.read_json("sentence_bert_config.json")
    limits = files.read_json("tokenizer_config.json")
    length = config.get("max_seq_length") or limits.get("model_max_length")
    check_number(f"max_seq_length of {files.source}", length or 512, above=2)
    return {**config, "length": length}


def write(task, folder, length):
    """Writes what makes a folder (`Path`) with a network an embedder there."""
    pooling = {"word_embedding_dimension": task.backbone.hidden_dim}
    for mode, name in (("cls", "cls_token"), ("mean", "mean_tokens")):
        pooling[f"pooling_mode_{name}"] = task.pooling == mode
    steps = ["Transformer", "Pooling", "Normalize"][: 2 + task.normalize]
    places = ["", "1_Pooling", "2_Normalize"]
    files = {
        MODULES: [
            {"idx": i, "name": str(i), "path": place, "type": f"{ROOM}.{step}"}
            for i, (place, step) in enumerate(zip(places, steps))
        ],
        "1_Pooling/config.json": pooling,
        "sentence_bert_config.json": {
            "max_seq_length": length,
            "do_lower_case": False,  # the tokenizer does it
        },
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        text = json.dumps(content, indent=2) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
