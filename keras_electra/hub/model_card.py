"""The card of a preset: what is in the folder, as far as it is known.

Sizes, tokenizer and recipe are read off the model, steps and metrics off its
last training. What a model cannot know (text, licence) is given by whoever
saves it.
"""

import keras

MARK = "<!-- Written by save_to_preset; remove this line to keep a change. -->"
BACKBONE_ROWS = {
    "num_layers": "layers",
    "hidden_dim": "width",
    "num_heads": "attention heads",
    "intermediate_dim": "width of the feed-forward blocks",
    "embedding_dim": "width of the embeddings",
    "vocabulary_size": "tokens",
    "max_sequence_length": "positions",
    "activation": "activation",
}
PIPELINES = {
    "ElectraMaskedLM": "fill-mask",
    "ElectraTextClassifier": "text-classification",
    "ElectraTokenClassifier": "token-classification",
    "ElectraQuestionAnswering": "question-answering",
}


def may_be_written(folder):
    """Whether a folder has no card, or one that was written here."""
    path = folder / "README.md"
    return not path.exists() or MARK in path.read_text(encoding="utf-8")


def write_card(model, folder, title, card=None):
    """Writes the `README.md` of a preset.

    Args:
        model: a task.
        folder: `Path` to write to.
        title: string. Name of the preset.
        card: dict from strings to strings, or `None`. More rows, such as
            `corpus`, `language` and `licence`, and in place of rows that are
            known.
    """
    rows = {**known_rows(model), **(card or {})}
    name = type(model).__name__
    lines = ["---", "library_name: keras-hub", "tags: [electra]"]
    if name in PIPELINES:
        lines.append(f"pipeline_tag: {PIPELINES[name]}")
    if "licence" in rows:
        lines.append(f"license: {str(rows['licence']).lower()}")
    lines += ["---", MARK, f"# {title}", ""]
    lines += [f"A preset of `keras_electra.{name}`:", "", "```python"]
    lines += ["import keras_electra", ""]
    lines += [f'model = keras_electra.{name}.from_preset("folder or handle")']
    lines += ["```", "", "| | |", "| --- | --- |"]
    lines += [f"| {row} | {value} |" for row, value in rows.items()]
    text = "\n".join(lines) + "\n"
    (folder / "README.md").write_text(text, encoding="utf-8")


def known_rows(model):
    """What a model says about itself.

    Args:
        model: a task.

    Returns:
        A dict from the name of a row to its text.
    """
    rows = {"parameters": f"{model.count_params():,}"}
    generator = getattr(model, "generator", None)
    networks = {"network": model.backbone}
    if hasattr(model, "discriminator_head"):
        networks = {"discriminator": model.backbone, "generator": generator}
    for name, backbone in networks.items():
        if backbone is not None:
            rows[name] = ", ".join(
                f"{word} {getattr(backbone, attribute)}"
                for attribute, word in BACKBONE_ROWS.items()
            )
    if model.preprocessor is not None:
        rows.update(_text_rows(model.preprocessor))
    if getattr(model, "labels", None):
        rows["labels"] = ", ".join(model.labels)
    if hasattr(model, "mask_fraction"):
        rows["recipe"] = (
            f"{model.mask_fraction:g} of the tokens predicted, weights of the "
            f"losses {model.generator_weight:g} (generator) and "
            f"{model.discriminator_weight:g} (discriminator), temperature "
            f"{model.temperature:g}, embeddings "
            f"{'shared' if model.share_embeddings else 'not shared'}"
        )
    rows.update(_training_rows(model))
    summary = getattr(model, "conversion_summary", None)
    if summary is not None:
        rows["converted from"] = f"{summary.source} ({summary.form})"
    return rows


def _text_rows(preprocessor):
    tokenizer = preprocessor.tokenizer
    accents = tokenizer.strip_accents
    if accents is None:
        accents = tokenizer.lowercase
    return {
        "vocabulary": f"{tokenizer.vocabulary_size():,} word pieces",
        "text is lowered": "yes" if tokenizer.lowercase else "no",
        "accents are stripped": "yes" if accents else "no",
        "Chinese characters are words": (
            "yes" if tokenizer.split_on_cjk else "no"
        ),
        "sequence length": f"{preprocessor.sequence_length} tokens",
    }


def _training_rows(model):
    """Steps, optimizer and last metrics of a training in this process."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return {}
    steps = int(keras.ops.convert_to_numpy(optimizer.iterations))
    if not steps:
        return {}
    rows = {"steps": f"{steps:,}", "optimizer": type(optimizer).__name__}
    history = getattr(getattr(model, "history", None), "history", None) or {}
    for name, values in history.items():
        rows[name] = f"{float(values[-1]):.4g}"
    return rows
