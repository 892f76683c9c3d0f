import keras
import numpy as np
import pytest

from keras_electra.model.backbone import ElectraBackbone
from tests import checks
from tests.model import reference

X = checks.ids([2, 5, 6, 7, 3], [2, 12, 10, 3])
CONFIG = {
    "vocabulary_size": 11,
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 12,
    "intermediate_dim": 20,
    "embedding_dim": 6,
    "dropout": 0.25,
    "attention_dropout": 0.125,
    "max_sequence_length": 9,
    "num_segments": 3,
    "activation": "gelu_approximate",
    "initializer_range": 0.3,
}


def encode(backbone, x=X):
    x = {name: keras.ops.convert_to_tensor(a) for name, a in x.items()}
    return reference.run(
        lambda x: keras.ops.cast(backbone(x)["sequence_output"], "float32"), x
    )


@pytest.fixture(scope="module")
def backbone():
    """Narrower embeddings; a test that uses it must leave it as it is."""
    keras.utils.set_random_seed(0)
    return checks.tiny_backbone()


# Against another implementation.


@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_hidden_states_of_transformers(activation):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.ElectraConfig(
        vocab_size=11,
        embedding_size=6,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=9,
        type_vocab_size=2,
        hidden_act=activation,
        initializer_range=0.5,
        output_hidden_states=True,
    )
    torch.manual_seed(0)
    theirs = transformers.ElectraModel(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    ours = ElectraBackbone(
        vocabulary_size=11,
        num_layers=2,
        num_heads=3,
        hidden_dim=12,
        intermediate_dim=20,
        embedding_dim=6,
        max_sequence_length=9,
        activation="gelu" if activation == "gelu" else "gelu_approximate",
    )
    copy_weights(theirs, ours)
    x = checks.ids([2, 5, 6, 7, 3, 9, 8, 10], [2, 4, 10, 3])
    x["segment_ids"][0, 4:] = 1
    with torch.no_grad():
        hidden = theirs(
            input_ids=torch.tensor(x["token_ids"]).long(),
            token_type_ids=torch.tensor(x["segment_ids"]).long(),
            attention_mask=torch.tensor(x["padding_mask"]).long(),
        ).hidden_states
    every_layer = keras.Model(
        ours.input,
        [
            ours.embeddings_projection.output,
            *(layer.output for layer in ours.transformer_layers),
        ],
    )
    outputs = reference.run(
        lambda x: keras.ops.stack(every_layer(x)),
        {name: keras.ops.convert_to_tensor(a) for name, a in x.items()},
    )
    assert len(hidden) == len(outputs) == 3
    for state, output in zip(hidden, outputs):
        np.testing.assert_allclose(output, state.numpy(), atol=1e-5)


def copy_weights(theirs, ours):
    """By hand, name by name; every weight is used once."""
    left = {name: p.detach().numpy() for name, p in theirs.named_parameters()}

    def dense(layer, *names):
        kernels = [left.pop(f"{name}.weight").T for name in names]
        biases = [left.pop(f"{name}.bias") for name in names]
        layer.set_weights(
            [np.concatenate(kernels, axis=1), np.concatenate(biases)]
        )

    def norm(layer, name):
        layer.set_weights(
            [left.pop(f"{name}.weight"), left.pop(f"{name}.bias")]
        )

    def table(layer, name):
        layer.set_weights([left.pop(f"embeddings.{name}_embeddings.weight")])

    table(ours.embeddings.token_embedding, "word")
    table(ours.embeddings.position_embedding, "position")
    table(ours.embeddings.segment_embedding, "token_type")
    norm(ours.embeddings.layer_norm, "embeddings.LayerNorm")
    dense(ours.embeddings_projection, "embeddings_project")
    for i, layer in enumerate(ours.transformer_layers):
        name = f"encoder.layer.{i}"
        inner = f"{name}.attention.self"
        dense(
            layer.attention.query_key_value,
            f"{inner}.query",
            f"{inner}.key",
            f"{inner}.value",
        )
        dense(layer.attention.output_dense, f"{name}.attention.output.dense")
        norm(layer.attention_layer_norm, f"{name}.attention.output.LayerNorm")
        dense(layer.intermediate_dense, f"{name}.intermediate.dense")
        dense(layer.output_dense, f"{name}.output.dense")
        norm(layer.output_layer_norm, f"{name}.output.LayerNorm")
    assert not left


# What comes out.


def test_padding_does_not_reach_the_tokens(backbone):
    before = encode(backbone)
    other = {name: array.copy() for name, array in X.items()}
    padding = X["padding_mask"] == 0
    other["token_ids"][padding] = 9
    other["segment_ids"][padding] = 1
    after = encode(backbone, other)
    np.testing.assert_array_equal(before[~padding], after[~padding])
    assert not np.allclose(before[padding], after[padding])


def test_more_padding_changes_nothing(backbone):
    short = {name: array[:, :5] for name, array in X.items()}
    np.testing.assert_allclose(
        encode(backbone)[0, :5], encode(backbone, short)[0], atol=1e-5
    )


def test_every_token_is_read(backbone):
    """Another last token changes the first vector."""
    other = {name: array.copy() for name, array in X.items()}
    other["token_ids"][0, 4] = 11
    before, after = encode(backbone), encode(backbone, other)
    assert not np.allclose(before[0, 0], after[0, 0])
    np.testing.assert_array_equal(before[1], after[1])


def test_longer_than_the_positions(backbone):
    x = {name: np.ones((1, 17), "int32") for name in X}
    with pytest.raises(ValueError, match="max_sequence_length=16.*length 17"):
        encode(backbone, x)


@pytest.mark.parametrize("policy", checks.PRECISIONS)
def test_half_precision(policy, backbone):
    half = checks.tiny_backbone(dtype=policy)
    half.set_weights(backbone.get_weights())
    assert {w.dtype for w in half.trainable_weights} == {"float32"}
    assert half.output["sequence_output"].dtype == half.compute_dtype
    assert half.compute_dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(encode(half), encode(backbone), atol=0.1)


def test_global_policy_is_the_default():
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert checks.tiny_backbone().compute_dtype == "bfloat16"


# How it is built.


def test_config():
    backbone = ElectraBackbone(**CONFIG)
    config = backbone.get_config()
    assert {name: config[name] for name in CONFIG} == CONFIG
    copy = ElectraBackbone.from_config(config)
    assert copy.get_config() == config
    shapes = [w.shape for w in backbone.weights]
    assert [w.shape for w in copy.weights] == shapes
    assert copy.transformer_layers[0].attention_dropout == 0.125


def test_defaults():
    backbone = checks.tiny_backbone(
        embedding_dim=None, dropout=0.3, initializer_range=0.02
    )
    assert backbone.embedding_dim == backbone.hidden_dim == 8
    assert backbone.embeddings_projection is None
    assert backbone.attention_dropout == 0.3
    config = checks.tiny_backbone(dropout=0.3, attention_dropout=0.0)
    assert config.attention_dropout == 0.0


def test_weights_survive_a_file(backbone, tmp_path):
    path = str(tmp_path / "x.weights.h5")
    backbone.save_weights(path)
    keras.utils.set_random_seed(1)
    other = checks.tiny_backbone()
    assert not np.allclose(encode(other), encode(backbone))
    other.load_weights(path)
    np.testing.assert_array_equal(encode(other), encode(backbone))


@pytest.mark.parametrize("dtype", [None, keras.DTypePolicy("mixed_bfloat16")])
def test_a_model_of_some_layers_is_saved(dtype, tmp_path):
    backbone = checks.tiny_backbone(num_layers=2, dtype=dtype)
    output = {"sequence_output": backbone.transformer_layers[0].output}
    part = keras.Model(backbone.input, output)
    part.save(tmp_path / "part.keras")
    loaded = keras.saving.load_model(tmp_path / "part.keras")
    np.testing.assert_array_equal(encode(loaded), encode(part))


def test_initial_values_of_the_projection():
    """Glorot, while all other kernels are truncated normals."""
    backbone = checks.tiny_backbone(
        hidden_dim=80, intermediate_dim=100, initializer_range=0.02
    )
    projection = backbone.embeddings_projection
    reference.check_glorot_uniform(projection.kernel)
    reference.check_constant(projection.bias, 0)
    layer = backbone.transformer_layers[0]
    reference.check_truncated_normal(layer.attention.query_key_value.kernel)
    reference.check_truncated_normal(layer.intermediate_dense.kernel)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_layers": 0}, "`num_layers` .*num_layers=0"),
        ({"vocabulary_size": -1}, "`vocabulary_size` .*at least 1"),
        ({"hidden_dim": 8.0}, "`hidden_dim` .*hidden_dim=8.0"),
        ({"num_heads": 3}, "num_heads=3, hidden_dim=8"),
        ({"activation": "no_such"}, "no_such"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        checks.tiny_backbone(**change)


# Sharing of embeddings.


def test_shared_embeddings_exist_once(backbone):
    other = checks.tiny_backbone(
        hidden_dim=4, intermediate_dim=8, embeddings=backbone.embeddings
    )
    assert other.embeddings is backbone.embeddings
    assert other.token_embedding is backbone.token_embedding
    assert encode(other).shape == (2, 8, 4)
    assert "embeddings" not in other.get_config()


@pytest.mark.parametrize(
    "name, value",
    [
        ("vocabulary_size", 14),
        ("embedding_dim", 5),
        ("max_sequence_length", 15),
        ("num_segments", 3),
    ],
)
def test_shared_embeddings_of_other_sizes(backbone, name, value):
    with pytest.raises(ValueError, match=f"`{name}`.*{value}"):
        checks.tiny_backbone(**{name: value}, embeddings=backbone.embeddings)


def test_with_embeddings(backbone):
    keras.utils.set_random_seed(1)
    donor = checks.tiny_backbone()
    copy = backbone.with_embeddings(donor.embeddings, name="copy")
    assert copy.name == "copy"
    assert copy.embeddings is donor.embeddings
    for mine, theirs in zip(
        backbone.transformer_layers, copy.transformer_layers
    ):
        assert mine is not theirs
        for a, b in zip(mine.get_weights(), theirs.get_weights()):
            np.testing.assert_array_equal(a, b)
    assert not np.allclose(encode(copy), encode(backbone))
    donor.embeddings.set_weights(backbone.embeddings.get_weights())
    np.testing.assert_allclose(encode(copy), encode(backbone), atol=1e-6)
    fresh = backbone.with_embeddings(None)
    assert fresh.name == backbone.name
    assert fresh.embeddings is not backbone.embeddings
    with pytest.raises(ValueError, match="`vocabulary_size`"):
        backbone.with_embeddings(
            checks.tiny_backbone(vocabulary_size=14).embeddings
        )


# Adapters.


def test_lora_adapts_query_key_and_value():
    backbone = checks.tiny_backbone()
    before = encode(backbone)
    backbone.enable_lora(2)
    layer = backbone.transformer_layers[0].attention
    assert layer.query_key_value.lora_enabled
    assert not layer.output_dense.lora_enabled
    # The adapters start as zero.
    np.testing.assert_allclose(encode(backbone), before, atol=1e-6)
    shapes = {
        w.name: tuple(w.shape)
        for w in backbone.trainable_weights
        if "lora" in w.name
    }
    assert shapes == {"lora_kernel_a": (8, 2), "lora_kernel_b": (2, 24)}
