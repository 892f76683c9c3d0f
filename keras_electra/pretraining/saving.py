"""How the pre-trainer is saved and restored.

A preset of a pre-trainer is an ordinary preset of KerasHub: the backbone is
the discriminator's, and generator and heads are the weights of the task. What
the networks share is in the configuration, because Keras restores layers but
not that two networks have one in common.
"""

import keras

from keras_electra import presets


class PretrainingSaving(presets.PresetSaving):
    """Presets and configuration of `ElectraPretrainer`.

    Every class of this package opens the folder of a preset: fine-tuning
    tasks take the discriminator, `ElectraMaskedLM` the generator.
    """

    def get_config(self):
        config = super().get_config()
        generator = self.generator
        if generator is self.backbone:
            generator = "backbone"
        elif generator is not None:
            generator = keras.layers.serialize(generator)
        config.update(
            {
                "generator": generator,
                "mask_fraction": self.mask_fraction,
                "mask_token_rate": self.mask_token_rate,
                "generator_weight": self.generator_weight,
                "discriminator_weight": self.discriminator_weight,
                "temperature": self.temperature,
                "forbid_correct": self.forbid_correct,
                "share_embeddings": self.share_embeddings,
                "mask_token_id": self.mask_token_id,
                "unselectable_token_ids": self.unselectable_token_ids,
                "seed": self.seed,
            }
        )
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config["backbone"], dict):
            config["backbone"] = keras.layers.deserialize(config["backbone"])
        if config["generator"] == "backbone":
            config["generator"] = config["backbone"]
        elif isinstance(config["generator"], dict):
            generator = dict(config["generator"])
            # `from_preset(dtype=...)` speaks of the backbone only.
            generator["config"] = {
                **generator["config"],
                "dtype": config["backbone"].dtype_policy,
            }
            config["generator"] = keras.layers.deserialize(generator)
        return super().from_config(config)
