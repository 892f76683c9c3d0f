import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.model.embeddings import ElectraEmbeddings
from keras_electra.model.embeddings import ReplacedTokenHead
from keras_electra.model.embeddings import TokenPredictionHead
from keras_electra.model.embeddings import gather_positions
from tests.model import reference

X = reference.RNG.normal(size=(2, 4, 6)).astype("float32")
POSITIONS = np.array([[3, 0, 3], [1, 2, 0]], "int32")
PICKED = np.stack([X[0, [3, 0, 3]], X[1, [1, 2, 0]]])


def token_head(width=5, dtype=None, **kwargs):
    embeddings = ElectraEmbeddings(7, width, max_sequence_length=4, dtype=dtype)
    embeddings.build((None, None))
    head = TokenPredictionHead(embeddings, dtype=dtype, **kwargs)
    head.build((None, None, 6))
    return head


def replaced_head(width=6, **kwargs):
    head = ReplacedTokenHead(**kwargs)
    head.build((None, None, width))
    return head


def test_gather_positions():
    picked = gather_positions(ops.convert_to_tensor(X), POSITIONS)
    np.testing.assert_array_equal(reference.to_numpy(picked), PICKED)


def test_token_prediction_by_hand():
    head = token_head()
    weights = reference.randomize(head)
    x = reference.gelu(PICKED @ weights["dense/kernel"] + weights["dense/bias"])
    x = reference.layer_norm(
        x, weights["layer_norm/gamma"], weights["layer_norm/beta"]
    )
    table = reference.to_numpy(head.embeddings.token_embedding.embeddings.value)
    expected = x @ table.T + weights["bias"]
    ours = reference.run(head, X, POSITIONS)
    assert ours.shape == (2, 3, 7)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_token_table_is_not_copied():
    head = token_head()
    shared = {id(w) for w in head.embeddings.weights}
    assert sorted(w.name for w in head.weights if id(w) not in shared) == [
        "beta",
        "bias",
        "bias",
        "gamma",
        "kernel",
    ]
    before = reference.run(head, X, POSITIONS)
    table = head.embeddings.token_embedding.embeddings
    table.assign(2 * table)
    after = reference.run(head, X, POSITIONS)
    # The output bias is zero at first.
    np.testing.assert_allclose(after, 2 * before, rtol=1e-4, atol=1e-6)


def test_epsilon_of_the_normalization_is_tiny():
    y = reference.to_numpy(token_head().layer_norm(1e-4 * X[..., :5]))
    np.testing.assert_allclose(y.std(axis=-1), 1.0, atol=1e-3)


def test_replaced_token_by_hand():
    head = replaced_head()
    weights = reference.randomize(head)
    x = reference.gelu(X @ weights["dense/kernel"] + weights["dense/bias"])
    expected = x @ weights["output_dense/kernel"]
    expected = (expected + weights["output_dense/bias"])[..., 0]
    ours = reference.run(head, X)
    assert ours.shape == (2, 4)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_activation_reaches_both_heads():
    relu = keras.activations.relu
    assert token_head(activation="relu").dense.activation is relu
    assert replaced_head(activation="relu").dense.activation is relu


def test_initial_values():
    """The last layer of the discriminator alone starts from Glorot."""
    head = token_head(width=900)
    reference.check_truncated_normal(head.dense.kernel)
    reference.check_constant(head.dense.bias, 0)
    reference.check_constant(head.bias, 0)
    head = replaced_head(width=300)
    reference.check_truncated_normal(head.dense.kernel)
    reference.check_glorot_uniform(head.output_dense.kernel)
    reference.check_constant(head.dense.bias, 0)
    reference.check_constant(head.output_dense.bias, 0)


def test_config():
    head = replaced_head(activation="relu", initializer_range=0.1)
    config = head.get_config()
    assert ReplacedTokenHead.from_config(config).get_config() == config


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    for head, arguments in (
        (token_head(dtype=policy), (X, POSITIONS)),
        (replaced_head(dtype=policy), (X,)),
    ):
        assert {w.dtype for w in head.weights} == {"float32"}
        y = head(*arguments)
        spec = head.compute_output_spec(
            *(keras.KerasTensor(a.shape) for a in arguments)
        )
        assert keras.backend.standardize_dtype(y.dtype) == head.compute_dtype
        assert spec.dtype == head.compute_dtype
        assert tuple(y.shape) == tuple(spec.shape)
