"""The ELECTRA encoder, for generator and discriminator alike.

BERT's encoder with three differences, all the original's: token embeddings
may be narrower than the network and are then projected, there is no pooler,
and GELU is the exact one. Nothing here knows of an objective.
"""

from typing import Any

import keras
import keras_hub

from keras_electra.arguments import check_count
from keras_electra.arguments import check_number
from keras_electra.arguments import keyword_names
from keras_electra.backend import encoder_layer
from keras_electra.model import adapted
from keras_electra.model.embeddings import ElectraEmbeddings
from keras_electra.model.transformer import TransformerLayer
from keras_electra.presets import register_presets
from keras_electra.presets_saving import SavesParts
from keras_electra.presets_saving import check_space
from keras_electra.presets_saving import save_h5

TABLES = (  # what is alike where embeddings are shared
    "vocabulary_size",
    "embedding_dim",
    "max_sequence_length",
    "num_segments",
    "layer_norm_epsilon",
)
COUNTS = ("num_layers", "num_heads", "hidden_dim", "intermediate_dim")


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraBackbone(
    adapted.AdaptableModel, SavesParts, keras_hub.models.Backbone
):
    """Encodes token ids as one vector a token.

    Called with a dict of int arrays `(batch, length)`: `token_ids`,
    `segment_ids`, `padding_mask` (1 = token, 0 = padding). Returns a dict with
    `sequence_output`, `(batch, length, hidden_dim)`.

    Args:
        vocabulary_size: int. Number of token ids.
        num_layers: int. Number of transformer layers.
        num_heads: int. Attention heads a layer; divides `hidden_dim`.
        hidden_dim: int. Width of the encoder.
        intermediate_dim: int. Width inside the feed-forward blocks.
        embedding_dim: int. Width of the embeddings, by default `hidden_dim`.
        dropout: float. Dropout of embeddings and outputs. Defaults to `0.1`.
        attention_dropout: float. That of attention weights, by default alike.
        max_sequence_length: int. Positions, by default `512`, for a row.
        num_segments: int. Number of segment ids. Defaults to `2`.
        activation: string. `"gelu"` (exact), or `"gelu_approximate"` for
            checkpoints trained with the tanh form. Defaults to `"gelu"`.
        initializer_range: float. Standard deviation of the truncated normal
            that kernels and tables start from, but for the projection: Glorot
            uniform (original `modeling.py:59, 226`). Defaults to `0.02`.
        layer_norm_epsilon: float. Added to variances. Defaults to `1e-12`.
        vector_layer: int. Layer, from 1, that was taught vectors of texts, for
            `ElectraTextEmbedder`; or `None`, the default. `Distiller` sets it.
        embeddings: `ElectraEmbeddings` of another backbone, to share it, which
            is not part of the configuration. Defaults to `None`: an own one.
        dtype: string or `keras.DTypePolicy`. Defaults to the global policy.
    """

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        intermediate_dim: int,
        embedding_dim: int | None = None,
        dropout: float = 0.1,
        attention_dropout: float | None = None,
        max_sequence_length: int = 512,
        num_segments: int = 2,
        activation: object = "gelu",
        initializer_range: float = 0.02,
        layer_norm_epsilon: float = 1e-12,
        vector_layer: int | None = None,
        embeddings: keras.Layer | None = None,
        dtype: object = None,
        **kwargs: object,
    ) -> None:
        embedding_dim = embedding_dim or hidden_dim
        if attention_dropout is None:
            attention_dropout = dropout
        given, own = locals(), keyword_names(ElectraBackbone.__init__)
        config = {n: given[n] for n in own if n not in ("embeddings", "dtype")}
        for name in (*TABLES[:-1], *COUNTS):
            check_count(name, config[name])
        check_number("layer_norm_epsilon", layer_norm_epsilon, above=0)

        def make(cls, name):
            own = {n: config[n] for n in keyword_names(cls.__init__)}
            return cls(**own, dtype=dtype, name=name)

        # === Layers ===
        if embeddings is None:
            embeddings = make(ElectraEmbeddings, "embeddings")
        for name in TABLES:
            if getattr(embeddings, name) != config[name]:
                raise ValueError(
                    f"Shared `embeddings` must have the backbone's `{name}`, "
                    f"{config[name]}. Received: {getattr(embeddings, name)}. "
                    "Build both networks alike, or do not share embeddings."
                )
        projection = None
        if embedding_dim != hidden_dim:
            projection = adapted.Dense(
                hidden_dim, dtype=dtype, name="embeddings_projection"
            )
        transformer_layers = [
            make(TransformerLayer, f"transformer_layer_{i}")
            for i in range(num_layers)
        ]

        # === Functional Model ===
        inputs = {
            name: keras.Input(shape=(None,), dtype="int32", name=name)
            for name in ("token_ids", "segment_ids", "padding_mask")
        }
        x = embeddings(inputs["token_ids"], inputs["segment_ids"])  # (B, L, E)
        if projection is not None:
            x = projection(x)  # (B, L, D)
        for layer in transformer_layers:
            x = layer(x, inputs["padding_mask"])
        super().__init__(
            inputs=inputs, outputs={"sequence_output": x}, dtype=dtype, **kwargs
        )

        # === Config ===
        self.embeddings = embeddings
        self.token_embedding = embeddings.token_embedding
        self.embeddings_projection = projection
        self.transformer_layers = transformer_layers
        for name, value in config.items():
            setattr(self, name, value)
        self._config_names = tuple(config)

    def call(self, inputs, training=None, mask=None):
        run_all = getattr(encoder_layer, "run_all", None)
        if training or not run_all or not isinstance(inputs, dict):
            return super().call(inputs, training=training, mask=mask)
        x = self.embeddings(inputs["token_ids"], inputs["segment_ids"])
        if self.embeddings_projection is not None:
            x = self.embeddings_projection(x)
        x = run_all(self.transformer_layers, x, inputs["padding_mask"])
        return {"sequence_output": x}

    def with_embeddings(self, embeddings, name=None, vocabulary_size=None):
        """A copy of this network with other embeddings and the same weights.

        Args:
            embeddings: `ElectraEmbeddings` of the same sizes, `None`: fresh.
            name: string or `None`. Name of the copy, and prefix of the paths
                of its variables. Defaults to the name of this network.
            vocabulary_size: int or `None`. That of `embeddings`, if it is not
                this network's, as for one vocabulary padded in two ways.
        """
        name = name or self.name
        config = {**self.get_config(), "name": name, "embeddings": embeddings}
        config["vocabulary_size"] = vocabulary_size or self.vocabulary_size
        with keras.name_scope(name):
            copy = type(self).from_config(config)
        for mine, theirs in zip(self.layers, copy.layers):
            if mine is not self.embeddings:
                theirs.set_weights(mine.get_weights())
        return copy

    def save_weights(self, filepath, overwrite=True, max_shard_size=None):
        if max_shard_size is None and overwrite:
            save_h5(self, filepath)
        else:
            check_space(filepath, self.weights)
            super().save_weights(filepath, overwrite, max_shard_size)

    def default_lora_layer_names(self) -> list[str]:
        """Layers that `enable_lora` adapts: query, key and value in one."""
        return ["query_key_value"]

    def enable_lora(self, rank: int, target_layer_names: Any = None) -> None:
        """Freezes all but adapters of a `rank`, and the biases beside them."""
        check_count("rank", rank)
        if target_layer_names is None:
            target_layer_names = self.default_lora_layer_names()
        layers = adapted.adaptable_layers(self).values()
        names = {x.name for x in layers if isinstance(x, adapted.KeepsAdapters)}
        done = {x.name for x in layers if x.lora_enabled}
        wanted = set(target_layer_names)
        if not wanted or not wanted <= names or done:
            raise ValueError(
                "`target_layer_names` must be a list of names of layers: "
                f"{', '.join(sorted(names))}. Received: {target_layer_names!r}"
                f"; adapted already, which is done once: {sorted(done)}."
            )
        super().enable_lora(rank, list(wanted))

    def get_config(self) -> dict[str, object]:
        # Not KerasHub's, which makes policies of quantized layers nameless.
        own = {name: getattr(self, name) for name in self._config_names}
        own.update(name=self.name, trainable=self.trainable)
        own["dtype"] = keras.dtype_policies.serialize(self.dtype_policy)
        return {**own, **adapted.changes_in_config(self)}


register_presets(ElectraBackbone)
