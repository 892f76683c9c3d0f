"""How tasks are saved, exported and uploaded: whole, or not at all."""

import json
import os
import pathlib
import shutil
import uuid

import h5py
import keras
import keras_hub
import numpy as np

from keras_electra.arguments import check_option
from keras_electra.presets import EXPORTERS
from keras_electra.presets import OpensPresets

MARK = "<!-- Written by save_to_preset; remove this line to keep a change. -->"
CARD = """---
library_name: keras-hub
tags: [electra]
{tags}---
{mark}
# {title}

Opened by `keras_electra.{name}.from_preset("folder or handle")`.

| | |
| --- | --- |
{rows}
"""
PIPELINES = {
    "ElectraMaskedLM": "fill-mask",
    "ElectraTextClassifier": "text-classification",
    "ElectraTokenClassifier": "token-classification",
    "ElectraQuestionAnswering": "question-answering",
}


class SavesPresets(OpensPresets):
    """How tasks are saved and exported; mixed in before KerasHub's class.

    For transformers and KerasHub a pre-trainer makes two folders in the given
    one, `discriminator` and `generator`. What a form has not is a `ValueError`.
    """

    def export_to_transformers(self, folder):
        """Writes weights, configuration and tokenizer for transformers."""
        write_whole(folder, lambda f: EXPORTERS["transformers"](self, f))

    def export_to_tf1(self, folder):
        """Writes encoders and heads of pre-training for Google's program."""
        write_whole(folder, lambda f: EXPORTERS["tf1"](self, f))

    def export_to_keras_hub(self, folder):
        """Writes the encoder for KerasHub: tanh GELU and a random pooler."""
        write_whole(folder, lambda f: EXPORTERS["keras_hub"](self, f))

    def save_to_preset(
        self, preset_dir, max_shard_size=10, card=None, weights_dtype="float32"
    ):
        """Saves without optimizer; a full disk leaves what was there before.

        Args:
            preset_dir: path of the folder.
            max_shard_size: float or `None`. Most GB in a file, by default 10.
            card: dict. More rows of the `README.md`, unless that was written
                by hand, such as `{"corpus": "...", "licence": "apache-2.0"}`.
            weights_dtype: string. Precision on disk, `"float32"`, the default,
                or `"float16"`; a weight that is too large is a `ValueError`.
        """
        check_option("weights_dtype", weights_dtype, ("float32", "float16"))
        folder, save = pathlib.Path(preset_dir), super().save_to_preset

        def write(path):
            save(str(path), max_shard_size=max_shard_size)
            _name_precision_of_weights(path / "config.json")
            if weights_dtype == "float16":
                _store_in_half(path)
            readme = folder / "README.md"
            if not readme.exists() or MARK in readme.read_text("utf-8"):
                text = _card(self, folder.resolve().name, card or {})
                (path / readme.name).write_text(text, encoding="utf-8")

        write_whole(preset_dir, write)

    def save_task_weights(self, filepath):
        """Saves what the task has beside its backbone and optimizer."""
        keras.saving.save_weights(self, filepath, objects_to_skip=self._others)

    def load_task_weights(self, filepath):
        """Loads what `save_task_weights` of the same class saved."""
        keras.saving.load_weights(self, filepath, objects_to_skip=self._others)

    @property
    def _others(self):
        optimizers = filter(None, [getattr(self, "optimizer", None)])
        return [*self.backbone._flatten_layers(), *optimizers]


def write_whole(folder, write):
    """Writes a folder by `write(path)`; a failure leaves it as it was.

    Files are written to a subfolder and then moved, `config.json` last: without
    it no folder is a preset. Weights and task of an earlier one are removed.
    """
    if "://" in os.fspath(folder):
        raise ValueError(
            f"Save to a local folder, not {folder!r}; then `upload_preset`."
        )
    target = pathlib.Path(folder)
    existed = target.is_dir()
    written = target / f".saving-{uuid.uuid4().hex[:8]}"
    written.mkdir(parents=True)
    try:
        write(written)
        files = [path for path in written.rglob("*") if path.is_file()]
        files.sort(key=lambda path: (path.name == "config.json", path))
        if (written / "config.json").exists():
            for path in (*target.glob("*.weights.*"), target / "task.json"):
                if not (written / path.name).exists():
                    path.unlink(missing_ok=True)
        for path in files:
            place = target / path.relative_to(written)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)
    finally:
        shutil.rmtree(written, ignore_errors=True)
        if not existed and not any(target.iterdir()):
            target.rmdir()


def _name_precision_of_weights(path):
    """Writes `float32` for mixed precision, whose names KerasHub refuses."""
    config = json.loads(path.read_text(encoding="utf-8"))
    policy = (config["config"].get("dtype") or {}).get("config", {})
    if policy.get("name", "").startswith("mixed_"):
        policy["name"] = "float32"
        path.write_text(json.dumps(config, indent=4), encoding="utf-8")


def _store_in_half(folder):
    """Rewrites all files of weights in float16; Keras reads any precision."""

    def copy(name, item):
        if isinstance(item, h5py.Group):
            copied = target.require_group(name)
        else:
            value = item[()]
            if item.dtype == np.float32:
                largest = np.abs(value).max(initial=0)
                if 65504 < largest < np.inf:
                    raise ValueError(
                        "float16 holds numbers up to 65504. Save in float32: "
                        f"{name} has one of {largest:.3g}."
                    )
                value = value.astype("float16")
            copied = target.create_dataset(name, data=value)
        copied.attrs.update(item.attrs)

    for path in folder.glob("*.weights.h5"):
        part = path.with_suffix(".part")
        with h5py.File(path) as source, h5py.File(part, "w") as target:
            target.attrs.update(source.attrs)
            source.visititems(copy)
        os.replace(part, path)


def _card(model, title, card):
    """The `README.md` of a preset; rows of `card` go before known ones."""
    rows, name = {**known_rows(model), **card}, type(model).__name__
    tags = f"pipeline_tag: {PIPELINES[name]}\n" if name in PIPELINES else ""
    if "licence" in rows:
        tags += f"license: {str(rows['licence']).lower()}\n"
    rows = "\n".join(f"| {row} | {value} |" for row, value in rows.items())
    return CARD.format(tags=tags, mark=MARK, title=title, name=name, rows=rows)


def known_rows(model):
    """What a task says about itself: names of rows to texts."""
    rows = {"parameters": f"{model.count_params():,}"}
    names = ("backbone", "generator", "preprocessor")
    parts = {name: getattr(model, name, None) for name in names}
    parts["tokenizer"] = getattr(model.preprocessor, "tokenizer", None)
    for row, part in [*parts.items(), ("task", model)]:
        config = part.get_config() if part is not None else {}
        rows[row] = ", ".join(
            f"{name} {value}"
            for name, value in config.items()
            if name not in ("name", "trainable", "config_file")
            and isinstance(value, (int, float, str))
        )
    rows["labels"] = ", ".join(getattr(model, "labels", None) or ())
    optimizer = getattr(model, "optimizer", None)
    steps = int(keras.ops.convert_to_numpy(getattr(optimizer, "iterations", 0)))
    if steps:
        rows["steps"] = f"{steps:,} of {type(optimizer).__name__}"
        history = getattr(getattr(model, "history", None), "history", {})
        rows |= {n: f"{float(values[-1]):.4g}" for n, values in history.items()}
    if summary := getattr(model, "conversion_summary", None):
        rows["converted from"] = f"{summary.source} ({summary.form})"
    return {row: text for row, text in rows.items() if text}


def upload_preset(uri, preset):
    """Uploads a folder as `keras_hub.upload_preset` does, card included.

    Args:
        uri: `"hf://user/model"` or `"kaggle://user/model/keras/variant"`.
        preset: path of the folder, as `save_to_preset` wrote it.
    """
    card = pathlib.Path(preset, "README.md")
    is_complete = card.is_file() and card.with_name("config.json").is_file()
    if uri.startswith("hf://") and is_complete:
        import huggingface_hub

        # KerasHub writes a card of its own when the repository has none.
        repository = huggingface_hub.create_repo(uri[5:], exist_ok=True)
        file = {"path_or_fileobj": str(card), "path_in_repo": card.name}
        huggingface_hub.upload_file(**file, repo_id=repository.repo_id)
    keras_hub.upload_preset(uri, str(preset))
