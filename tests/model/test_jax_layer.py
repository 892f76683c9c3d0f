"""What JAX makes of the layers of a network: one function, called by each."""

import re

import keras
import numpy as np
import pytest

import keras_electra

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="It is JAX's own form of a layer."
)

NUM_LAYERS = 3


@pytest.fixture(scope="module")
def lowered():
    """The program of a training step's gradient, before XLA has it."""
    import jax

    backbone = keras_electra.ElectraBackbone(
        vocabulary_size=20,
        num_layers=NUM_LAYERS,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
    )
    ids = np.ones((2, 6), "int32")
    x = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": ids}
    trainable, rest = (
        [variable.value for variable in variables]
        for variables in (
            backbone.trainable_variables,
            backbone.non_trainable_variables,
        )
    )

    def loss(trainable):
        y, _ = backbone.stateless_call(trainable, rest, x, training=True)
        return (y["sequence_output"] ** 2).sum()

    return jax.jit(jax.grad(loss)).lower(trainable).as_text()


def test_layers_share_their_functions(lowered):
    functions = re.findall(r"func private @_layer\w*", lowered)
    calls = re.findall(r"call @_layer", lowered)
    assert len(functions) == 2  # forward and backward
    assert len(calls) == NUM_LAYERS * len(functions)
