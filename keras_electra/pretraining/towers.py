"""Electric's generator: two networks that never see the token they predict.

One reads from the left and one from the right, so that all tokens of a text
are predicted at once, none of them masked (Clark et al. 2020, section 2.4).
"""

import keras
from keras import ops

from keras_electra.model.backbone import ElectraBackbone


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTwoTowers(keras.Model):
    """A generator of two `ElectraBackbone`s, which from then on read one way.

    Called as these are: `sequence_output` is `(batch, length, 2 * hidden_dim)`,
    at each token what `left` knows of those before and `right` of those after.
    The first and the last token are beside each other, as in the original:
    they are special ones. `left` has the embeddings of the output.
    """

    def __init__(self, left, right, **kwargs):
        inputs, states = left.input, []
        for tower, direction in ((left, 1), (right, -1)):
            for layer in tower.transformer_layers:
                layer.attention.direction = direction
            x = tower(inputs)["sequence_output"]
            states.append(ops.roll(x, direction, axis=1))
        x = ops.concatenate(states, axis=-1)
        super().__init__(inputs, {"sequence_output": x}, **kwargs)
        self.dtype_policy = left.dtype_policy
        self.left, self.right = left, right
        self.embeddings = left.embeddings
        self.vocabulary_size = left.vocabulary_size
        self.activation = left.activation
        self.initializer_range = left.initializer_range

    def with_embeddings(self, embeddings, name=None):
        """A copy with embeddings that both share, and the same weights."""
        with keras.name_scope(name := name or self.name):
            towers = [
                tower.with_embeddings(embeddings, name=tower.name)
                for tower in (self.left, self.right)
            ]
        return type(self)(*towers, name=name)

    def get_config(self):
        left, right = map(keras.layers.serialize, (self.left, self.right))
        return {"name": self.name, "left": left, "right": right}

    @classmethod
    def from_config(cls, config):
        towers = []
        for name in ("left", "right"):
            own = dict(config[name]["config"])
            own["dtype"] = config.get("dtype", own["dtype"])
            towers.append(ElectraBackbone.from_config(own))
        return cls(*towers, name=config["name"])
