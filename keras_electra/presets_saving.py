"""How tasks are saved, exported and uploaded: whole, or not at all."""

import contextlib
import io
import math
import os
import pathlib
import re
import shutil
import tempfile
from typing import Any

import filelock
import h5py
import keras
import keras_hub
import numpy as np

from keras_electra.arguments import check_option
from keras_electra.arguments import local_folder
from keras_electra.backend import files
from keras_electra.backend import replicas
from keras_electra.presets import EXPORTERS
from keras_electra.presets import METADATA
from keras_electra.presets import SAVED
from keras_electra.presets import OpensPresets
from keras_electra.presets import finish_saving

STAGE = ".saving"
NAMED = r"(config|task|preprocessor|tokenizer|model\.weights)\.json"
LISTED = re.compile(rf"[^/.]+\.weights\.h5|assets/tokenizer/|{NAMED}")
OF_ONE_PRESET = re.compile(r"[^/.]+\.weights\.|(task|metadata)\.json")
KEPT = "remove this line to keep a change. -->"
MARK = f"<!-- Written by save_to_preset; {KEPT}"
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
PIPELINES = {  # of tasks; those of all others are of words for [MASK]
    "ElectraReplacedTokenDetector": "token-classification",
    "ElectraTextClassifier": "text-classification",
    "ElectraTokenClassifier": "token-classification",
    "ElectraQuestionAnswering": "question-answering",
    "ElectraMultipleChoice": "multiple-choice",
    "ElectraTextEmbedder": "sentence-similarity",
}


class SavesParts(OpensPresets):
    """How networks and preprocessors are saved, and in a task its parts."""

    def save_to_preset(self, folder, *args, allow_nonfinite=False, **kwargs):
        """As KerasHub does, but whole or not at all; see `ElectraTask`."""
        check_finite(self, allow_nonfinite)
        save = super().save_to_preset
        write_whole(folder, lambda path: save(str(path), *args, **kwargs))


class SavesPresets(SavesParts):
    """How tasks are saved and exported; mixed in before KerasHub's class.

    For transformers and KerasHub a pre-trainer makes two folders in the given
    one, `discriminator` and `generator`. What a form has not is a `ValueError`.
    """

    def export_to_transformers(self, folder: object) -> None:
        """Writes weights, configuration and tokenizer for transformers."""
        self._export("transformers", folder)

    def export_to_tf1(self, folder: object) -> None:
        """Writes encoders and heads of pre-training for Google's program."""
        self._export("tf1", folder)

    def export_to_keras_hub(self, folder: object) -> None:
        """Writes the encoder for KerasHub: tanh GELU and a random pooler."""
        self._export("keras_hub", folder)

    def _export(self, form, folder, **options):
        check_finite(self)
        write_whole(folder, lambda path: EXPORTERS[form](self, path, **options))

    def save_to_preset(
        self,
        preset_dir: object,
        max_shard_size: float | None = 10,
        card: dict[str, object] | None = None,
        weights_dtype: str = "float32",
        allow_nonfinite: bool = False,
    ) -> None:
        """Saves without optimizer; a full disk leaves what was there before.

        Args:
            preset_dir: path of the folder.
            max_shard_size: float or `None`. Most GB in a file, by default 10.
            card: dict. More rows of the `README.md`, unless that was written
                by hand, such as `{"corpus": "...", "licence": "apache-2.0"}`.
            weights_dtype: string. Precision on disk, `"float32"`, the default,
                or `"float16"`; a weight that is too large is a `ValueError`.
            allow_nonfinite: bool. Whether weights may be NaN or infinite.
        """
        check_option("weights_dtype", weights_dtype, ("float32", "float16"))
        check_finite(self, allow_nonfinite)
        save = super().save_to_preset

        def write(path):
            save(path, max_shard_size=max_shard_size, allow_nonfinite=True)
            config = files.read_json(path / "config.json")
            policy = (config["config"].get("dtype") or {}).get("config", {})
            if policy.get("name", "").startswith("mixed_"):
                policy["name"] = "float32"  # the others KerasHub refuses
                files.write_json(path / "config.json", config)
            if weights_dtype == "float16":
                _store_in_half(path)
            write_card(path, _card(self, path.parent.name, card or {}))

        write_whole(preset_dir, write)

    def save_task_weights(self, filepath: str) -> None:
        """Saves what the task has beside its backbone and optimizer."""
        save_h5(self, filepath, objects_to_skip=self._others)

    def load_task_weights(self, filepath: str) -> None:
        """Loads what `save_task_weights` of the same class saved."""
        keras.saving.load_weights(self, filepath, objects_to_skip=self._others)

    @property
    def _others(self):
        optimizers = filter(None, [getattr(self, "optimizer", None)])
        return [*self.backbone._flatten_layers(), *optimizers]


def write_whole(folder: Any, write: Any) -> None:
    """Writes a folder by `write(path)`; a failure leaves it as it was.

    A complete subfolder is renamed, then its files are moved: after a kill, by
    whoever opens the folder. Of several processes only the first writes.
    """
    if os.path.basename(folder) == STAGE:  # a part of what is being saved
        write(folder)
        return
    target = local_folder("folder", folder)
    if replicas.processes()[0] > 0:
        return
    existed, stage, lock = target.is_dir(), target / STAGE, target / ".lock"
    target.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(lock):  # which a killed process does not hold
        try:
            finish_saving(target)
            shutil.rmtree(stage, ignore_errors=True)
            stage.mkdir()
            write(stage)
            _compare_with_old(stage, target)
            files.flush(*stage.rglob("*"), stage)
            stage.rename(target / SAVED)
            files.flush(target)
            finish_saving(target)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            with contextlib.suppress(OSError):
                lock.unlink()
            if not existed and not any(target.iterdir()):
                target.rmdir()


def _compare_with_old(stage, target):
    """Adds checksums, and an empty file for each old one that is to be gone."""
    stale = set()
    if (stage / "config.json").exists():
        stale = {*filter(OF_ONE_PRESET.match, os.listdir(target))}
    elif (target / METADATA).exists():  # a part is added to the others
        shutil.copy(target / METADATA, stage)
    stale -= {*os.listdir(stage)}
    if (stage / METADATA).exists():
        sums = {}
        for folder in (target, stage):
            for path in (*folder.glob("*.*"), *folder.glob("assets/*/*")):
                name = path.relative_to(folder).as_posix()
                if LISTED.match(name) and name not in stale:
                    sums[name] = files.checksum_of(path)
        metadata = files.read_json(stage / METADATA) | {"sha256": sums}
        files.write_json(stage / METADATA, metadata)
    for name in stale:
        (stage / name).touch()


class _Memory(io.BytesIO):
    """A file in memory, by whose name Keras sees what is written."""

    def __str__(self):
        return "memory.weights.h5"


def save_h5(model: Any, filepath: Any, **kwargs: Any) -> None:
    """`keras.saving.save_weights`; HDF5 itself crashes when a disk is full."""
    keras.saving.save_weights(model, buffer := _Memory(), **kwargs)
    pathlib.Path(filepath).write_bytes(buffer.getbuffer())


def check_space(filepath: Any, weights: Any) -> None:
    """Raises an `OSError` unless there is space beside a path for weights."""
    # float32 is the widest; HDF5 says something of each.
    size = sum(4 * math.prod(weight.shape) + 2**12 for weight in weights)
    with tempfile.TemporaryFile(dir=pathlib.Path(filepath).parent) as file:
        while file.tell() < size:
            file.write(bytes(2**20))


def check_finite(model: Any, allow_nonfinite: bool = False) -> None:
    """Raises a `ValueError` for weights that are NaN or infinite."""
    for weight in getattr(model, "weights", ()) if not allow_nonfinite else ():
        if not keras.ops.all(keras.ops.isfinite(weight)):
            raise ValueError(
                f"{weight.path} is not finite: go back to a checkpoint, and "
                "lower the rate, or save with `allow_nonfinite=True`."
            )


def _store_in_half(folder):
    """Rewrites all files of weights in float16; Keras reads any precision."""

    def copy(name, item):
        if isinstance(item, h5py.Group):
            target.require_group(name).attrs.update(item.attrs)
            return
        value = item[()]
        if item.dtype == np.float32:
            largest = np.abs(value).max(initial=0)
            if 65504 < largest < np.inf:
                raise ValueError(
                    "float16 holds numbers up to 65504. Save in float32: "
                    f"{name} has one of {largest:.3g}."
                )
            value = value.astype("float16")
        target.create_dataset(name, data=value).attrs.update(item.attrs)

    for path in folder.glob("*.weights.h5"):
        half = io.BytesIO()
        with h5py.File(path) as source, h5py.File(half, "w") as target:
            copy("/", source)
            source.visititems(copy)
        path.write_bytes(half.getbuffer())


def write_card(stage: Any, text: Any) -> None:
    """Writes the `README.md` of a folder, unless one was written by hand."""
    readme = stage.parent / "README.md"
    if not readme.exists() or KEPT in readme.read_text("utf-8"):
        (stage / readme.name).write_text(text, encoding="utf-8")


def _card(model, title, card):
    """The `README.md` of a preset; rows of `card` go before known ones."""
    rows, name = {**known_rows(model), **card}, type(model).__name__
    tags = f"pipeline_tag: {PIPELINES.get(name, 'fill-mask')}\n"
    if "licence" in rows:
        tags += f"license: {str(rows['licence']).lower()}\n"
    rows = "\n".join(f"| {row} | {value} |" for row, value in rows.items())
    return CARD.format(tags=tags, mark=MARK, title=title, name=name, rows=rows)


def known_rows(model: Any) -> dict[str, Any]:
    """What a task says about itself: names of rows to texts."""
    rows = {"parameters": f"{model.count_params():,}"}
    names = ("backbone", "generator", "preprocessor")
    parts = {name: getattr(model, name, None) for name in names}
    parts["tokenizer"] = getattr(model.preprocessor, "tokenizer", None)
    parts["task"] = model
    for row, part in parts.items():
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


def upload_preset(uri: str, preset: object) -> None:
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
