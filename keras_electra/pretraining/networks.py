"""How the two networks of a pre-trainer go together, are saved and restored.

In a preset the backbone is the discriminator's, all else the task's weights.
"""

import typing
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_electra.arguments import KeepsArguments
from keras_electra.arguments import check_number
from keras_electra.arguments import check_option
from keras_electra.arguments import known_keywords
from keras_electra.model.adapted import AdaptableModel
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets_saving import SavesPresets
from keras_electra.pretraining.losses import DETECTION

OPTIONS = {
    "masking": ("token", "word", "span", "hard"),
    "objective": (*DETECTION, "replace_mlm", "all_tokens_mlm"),
    "discriminator_loss": ("cross_entropy", "balanced", "focal"),
    "share_embeddings": (True, False, "gdes"),
}
NUMBERS = "mask_fraction fill_fraction generator_weight discriminator_weight"


def check_arguments(given: dict[str, Any]) -> None:
    """Raises unless these of `ElectraPretrainer` are right and go together."""
    low, high = given["mask_range"]
    below = {"at_most": 1} if low != high else {"below": 1}
    check_number("mask_fraction", low, above=0, below=1)
    check_number("mask_fraction", high, at_least=low, **below)
    for name in ("fill_fraction", "mask_token_rate"):
        check_number(name, given[name], at_least=0, at_most=1)
    most = round(1 - given["mask_token_rate"], 9)
    rate = given["random_token_rate"]
    check_number("random_token_rate", rate, at_least=0, at_most=most)
    if not callable(given["temperature"]):
        check_number("temperature", given["temperature"], above=0)
    for name, options in OPTIONS.items():
        check_option(name, given[name], options)
    generator, objective = given["generator"], given["objective"]
    is_apart = generator is not None and generator is not given["backbone"]
    no_judge, shares = not given["discriminator_weight"], "share_embeddings"
    electric, is_mlm = objective == "electric", objective.endswith("mlm")
    is_range = isinstance(given["mask_fraction"], tuple)
    uneven = is_range or given["fill_fraction"] < 1
    uneven = uneven or given["masking"] != "token"
    by_words = given["masking"] in ("word", "span")
    no_text = getattr(given["preprocessor"], "tokenizer", None) is None
    frozen = not given["generator_weight"] and is_apart
    for advice, is_wrong in {
        'Electric needs `ElectraTwoTowers`, of `generator="towers"`': (
            electric and not isinstance(generator, ElectraTwoTowers)
        ),
        "Electric's noise is as likely for all tokens": electric and uneven,
        "Without a discriminator it has no objective": (
            no_judge and objective != "detection"
        ),
        "There is no detection whose loss this could be": (
            given["discriminator_loss"] != "cross_entropy"
            and (is_mlm or no_judge)
        ),
        "A generator is frozen with embeddings of its own, not shared": (
            frozen and given[shares] is True
        ),
        "GDES needs two networks": given[shares] == "gdes" and not is_apart,
        "Words need a `preprocessor` with a tokenizer": by_words and no_text,
    }.items():
        if is_wrong:
            names = *OPTIONS, *NUMBERS.split()
            received = ", ".join(f"{n}={given[n]!r}" for n in names)
            raise ValueError(f"{advice}. Received: {received}.")


def prepare_generator(backbone, generator, share_embeddings):
    """`generator`, or a copy, with the embeddings of `backbone` or its own."""
    if generator is None or generator is backbone:
        return generator
    if generator.vocabulary_size != backbone.vocabulary_size:
        raise ValueError(
            "`generator` and `backbone` must have the same "
            f"`vocabulary_size`. Received: {generator.vocabulary_size} and "
            f"{backbone.vocabulary_size}. Train both with one tokenizer."
        )
    is_shared = generator.embeddings is backbone.embeddings
    if is_shared and share_embeddings is not True:
        raise ValueError(
            f"`share_embeddings={share_embeddings!r}` needs a `generator` with "
            "embeddings of its own: `generator.with_embeddings(None)`. "
            "Received one that was built with the backbone's."
        )
    if share_embeddings is True and not is_shared:
        if isinstance(generator, ElectraTwoTowers):
            raise ValueError(
                "`ElectraTwoTowers` shares the embeddings that it is built "
                "with, `embeddings=backbone.embeddings`. Received others: "
                "build it with these, or pass `share_embeddings=False`."
            )
        return generator.with_embeddings(backbone.embeddings, "generator")
    path = generator.weights[0].path
    if not is_shared and not path.startswith("generator/"):
        # Optimizers and norms know variables by their paths.
        own = generator.embeddings.get_weights()
        generator = generator.with_embeddings(None, "generator")
        generator.embeddings.set_weights(own)
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


class DisentangledTokens(keras.layers.Layer):
    """Sharing by which the discriminator does not change the generator's table.

    In training a token's vector for the discriminator is the generator's,
    without a gradient, and a difference, which is learnt (GDES, DeBERTaV3, He
    et al., ICLR 2023, section 3.3). After each step the discriminator's table
    is their sum, so that it is saved and read as a plain network.
    """

    def __init__(self, own: Any, base: Any, **kwargs: Any):
        super().__init__(**kwargs)
        shape = own.vocabulary_size, own.embedding_dim
        if base.embedding_dim != own.embedding_dim:
            raise ValueError(
                '`share_embeddings="gdes"` needs two networks with the same '
                f"`embedding_dim`. Received: {shape[1]} and "
                f"{base.embedding_dim}."
            )
        own.look_up = lambda token_ids: ops.cast(
            ops.take(self.whole(fixed=True), token_ids, axis=0),
            own.compute_dtype,
        )
        tables = [x.token_embedding.embeddings for x in (own, base)]
        tables[0].constraint = lambda table: self.whole()
        self.tables = lambda: tables  # which are not weights of this one
        self.difference = self.add_weight(shape, "zeros", name="difference")
        self.built = True
        self.follow()

    def whole(self, fixed=False):
        """What the discriminator's table has to be."""
        base = ops.convert_to_tensor(self.tables()[1])
        return (ops.stop_gradient(base) if fixed else base) + self.difference

    def follow(self) -> None:
        """Takes the difference from the tables, if these were changed."""
        whole, own, base = map(
            ops.convert_to_numpy, (self.whole(), *self.tables())
        )
        if (own != whole).any():
            self.difference.assign(own - base)


def name_generator():
    """The scope of a generator's weights; entered twice it counts once."""
    return keras.name_scope("generator", caller=ElectraTwoTowers)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTwoTowers(keras.Model):
    """Electric's generator: two networks that do not see what they predict.

    One reads from the left and one from the right, so all tokens are predicted
    at once, unmasked (Clark et al., EMNLP 2020, section 2.4). Arguments are
    those of `ElectraBackbone`, for each; it is called as they are.
    `sequence_output`, `(batch, length, 2 * hidden_dim)`, has at each token what
    is known of those before and of those after, beside [CLS] and [SEP] also of
    the other end of the row, as in the original.
    """

    @known_keywords(ElectraBackbone.__init__, "name", "trainable")
    def __init__(self, *args, embeddings=None, name="generator", **kwargs):
        states, towers = [], []
        for direction, part in ((1, "left"), (-1, "right")):
            with name_generator(), keras.name_scope(part):
                given = {"embeddings": embeddings, "name": part, **kwargs}
                tower = ElectraBackbone(*args, **given)
            for layer in tower.transformer_layers:
                layer.attention.direction = direction
            x = tower(towers[0].input if towers else tower.input)
            states.append(ops.roll(x["sequence_output"], direction, axis=1))
            towers.append(tower)
        left, x = towers[0], ops.concatenate(states, axis=-1)
        super().__init__(left.input, {"sequence_output": x}, name=name)
        self.left, self.right = towers
        self.dtype_policy, self.embeddings = left.dtype_policy, left.embeddings
        for name in ("vocabulary_size", "activation", "initializer_range"):
            setattr(self, name, getattr(left, name))

    def get_config(self) -> dict[str, object]:
        return {**self.left.get_config(), "name": self.name}


def make_networks(sizes, generator, shares, **common):
    """Both networks of a size, for `ElectraPretrainer.from_size`."""
    name = "discriminator"
    backbone = ElectraBackbone(**sizes.discriminator(), **common, name=name)
    if generator == "backbone":
        return backbone, backbone
    own = sizes.discriminator if generator == "full" else sizes.generator
    cls = ElectraTwoTowers if generator == "towers" else ElectraBackbone
    if shares is True:
        common["embeddings"] = backbone.embeddings
    with name_generator():
        generator = cls(**own(), **common, name="generator")
    if shares == "gdes":  # both begin alike
        generator.embeddings.set_weights(backbone.embeddings.get_weights())
    return backbone, generator


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

    def with_positions(self, max_sequence_length: int) -> keras.Model:
        """A copy, to be compiled, for rows of up to so many tokens.

        Short rows train several times as fast, long ones at the end: its
        positions go on with those there are, again from the first.
        """
        config, length = self.get_config(), max_sequence_length
        for part in (config["backbone"], config["generator"]):
            if isinstance(part, dict):
                part["config"] |= {"max_sequence_length": length}
        if (text := self.preprocessor) is not None:
            own = {"tokenizer": text.tokenizer, "sequence_length": length}
            text = type(text).from_config({**text.get_config(), **own})
            config["preprocessor"] = text
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
        backbone, generator = config["backbone"], config["generator"]
        if generator == "backbone":
            config["generator"] = backbone
        elif isinstance(generator, dict):
            # `from_preset(dtype=...)` speaks of the backbone only.
            own = {**generator["config"], "dtype": backbone.dtype_policy}
            if config.get("share_embeddings", True) is True:
                own["embeddings"] = backbone.embeddings
            generator = {**generator, "config": own}
            with name_generator():
                config["generator"] = keras.layers.deserialize(generator)
        return super().from_config(config)
