"""What is quantized or has adapters (LoRA) is saved and opened as it is.

Keras adds adapters to the kernel it saves, which is rounded again if quantized.
Here the configuration says what became of layers; adapters are saved beside.
"""

import gc
import json
import os

import h5py
import keras
import keras_hub


class KeepsAdapters:
    """Saves adapters beside the weights; mixed in before Keras' layer."""

    def save_own_variables(self, store):
        enabled, self.lora_enabled = self.lora_enabled, False
        super().save_own_variables(store)
        self.lora_enabled = enabled
        for weight in self._adapters():
            store[weight.name] = weight

    def load_own_variables(self, store):
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

    def get_config(self):
        return {**super().get_config(), **changes_in_config(self)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        changes = config.pop("changed_layers", {})
        model = super().from_config(config)
        _change_layers(model, changes)
        return model

    def with_plain_head(self):
        """This model, or one with a fresh head if its own was changed."""
        if not changes_in_config(self):
            return self
        parts = {"backbone": self.backbone, "preprocessor": self.preprocessor}
        config = {**self.get_config(), **parts, "changed_layers": {}}
        return type(self).from_config(config)

    def save_lora_weights(self, filepath):
        """Saves what learns beside frozen weights: adapters, biases, heads.

        Args:
            filepath: path of a file, which ends in `.lora.h5`.
        """
        adapters, (weights, learning) = _adapters_of(self), _named_weights(self)
        if not any(adapters.values()) or not str(filepath).endswith(".lora.h5"):
            raise ValueError(
                "Adapters, which `backbone.enable_lora(rank)` makes, are saved "
                f"to a file that ends in `.lora.h5`. Received: {filepath!r}, "
                f"adapters of {sum(map(len, adapters.values()))} layers."
            )
        part = f"{filepath}.part"
        with h5py.File(part, "w") as file:
            file.attrs["adapters"] = json.dumps(adapters)
            for name in learning:  # HDF5 has no bfloat16
                value = keras.ops.convert_to_numpy(weights[name])
                file[name] = value.astype("float32")
        os.replace(part, filepath)

    def load_lora_weights(self, filepath):
        """Restores what `save_lora_weights` saved, all else stays.

        A network without adapters gets them. KerasHub's own files have them
        only, no biases and heads.
        """
        networks = _networks(self)
        with h5py.File(filepath) as file:
            if "adapters" not in file.attrs:
                hub = keras_hub.models.Backbone
                return hub.load_lora_weights(networks["backbone"], filepath)
            values = {name: value[()] for name, value in file.items()}
            adapters = json.loads(file.attrs["adapters"])
        if not any(_adapters_of(self).values()):
            for name in networks.keys() & adapters.keys():
                _change_layers(networks[name], adapters[name])
        weights, learning = _named_weights(self)
        shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
        differ = {n for n, v in values.items() if v.shape != shapes.get(n)}
        differ = sorted(differ | learning - values.keys())
        if differ or _adapters_of(self) != adapters:
            raise ValueError(
                f"{filepath} is of another model, task or rank, or this one "
                f"has adapters elsewhere. Differ: {differ[:4]}. Load it into "
                "what it was saved from, before `enable_lora`."
            )
        for name, value in values.items():
            weights[name].assign(value)


def _layers_of(model):
    """All layers by their path, but for those of models in the model."""
    found = {}
    for top in model.layers:
        if isinstance(top, keras.Model) or not top.path:
            continue
        # It has another name where it comes from a pre-trainer.
        name = "head" if top is getattr(model, "head", None) else top.name
        for layer in top._flatten_layers():
            if layer.path and layer.path.startswith(top.path):
                found[name + layer.path.removeprefix(top.path)] = layer
    return found


def adaptable_layers(model):
    """Layers that can be quantized or have adapters, by their path."""
    layers = _layers_of(model).items()
    return {n: layer for n, layer in layers if hasattr(layer, "lora_enabled")}


def changes_in_config(model):
    """What became of layers, as part of a model's configuration, or `{}`."""
    changes = _adapters_of_own(model)
    for name, layer in adaptable_layers(model).items():
        if mode := layer.quantization_mode:
            how = layer.quantization_config or mode
            how = keras.saving.serialize_keras_object(how)
            changes.setdefault(name, {})["quantization"] = how
    return {"changed_layers": changes} if changes else {}


def _adapters_of_own(model):
    return {
        name: {"lora_rank": layer.lora_rank, "lora_alpha": layer.lora_alpha}
        for name, layer in adaptable_layers(model).items()
        if layer.lora_enabled
    }


def _change_layers(model, changes):
    """Does to layers what `changes_in_config` says, before weights load."""
    layers, adapted = adaptable_layers(model), {}
    gc.freeze()  # Keras collects garbage for every weight it takes off
    for name, change in changes.items():
        layer, how = layers[name], change.get("quantization")
        if how and not layer.quantization_mode:
            how = keras.saving.deserialize_keras_object(how)
            model.quantize(config=how, filters=lambda other: other is layer)
        if "lora_rank" in change and not layer.lora_enabled:
            adapted[layer] = change["lora_rank"], change["lora_alpha"]
    gc.unfreeze()
    if adapted and isinstance(model, keras_hub.models.Backbone):
        for layer in model._flatten_layers(include_self=False):
            layer.trainable = False
    for layer, settings in adapted.items():
        layer.trainable = True
        layer.enable_lora(*settings)


def _networks(model):
    """The networks in a model, or the only one, by name."""
    found = {n: getattr(model, n, None) for n in ("backbone", "generator")}
    found = {name: network for name, network in found.items() if network}
    return found or {"backbone": model}


def _adapters_of(model):
    networks = _networks(model).items()
    return {name: _adapters_of_own(network) for name, network in networks}


def _named_weights(model):
    """Weights by name, and names of what is trainable or part of a head."""
    weights, learning, seen = {}, set(), set()
    for part, network in {**_networks(model), "head": model}.items():
        own = {}  # by the innermost layer
        for name, layer in _layers_of(network).items():
            path = f"{part}/{name}".replace("/", ".")
            own |= {id(w): (f"{path}.{w.name}", w) for w in layer.weights}
        for key in own.keys() - seen:
            name, weight = own[key]
            weights[name] = weight
            if part == "head" or weight.trainable:
                learning.add(name)
        seen |= own.keys()
    return weights, learning
