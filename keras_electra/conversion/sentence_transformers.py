"""Folders of sentence-transformers: how a network's output becomes a vector.

`modules.json` names the steps. Those that `ElectraTextEmbedder` has are obeyed;
others are an error, since its vectors would be different ones.
"""

import re

from keras_electra.arguments import check_option

MODULES = "modules.json"
NETWORKS = ("Transformer", "BERT")  # the second in the first versions
STEPS = (["Pooling"], ["Pooling", "Normalize"])


def modules(files):
    """Pairs of a step's class and the folder of its files, of all steps."""
    found = files.read_json(MODULES, [])
    try:
        steps = [(each["type"], each["path"]) for each in found]
        # Names of other places could come from anybody.
        good = all(re.fullmatch(r"(\w[\w.-]*)?", path) for _, path in steps)
    except (TypeError, KeyError):
        good = False
    if not good:
        raise ValueError(
            f"{MODULES} of {files.source} must list modules, each with `type` "
            f"and, of a folder inside, `path`. Received: {str(found)[:200]}."
        )
    # Classes of others keep their dots.
    pattern = r"^sentence_transformers\.(.*\.)?"
    return [(re.sub(pattern, "", name), path) for name, path in steps]


def network_folder(files):
    """Where the network is: in a folder inside in the older layout."""
    return "".join(path for _, path in modules(files)[:1])


def recipe(checkpoint):
    """Arguments of `ElectraTextEmbedder`; none if it is not such a folder."""
    files, source = checkpoint.files, checkpoint.source
    steps = modules(files)
    if not steps:
        return {}
    first, *others = [name for name, _ in steps]
    if first not in NETWORKS or others not in STEPS:
        raise ValueError(
            f"The vectors of {source} are made by {first}, {', '.join(others)} "
            f"({MODULES}). ElectraTextEmbedder has Transformer, Pooling and "
            "Normalize only: open it as ElectraBackbone and do the rest."
        )
    name = f"{steps[1][1]}/config.json".lstrip("/")
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
    return {
        "pooling": pooling,
        "normalize": "Normalize" in others,
        "layer": checkpoint.backbone_arguments("discriminator")["num_layers"],
    }


def text_settings(files):
    """The length of rows, or `None`, and whether texts are lowered before."""
    config = files.read_json("sentence_bert_config.json")
    return config.get("max_seq_length"), bool(config.get("do_lower_case"))
