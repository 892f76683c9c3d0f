"""One layer of the encoder, with layer normalization after each addition.

Dropout sits where the original has it (`model/modeling.py:830-880`): on the
output of the attention and on the output of the feed-forward block, before
each is added to its input.
"""

import functools

import keras

from keras_electra.backend import encoder_layer
from keras_electra.model.attention import SelfAttention
from keras_electra.model.dropout import HashDropout


def activation_function(name):
    """Maps the `activation` of a backbone to a function.

    Args:
        name: `"gelu"` for the exact GELU through the error function, as all
            ELECTRA checkpoints were trained with, `"gelu_approximate"` for
            the tanh form that some other packages use, or the name of any
            Keras activation.

    Returns:
        A function of one array.
    """
    if name == "gelu":
        return exact_gelu
    if name == "gelu_approximate":
        return approximate_gelu
    return keras.activations.get(name)


@keras.saving.register_keras_serializable(package="keras_electra")
def exact_gelu(x):
    """`x * Phi(x)` with the Gaussian distribution function itself."""
    if keras.config.backend() == "torch":
        return keras.ops.gelu(x, approximate=False)
    # Elsewhere Keras' has the complement of erf, which takes twice as long.
    wide = keras.ops.cast(x, "float32")
    share = 0.5 + 0.5 * keras.ops.erf(wide * 2**-0.5)
    return keras.ops.cast(wide * share, x.dtype)


@keras.saving.register_keras_serializable(package="keras_electra")
def approximate_gelu(x):
    """`x * Phi(x)` by the tanh formula; differs by up to 5e-4."""
    return keras.ops.gelu(x, approximate=True)


@keras.saving.register_keras_serializable(package="keras_electra")
class TransformerLayer(keras.layers.Layer):
    """Self-attention, then a feed-forward block, each added to its input.

    Args:
        num_heads: int. Number of attention heads.
        intermediate_dim: int. Width inside the feed-forward block.
        dropout: float. Dropout of both outputs. Defaults to `0.1`.
        attention_dropout: float. Dropout of the attention weights. Defaults
            to `0.1`.
        activation: string. See `activation_function`. Defaults to `"gelu"`.
        initializer_range: float. Standard deviation of the truncated normal
            the kernels start from. Defaults to `0.02`.
        **kwargs: `name`, `dtype` and the like of `keras.layers.Layer`.

    Call arguments:
        x: float array of shape `(batch, length, hidden_dim)`.
        padding_mask: array of shape `(batch, length)`, 1 for a token, 0 for
            padding.

    Output shape:
        `(batch, length, hidden_dim)`.
    """

    def __init__(
        self,
        num_heads,
        intermediate_dim,
        dropout=0.1,
        attention_dropout=0.1,
        activation="gelu",
        initializer_range=0.02,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.activation = activation
        self.initializer_range = initializer_range
        self.attention = SelfAttention(
            num_heads,
            dropout=attention_dropout,
            initializer_range=initializer_range,
            dtype=self.dtype_policy,
            name="attention",
        )
        self.dropout_layer = HashDropout(
            dropout, dtype=self.dtype_policy, name="dropout"
        )

    def build(self, x_shape, padding_mask_shape=None):
        def dense(units, activation, name):
            return keras.layers.Dense(
                units,
                activation=activation,
                kernel_initializer=keras.initializers.TruncatedNormal(
                    stddev=self.initializer_range
                ),
                dtype=self.dtype_policy,
                name=name,
            )

        def layer_norm(name):
            return keras.layers.LayerNormalization(
                epsilon=1e-12, dtype=self.dtype_policy, name=name
            )

        width = x_shape[-1]
        self.attention.build(x_shape, padding_mask_shape)
        self.attention_layer_norm = layer_norm("attention_layer_norm")
        self.attention_layer_norm.build(x_shape)
        self.intermediate_dense = dense(
            self.intermediate_dim,
            activation_function(self.activation),
            "intermediate_dense",
        )
        self.intermediate_dense.build(x_shape)
        self.output_dense = dense(width, None, "output_dense")
        self.output_dense.build((*x_shape[:-1], self.intermediate_dim))
        self.output_layer_norm = layer_norm("output_layer_norm")
        self.output_layer_norm.build(x_shape)
        self.built = True

    def dense_layers(self):
        """The four, in the order of the computation."""
        attention = self.attention
        return (
            *(attention.query_key_value, attention.output_dense),
            *(self.intermediate_dense, self.output_dense),
        )

    def is_adapted(self):
        """Whether a dense layer is quantized or has a LoRA adapter."""
        return any(
            dense.lora_enabled or dense.quantization_mode
            for dense in self.dense_layers()
        )

    def draw_seeds(self, training):
        """Seeds of the attention weights and the two outputs, or `None`s."""
        dropouts = (
            self.attention.dropout_layer,
            *2 * (self.dropout_layer,),
        )
        return [dropout.draw_seed(training) for dropout in dropouts]

    def call(self, x, padding_mask, training=None, seeds=None):
        seeds = seeds or self.draw_seeds(training)
        if encoder_layer.can_run(self, x, training):
            return encoder_layer.run(self, x, padding_mask, training, seeds)
        y = self.attention(x, padding_mask, seeds[0])
        y = self.dropout_layer.drop(y, seeds[1])
        x = self.attention_layer_norm(x + y)
        y = self.output_dense(self.intermediate_dense(x))
        y = self.dropout_layer.drop(y, seeds[2])
        return self.output_layer_norm(x + y)

    def rematerialized_call(self, layer_call, *args, **kwargs):
        """What `keras.RematScope` computes twice has its dropout drawn once.

        Seeds that were drawn anew would give gradients of another network.
        """
        seeds = self.draw_seeds(kwargs.get("training"))
        # Keywords are bound here: TensorFlow rematerializes without them.
        call = functools.partial(layer_call, seeds=seeds, **kwargs)
        call = super().rematerialized_call(call, *args, **kwargs)
        return lambda *args, **_: call(*args)

    def compute_output_spec(self, x, padding_mask, training=None, seeds=None):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "num_heads": self.num_heads,
                "intermediate_dim": self.intermediate_dim,
                "dropout": self.dropout,
                "attention_dropout": self.attention_dropout,
                "activation": self.activation,
                "initializer_range": self.initializer_range,
            }
        )
        return config
