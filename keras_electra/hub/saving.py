"""How tasks are saved and exported: whole, or not at all."""

import json
import os
import pathlib
import shutil
import uuid

import keras

from keras_electra.conversion import export
from keras_electra.hub.half_precision import check_weights_dtype
from keras_electra.hub.half_precision import store_in_half
from keras_electra.hub.model_card import may_be_written
from keras_electra.hub.model_card import write_card
from keras_electra.hub.opening import ForeignPresets


def atomic_save_to_preset(save, preset_dir, **kwargs):
    """Saves a preset so that a failure leaves the folder as it was.

    All files are written to a new subfolder first (on the same disk whatever
    the folder is mounted on) and then moved, `config.json` last: without it
    no folder is taken for a preset. Weights and `task.json` of an earlier
    preset that the new one does not overwrite are removed, other files stay.

    Args:
        save: function of a folder and `**kwargs`, such as `save_to_preset`
            of a KerasHub class.
        preset_dir: path of the folder, which need not exist.
        **kwargs: passed to `save`.
    """
    target = pathlib.Path(preset_dir)
    existed = target.is_dir()
    target.mkdir(parents=True, exist_ok=True)
    written = target / f".saving-{uuid.uuid4().hex[:8]}"
    written.mkdir()
    try:
        save(str(written), **kwargs)
        files = [path for path in written.rglob("*") if path.is_file()]
        files.sort(key=lambda path: (path.name == "config.json", path))
        names = {path.relative_to(written) for path in files}
        if pathlib.Path("config.json") in names:
            stale = [*target.glob("*.weights.*"), target / "task.json"]
            for path in stale:
                if path.relative_to(target) not in names:
                    path.unlink(missing_ok=True)
        for path in files:
            place = target / path.relative_to(written)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)
    finally:
        shutil.rmtree(written, ignore_errors=True)
        if not existed and not any(target.iterdir()):
            target.rmdir()


class PresetSaving(ForeignPresets):
    """How our tasks are saved and exported: safely, without optimizers.

    To be mixed into a KerasHub task, before its base class. KerasHub would
    save the state of the optimizer too, which is twice as large as the network
    and of no use in a preset; `.keras` files have it.
    """

    # Which functions of `conversion.export` write it.
    exported_as = "task"

    def export_to_transformers(self, folder):
        """Writes the model so that Hugging Face's package opens it.

        Weights (safetensors, float32), configuration and tokenizer. A
        classifier with the original's head becomes one with that package's
        that computes the same; `from_preset` recognizes it. A pre-trainer
        makes two folders, `discriminator` and `generator`.

        Args:
            folder: path of the folder, made if need be. A failure leaves in
                it what was there before.

        Raises:
            ValueError: when that package has no such model.
        """
        self._export("to_transformers", folder)

    def export_to_tf1(self, folder):
        """Writes a checkpoint of TensorFlow 1 for Google's original program.

        Its variables have the original's names and shapes. Of a task it holds
        the encoder, of a detector or masked language model also the head.

        Args:
            folder: path of the folder, made if need be. A failure leaves in
                it what was there before.

        Raises:
            ValueError: when the original has no such network.
        """
        self._export("to_google", folder)

    def export_to_keras_hub(self, folder):
        """Writes the encoder as a preset of KerasHub's `ElectraBackbone`.

        KerasHub computes the tanh form of GELU whatever the network was
        trained with, which changes numbers slightly, and adds a pooler with
        random weights. A pre-trainer makes two folders, `discriminator` and
        `generator`.

        Args:
            folder: path of the folder, made if need be. A failure leaves in
                it what was there before.

        Raises:
            ValueError: when KerasHub has no such network.
        """
        self._export("to_kerashub", folder)

    def _export(self, form, folder):
        write = getattr(export, f"{self.exported_as}_{form}")
        atomic_save_to_preset(
            lambda path: write(self, pathlib.Path(path)), folder
        )

    def save_to_preset(
        self, preset_dir, max_shard_size=10, card=None, weights_dtype="float32"
    ):
        """Saves to a folder; a full disk leaves what was there before.

        A `README.md` says what the model is; one that was written by hand
        stays.

        Args:
            preset_dir: path of the folder.
            max_shard_size: float or `None`. Largest file of weights, in GB.
                Defaults to `10`.
            card: dict or `None`. More rows of the `README.md`, such as
                `{"corpus": "...", "licence": "apache-2.0"}`.
            weights_dtype: string. Precision of the weights on disk,
                `"float32"` or `"float16"`: half the size, for a network that
                is the same to rounding. Defaults to `"float32"`.

        Raises:
            ValueError: when there is no such `weights_dtype`, or a weight is
                too large for it.
        """
        check_weights_dtype(weights_dtype)
        folder, save = pathlib.Path(preset_dir), super().save_to_preset

        def save_with_card(path, **kwargs):
            save(path, **kwargs)
            _name_precision_of_weights(pathlib.Path(path) / "config.json")
            if weights_dtype == "float16":
                store_in_half(pathlib.Path(path))
            if may_be_written(folder):
                title = folder.resolve().name
                write_card(self, pathlib.Path(path), title, card)

        atomic_save_to_preset(
            save_with_card, preset_dir, max_shard_size=max_shard_size
        )

    def save_task_weights(self, filepath):
        """Saves what the task has beside its backbone."""
        keras.saving.save_weights(
            self, filepath, objects_to_skip=self._outside_task_weights()
        )

    def load_task_weights(self, filepath):
        """Loads what `save_task_weights` of the same class saved."""
        keras.saving.load_weights(
            self, filepath, objects_to_skip=self._outside_task_weights()
        )

    def _outside_task_weights(self):
        optimizer = getattr(self, "optimizer", None)  # none if not compiled
        layers = self.backbone._flatten_layers()
        return [*layers, *filter(None, [optimizer])]


def _name_precision_of_weights(path):
    """Writes `float32` in place of mixed precision, which weights are in.

    A preset opens in the precision that is set by then, whatever it was saved
    under. KerasHub does not know the names of mixed precision (its
    `is_float_dtype` raises), and no task opens such a preset.
    """
    config = json.loads(path.read_text(encoding="utf-8"))
    policy = (config["config"].get("dtype") or {}).get("config", {})
    if policy.get("name", "").startswith("mixed_"):
        policy["name"] = "float32"
        path.write_text(json.dumps(config, indent=4), encoding="utf-8")
