"""How the two networks of a pre-trainer go together, are saved and restored.

In a preset the backbone is the discriminator's, all else the task's weights.
"""

import typing
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_electra.arguments import KeepsArguments
from keras_electra.model.adapted import AdaptableModel
from keras_electra.model.backbone import ElectraBackbone
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
    if share_embeddings is True and not is_shared:
        return generator.with_embeddings(backbone.embeddings, name="generator")
    if is_shared and share_embeddings is not True:
        raise ValueError(
            f"`share_embeddings={share_embeddings!r}` needs a `generator` with "
            "embeddings of its own: `generator.with_embeddings(None)`. "
            "Received one that was built with the backbone's."
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


def continuing_ids(preprocessor: Any, masking: Any) -> Any:
    """Whether an id goes on with the word before, a bool array `(ids,)`."""
    tokenizer = getattr(preprocessor, "tokenizer", None)
    tokens = [] if tokenizer is None else tokenizer.get_vocabulary()
    continues = np.array([token.startswith("##") for token in tokens])
    if not (continues.size if masking == "hard" else continues.any()):
        raise ValueError(
            f"`masking={masking!r}` needs a `preprocessor` with a tokenizer, "
            'of words and spans one whose parts of words begin with "##". '
            f"Received one of {len(tokens)} tokens, or none."
        )
    return continues


class DisentangledTokens(keras.layers.Layer):
    """Sharing by which only the generator changes what both have in common.

    In training a token's vector for the discriminator is the generator's,
    without a gradient, and an own difference, which is learnt (GDES, DeBERTaV3,
    He et al. 2021, section 3.3). After each step the discriminator's table is
    their sum, so that the network is a plain one. Called with ids, as it gives.
    """

    def __init__(self, own: Any, base: Any, **kwargs: Any):
        super().__init__(**kwargs)
        sizes = [(x.vocabulary_size, x.embedding_dim) for x in (own, base)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                '`share_embeddings="gdes"` needs two networks with the same '
                f"`embedding_dim`. Received: {sizes[0][1]} and {sizes[1][1]}."
            )
        own.look_up = self.look_up
        own, base = (x.token_embedding for x in (own, base))
        self.tables = lambda: (own.embeddings, base)  # not weights of this one
        self.difference = self.add_weight(sizes[0], "zeros", name="difference")
        own.embeddings.constraint = self.whole
        self.built = True
        self.follow()

    def call(self, token_ids: Any) -> Any:
        return token_ids

    def look_up(self, token_ids: Any) -> Any:
        shared = ops.stop_gradient(self.tables()[1](token_ids))
        own = ops.take(self.difference, token_ids, axis=0)
        return shared + ops.cast(own, shared.dtype)

    def whole(self, table: Any = None) -> Any:
        """What the discriminator's table has to be."""
        return self.tables()[1].embeddings + self.difference

    def follow(self) -> None:
        """Takes the difference from the tables, if these were changed."""
        own, base = self.tables()
        values = map(ops.convert_to_numpy, (own, self.whole(), base.embeddings))
        own, whole, base = values
        if (own != whole).any():
            self.difference.assign(own - base)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTwoTowers(keras.Model):
    """Electric's generator: two networks that do not see what they predict.

    One `ElectraBackbone` reads from the left and one from the right, so all
    tokens are predicted at once, unmasked (Clark et al. 2020, section 2.4).
    Called as these are; `sequence_output`, `(batch, length, 2 * hidden_dim)`,
    has at each token what `left` knows of those before and `right` of those
    after. The first and last, special ones, are neighbours, as in the original.
    `left` has the embeddings of the output.
    """

    def __init__(self, left: Any, right: Any, **kwargs: Any):
        inputs, states = left.input, []
        for tower, direction in ((left, 1), (right, -1)):
            for layer in tower.transformer_layers:
                layer.attention.direction = direction
            x = tower(inputs)["sequence_output"]
            states.append(ops.roll(x, direction, axis=1))
        x = ops.concatenate(states, axis=-1)
        super().__init__(inputs, {"sequence_output": x}, **kwargs)
        self.left, self.right = left, right
        self.dtype_policy, self.embeddings = left.dtype_policy, left.embeddings
        for name in ("vocabulary_size", "activation", "initializer_range"):
            setattr(self, name, getattr(left, name))

    def with_embeddings(self, embeddings: Any, name: str | None = None) -> Any:
        """A copy with embeddings that both share, and the same weights."""
        with keras.name_scope(name := name or self.name):
            towers = [
                tower.with_embeddings(embeddings, name=tower.name)
                for tower in (self.left, self.right)
            ]
        return type(self)(*towers, name=name)

    def get_config(self) -> dict[str, Any]:
        left, right = map(keras.layers.serialize, (self.left, self.right))
        return {"name": self.name, "left": left, "right": right}

    @classmethod
    def from_config(cls, config: Any) -> Any:
        towers = []
        for name in ("left", "right"):
            own = dict(config[name]["config"])
            own["dtype"] = config.get("dtype", own["dtype"])
            towers.append(ElectraBackbone.from_config(own))
        return cls(*towers, name=config["name"])


def make_networks(sizes, generator, shares, **common):
    """Both networks of a size, for `ElectraPretrainer.from_size`."""
    backbone = ElectraBackbone(
        **sizes.discriminator(), **common, name="discriminator"
    )
    own = sizes.discriminator if generator == "full" else sizes.generator
    if shares is True:
        common["embeddings"] = backbone.embeddings

    def make(name):
        with keras.name_scope(name):
            return ElectraBackbone(**own(), **common, name=name)

    if generator == "backbone":
        return backbone, backbone
    if generator == "towers":
        with keras.name_scope("generator"):
            towers = make("left"), make("right")
        generator = ElectraTwoTowers(*towers, name="generator")
    else:
        generator = make("generator")
    if shares == "gdes":  # both begin alike
        generator.embeddings.set_weights(backbone.embeddings.get_weights())
    return backbone, generator


class PretrainingSaving(KeepsArguments, AdaptableModel, SavesPresets):
    """Presets and configuration of `ElectraPretrainer`."""

    unsaved: tuple[str, ...] = ("backbone", "generator", "preprocessor")
    places: tuple[str, ...] = ("discriminator", "generator")

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

    def with_positions(self, max_sequence_length: int) -> keras.Model:
        """A copy, to be compiled, for rows of up to so many tokens.

        Short rows train several times as fast, long ones at the end: its
        positions go on with those there are, again from the first.
        """
        config = self.get_config()
        for part in (config["backbone"], config["generator"]):
            if isinstance(part, dict):
                own = {"max_sequence_length": max_sequence_length}
                part["config"] = {**part["config"], **own}
        if config.get("preprocessor"):
            text = config["preprocessor"]["config"]
            text["sequence_length"] = max_sequence_length
        copy = type(self).from_config(config)
        for mine, theirs in zip(self.weights, copy.weights):
            value = ops.convert_to_numpy(mine)
            theirs.assign(np.resize(value, theirs.shape))
        return copy

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
        if isinstance(config.get("temperature"), dict):
            schedule = keras.optimizers.schedules.deserialize
            config["temperature"] = schedule(config["temperature"])
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
