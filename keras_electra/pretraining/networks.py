"""How the two networks of a pre-trainer go together, are saved and restored.

In a preset the backbone is the discriminator's, all else the task's weights.
"""

import typing

import keras

from keras_electra.arguments import KeepsArguments
from keras_electra.model.adapted import AdaptableModel
from keras_electra.presets_saving import SavesPresets


def prepare_generator(backbone, generator, share_embeddings):
    """`generator`, or a copy of it with the embeddings of `backbone`."""
    if generator is None or generator is backbone:
        return generator
    if generator.vocabulary_size != backbone.vocabulary_size:
        raise ValueError(
            "`generator` and `backbone` must have the same "
            f"`vocabulary_size`. Received: {generator.vocabulary_size} and "
            f"{backbone.vocabulary_size}. Train both with one tokenizer."
        )
    is_shared = generator.embeddings is backbone.embeddings
    if share_embeddings and not is_shared:
        return generator.with_embeddings(backbone.embeddings, name="generator")
    if is_shared and not share_embeddings:
        raise ValueError(
            "`share_embeddings=False` needs a `generator` with embeddings of "
            "its own: `generator.with_embeddings(None)`. Received one that was "
            "built with the backbone's."
        )
    return generator


def special_ids(preprocessor, mask_token_id, unselectable_token_ids):
    """Special ids as they were given, or else as the tokenizer has them."""
    tokenizer = getattr(preprocessor, "tokenizer", None)
    names = ("mask", "cls", "sep", "pad")
    ids = [getattr(tokenizer, f"{name}_token_id", None) for name in names]
    if mask_token_id is None:
        mask_token_id = ids[0]
    if unselectable_token_ids is None:
        unselectable_token_ids = ids
    if mask_token_id is None or None in unselectable_token_ids:
        raise ValueError(
            "`mask_token_id` and `unselectable_token_ids` must be given. "
            "Received no `preprocessor` with a tokenizer to take them from."
        )
    return int(mask_token_id), sorted({int(i) for i in unselectable_token_ids})


class PretrainingSaving(KeepsArguments, AdaptableModel, SavesPresets):
    """Presets and configuration of `ElectraPretrainer`."""

    unsaved = ("backbone", "generator", "preprocessor")
    places = ("discriminator", "generator")

    @classmethod
    def from_preset(
        cls,
        preset: object = None,
        load_weights: bool = True,
        discriminator: object = None,
        generator: object = None,
        **kwargs: object,
    ) -> typing.Any:
        """Opens a preset, or a discriminator and a generator from anywhere.

        Args:
            preset: string or path. A built-in name, a folder, the prefix of a
                TF1 checkpoint, or a handle such as `"hf://user/model"`. One
                without a generator gets a fresh one of the paper's size.
            load_weights: bool, whether to load the weights.
            discriminator: where the discriminator is, in place of `preset`.
            generator: where the generator is; by default beside it.
            **kwargs: of constructor, preprocessor and tokenizer. By default
                embeddings are shared if sizes permit: `conversion_summary`.
        """
        if (preset is None) == (discriminator is None):
            raise ValueError(
                "Either `preset` or `discriminator` must be given. Received: "
                f"preset={preset!r}, discriminator={discriminator!r}."
            )
        parts = {"discriminator": discriminator, "generator": generator}
        parts = {name: part for name, part in parts.items() if part}
        return super().from_preset(preset, load_weights, **kwargs, **parts)

    def get_config(self) -> dict[str, object]:
        config = super().get_config()
        config["generator"] = "backbone"
        if self.generator is not self.backbone:
            config["generator"] = keras.layers.serialize(self.generator)
        return config

    @classmethod
    def from_config(cls, config: dict[str, object]) -> object:
        config = dict(config)
        if "forbid_correct" in config:  # as it was called before
            config["disallow_correct"] = config.pop("forbid_correct")
        if isinstance(config["backbone"], dict):
            config["backbone"] = keras.layers.deserialize(config["backbone"])
        if config["generator"] == "backbone":
            config["generator"] = config["backbone"]
        elif isinstance(config["generator"], dict):
            # `from_preset(dtype=...)` speaks of the backbone only.
            dtype = config["backbone"].dtype_policy
            generator = dict(config["generator"])
            generator["config"] = {**generator["config"], "dtype": dtype}
            config["generator"] = keras.layers.deserialize(generator)
        return super().from_config(config)
