"""What is quantized or has adapters (LoRA) is saved and opened as it is.

Keras adds adapters to the kernel it saves, which is rounded again if quantized.
Here the configuration says what became of layers; adapters are saved beside.
"""

import functools
import gc
import io
import json
import pathlib
import warnings
import zlib
from typing import Any

import h5py
import keras
import keras_hub
import numpy as np

from keras_electra.arguments import local_folder
from keras_electra.backend.files import write_file
from keras_electra.presets import WRONG
from keras_electra.presets_saving import check_finite


class KeepsAdapters:
    """Saves adapters beside the weights; mixed in before Keras' layer."""

    def save_own_variables(self, store: Any) -> None:
        enabled, self.lora_enabled = self.lora_enabled, False
        super().save_own_variables(store)
        self.lora_enabled: bool = enabled
        for weight in self._adapters():
            store[weight.name] = weight

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        for weight in self._adapters():
            if weight.name in store.keys():  # else they are part of the kernel
                weight.assign(store[weight.name])

    def _adapters(self):
        return [w for w in self.weights if w.name.startswith("lora_")]


@keras.saving.register_keras_serializable(package="keras_electra")
class Dense(KeepsAdapters, keras.layers.Dense):
    def quantize(self, mode=None, type_check=True, config=None):
        super().quantize(mode, type_check=False, config=config)


@keras.saving.register_keras_serializable(package="keras_electra")
class ReversibleEmbedding(KeepsAdapters, keras_hub.layers.ReversibleEmbedding):
    pass  # `quantize` leaves it as it is


class AdaptableModel:
    """Saves what its layers became; mixed in before KerasHub's class."""

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), **changes_in_config(self)}

    @classmethod
    def from_config(cls, config: dict[str, object]) -> object:
        config = dict(config)
        changes = config.pop("changed_layers", {})
        model = super().from_config(config)
        _change_layers(model, changes)
        return model

    def with_plain_head(self) -> keras.Model:
        """This model, or one with a fresh head if its own was changed."""
        parts = {"backbone": self.backbone, "preprocessor": self.preprocessor}
        config = {**self.get_config(), **parts}
        changed = config.pop("changed_layers", None)
        return type(self).from_config(config) if changed else self

    def save_lora_weights(self, filepath: str) -> None:
        """Saves what learns beside frozen weights: adapters, biases, heads.

        Args:
            filepath: path of a file, which ends in `.lora.h5`.
        """
        adapters = _adapters_of(self)
        if not any(adapters.values()) or not str(filepath).endswith(".lora.h5"):
            raise ValueError(
                "Adapters, which `backbone.enable_lora(rank)` makes, are saved "
                f"to a file that ends in `.lora.h5`. Received: {filepath!r}, "
                f"adapters of {sum(map(len, adapters.values()))} layers."
            )
        check_finite(self)
        path = local_folder("filepath", filepath)
        with h5py.File(content := io.BytesIO(), "w") as file:
            file.attrs["adapters"] = json.dumps(adapters)
            file.attrs["base"] = _base_of(self)
            for name, weight in _learning(self).items():
                value = keras.ops.convert_to_numpy(weight)
                value = value.astype("float32")  # HDF5 has no bfloat16
                file.create_dataset(name, data=value, fletcher32=True)
        write_file(path, content.getbuffer())  # HDF5 crashes on a full disk

    def load_lora_weights(self, filepath: str) -> None:
        """Restores what `save_lora_weights` saved, all else stays.

        A network without adapters gets them. KerasHub's own files have them
        only, no biases and heads.
        """
        networks, content = _networks(self), pathlib.Path(filepath).read_bytes()
        try:
            with h5py.File(io.BytesIO(content)) as file:
                if "adapters" not in file.attrs:
                    hub = keras_hub.models.Backbone
                    return hub.load_lora_weights(networks["backbone"], filepath)
                values = {name: value[()] for name, value in file.items()}
                adapters = json.loads(file.attrs["adapters"])
                base = file.attrs.get("base", "")
        except (OSError, RuntimeError, ValueError, *WRONG) as error:
            raise ValueError(f"{filepath} is damaged: {error}") from error
        if not any(_adapters_of(self).values()):
            for name in networks.keys() & adapters.keys():
                _change_layers(networks[name], adapters[name])
        weights = _learning(self)
        mine = {(name, tuple(w.shape)) for name, w in weights.items()}
        differ = mine ^ {(name, v.shape) for name, v in values.items()}
        if differ or _adapters_of(self) != adapters:
            raise ValueError(
                f"{filepath} is of another model, task or rank, or other parts "
                f"learn here. Differ: {sorted(differ)[:2]}. Load it into what "
                "it was saved from, before `enable_lora`."
            )
        for name, value in values.items():
            weights[name].assign(value)
        if base not in ("", _base_of(self)):
            warnings.warn(
                f"The adapters in {filepath} were trained beside other frozen "
                "weights than are here: load them into the same ones.",
                stacklevel=2,
            )


def adaptable_layers(model: Any) -> Any:
    """Layers that can be quantized or have adapters, by their path.

    Those of models in the model are left to these.
    """
    found = {}
    for top in model.layers:
        # It has another name where it comes from a pre-trainer.
        name = "head" if top is getattr(model, "head", None) else top.name
        is_model = isinstance(top, keras.Model) or not top.path
        for layer in () if is_model else top._flatten_layers():
            is_one = hasattr(layer, "lora_enabled")
            if is_one and layer.path.startswith(top.path):
                found[name + layer.path.removeprefix(top.path)] = layer
    return found


def changes_in_config(model: Any) -> dict[str, Any]:
    """What became of layers, as part of a model's configuration, or `{}`."""
    changes = _changes(model)
    return {"changed_layers": changes} if changes else {}


def _changes(model, adapters_only=False):
    changes = {}
    for name, layer in adaptable_layers(model).items():
        how = layer.quantization_config or layer.quantization_mode
        if how and not adapters_only:
            how = keras.saving.serialize_keras_object(how)
            changes[name] = {"quantization": how}
        if layer.lora_enabled:
            settings = [layer.lora_rank, layer.lora_alpha]
            changes.setdefault(name, {})["adapter"] = settings
    return changes


def _change_layers(model, changes):
    """Does to layers what `changes_in_config` says, before weights load."""
    layers = adaptable_layers(model)
    gc.freeze()  # Keras collects garbage for every weight it takes off
    for name, change in changes.items():
        layer, how = layers[name], change.get("quantization")
        if how and not layer.quantization_mode:
            how = keras.saving.deserialize_keras_object(how)
            model.quantize(config=how, filters=lambda other: other is layer)
    gc.unfreeze()
    adapters = {
        layers[n]: c["adapter"] for n, c in changes.items() if "adapter" in c
    }
    if adapters and isinstance(model, keras_hub.models.Backbone):
        for layer in model._flatten_layers(include_self=False):
            layer.trainable = False
    for layer, settings in adapters.items():
        layer.trainable = True
        if not layer.lora_enabled:
            layer.enable_lora(*settings)


def _networks(model):
    """The networks in a model, or the only one, by name."""
    found = {n: getattr(model, n, None) for n in ("backbone", "generator")}
    return {n: x for n, x in found.items() if x} or {"backbone": model}


def _adapters_of(model):
    return {n: _changes(x, True) for n, x in _networks(model).items()}


def _base_of(model):
    """A checksum of the weights beside `_learning`, 8 hex digits."""
    learning = {id(weight) for weight in _learning(model).values()}
    frozen = [w for w in model.weights if id(w) not in learning]
    arrays = map(np.ascontiguousarray, map(keras.ops.convert_to_numpy, frozen))
    return f"{functools.reduce(lambda c, a: zlib.crc32(a, c), arrays, 0):08x}"


def _learning(model):
    """Weights that are trainable or of a head, by place and path."""
    networks = _networks(model).values()
    frozen = {id(w) for n in networks for w in n.weights if not w.trainable}
    found = [w for w in model.weights if id(w) not in frozen]
    names = [f"{i:03} {w.path}".replace("/", ".") for i, w in enumerate(found)]
    return dict(zip(names, found))
