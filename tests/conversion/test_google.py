"""Sizes and weights of the original's checkpoints, and what does not fit.

That the loaded networks compute the original's numbers, and the variants of
sharing, are tests of the pre-trainer: `tests/pretraining/test_original_*.py`.
"""

import keras
import numpy as np
import pytest

from keras_electra.conversion import google
from keras_electra.conversion import places
from keras_electra.conversion.tf_bundle import TensorBundle
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.pretraining.pretrainer import ElectraPretrainer

WORDS = "electra/embeddings/word_embeddings"
DISCRIMINATOR = {
    "vocabulary_size": 700,
    "num_layers": 3,
    "num_heads": 4,
    "hidden_dim": 64,
    "intermediate_dim": 256,
    "embedding_dim": 40,
    "max_sequence_length": 64,
    "num_segments": 2,
}
GENERATOR = {
    **DISCRIMINATOR,
    "num_heads": 1,
    "hidden_dim": 32,
    "intermediate_dim": 128,
}


@pytest.fixture(scope="module")
def path(request):
    return str(request.getfixturevalue("golden") / "tiny_ckpt")


@pytest.fixture(scope="module")
def arrays(path):
    """All variables of the checkpoint but the optimizer's."""
    bundle = TensorBundle(path)
    return {
        name: bundle.read(name)
        for name in bundle.names()
        if "adam" not in name and name != "global_step"
    }


def build_pretrainer(backbone, generator):
    return ElectraPretrainer(
        backbone,
        generator,
        mask_token_id=4,
        unselectable_token_ids=[0, 2, 3, 4],
        compile=False,
    )


@pytest.fixture(scope="module")
def pretrainer(path):
    return build_pretrainer(*google.backbones(path, num_heads=4))


# Sizes.


def test_sizes_of_both_networks(path):
    found = google.backbone_arguments(path, num_heads=4)
    assert found == DISCRIMINATOR
    assert google.backbone_arguments(path, "generator") == GENERATOR


def test_heads_have_64_units_if_nobody_says_otherwise(path):
    assert google.backbone_arguments(path)["num_heads"] == 1


def test_unknown_network(path):
    with pytest.raises(ValueError, match="'bert'.*'electra', 'generator'"):
        google.backbone_arguments(path, "bert")


def test_backbones(path):
    discriminator, generator = google.backbones(
        path, num_heads=4, dropout=0.25, dtype="mixed_bfloat16"
    )
    for network, expected in (
        (discriminator, DISCRIMINATOR),
        (generator, GENERATOR),
    ):
        config = network.get_config()
        assert {name: config[name] for name in expected} == expected
        assert network.dropout == 0.25
        assert network.compute_dtype == "bfloat16"
    assert generator.embeddings is discriminator.embeddings


# Weights.


def test_every_weight_has_one_place(pretrainer, arrays):
    places = google.places(pretrainer)
    assert set(places) == set(arrays)
    size = sum(int(np.prod(place.shape)) for place in places.values())
    assert size == pretrainer.count_params()
    assert {id(place.variable) for place in places.values()} == {
        id(weight) for weight in pretrainer.weights
    }


def test_loaded_weights_are_the_arrays(pretrainer, path, arrays):
    google.load_checkpoint(pretrainer, path)
    for name, place in google.places(pretrainer).items():
        value = keras.ops.convert_to_numpy(place.variable.value)
        np.testing.assert_array_equal(place.read(value), arrays[name], name)
    table, bias = pretrainer.backbone.token_embedding, "output_bias"
    np.testing.assert_array_equal(table.get_weights()[0], arrays[WORDS])
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(pretrainer.generator_head.bias.value),
        arrays[f"generator_predictions/{bias}"],
    )


def test_query_key_and_value_stand_side_by_side(pretrainer, arrays):
    google.assign(pretrainer, arrays)
    layer = pretrainer.backbone.transformer_layers[1].attention
    kernel, bias = layer.query_key_value.get_weights()
    name = "electra/encoder/layer_1/attention/self"
    for i, part in enumerate(("query", "key", "value")):
        columns = slice(64 * i, 64 * (i + 1))
        np.testing.assert_array_equal(
            kernel[:, columns], arrays[f"{name}/{part}/kernel"]
        )
        np.testing.assert_array_equal(
            bias[columns], arrays[f"{name}/{part}/bias"]
        )


def test_place_reads_and_writes_its_columns():
    variable = keras.Variable(np.zeros((2, 6), "float32"))
    whole = places.Place(variable)
    part = places.Place(variable, slice(2, 4))
    assert whole.shape == (2, 6) and part.shape == (2, 2)
    array = np.zeros((2, 6))
    part.write(array, np.ones((2, 2)))
    np.testing.assert_array_equal(array, [[0, 0, 1, 1, 0, 0]] * 2)
    np.testing.assert_array_equal(part.read(array), np.ones((2, 2)))
    whole.write(array, np.full((2, 6), 3.0))
    np.testing.assert_array_equal(whole.read(array), np.full((2, 6), 3.0))


# What does not fit.


def check_refused(pretrainer, arrays, message):
    before = pretrainer.get_weights()
    with pytest.raises(ValueError, match=message):
        google.assign(pretrainer, arrays)
    for old, new in zip(before, pretrainer.get_weights()):
        np.testing.assert_array_equal(old, new)


def other_numbers(arrays):
    return {name: array + 1 for name, array in arrays.items()}


def test_missing_variable(pretrainer, arrays):
    arrays = other_numbers(arrays)
    del arrays[WORDS]
    message = rf"Missing: \['{WORDS}'\]. Left over: none"
    check_refused(pretrainer, arrays, message)


def test_variable_left_over(pretrainer, arrays):
    arrays = {**other_numbers(arrays), "bert/pooler/kernel": np.zeros(3)}
    message = r"Missing: none. Left over: \['bert/pooler/kernel'\]"
    check_refused(pretrainer, arrays, message)


def test_wrong_shape(pretrainer, arrays):
    arrays = other_numbers(arrays)
    arrays[WORDS] = arrays[WORDS][:-1]
    message = rf"'{WORDS}'.*\(700, 40\).*\(699, 40\)"
    check_refused(pretrainer, arrays, message)


def test_kernel_of_another_width_in_the_fused_matrix(pretrainer, arrays):
    arrays = other_numbers(arrays)
    name = "electra/encoder/layer_2/attention/self/key/kernel"
    arrays[name] = np.zeros((64, 192), "float32")
    check_refused(pretrainer, arrays, r"key/kernel'.*\(64, 64\).*\(64, 192\)")


def test_checkpoint_of_more_layers(path):
    """A network of fewer layers must not load a part of the checkpoint."""
    small = ElectraBackbone(**{**DISCRIMINATOR, "num_layers": 1})
    with pytest.raises(ValueError, match="Left over: .*layer_1"):
        google.load_checkpoint(build_pretrainer(small, small), path)
