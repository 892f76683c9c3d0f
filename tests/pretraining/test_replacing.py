import keras
import numpy as np
from keras import ops

from keras_electra.pretraining.replacing import ReplaceTokens
from keras_electra.pretraining.replacing import UniformLogits

IDS = np.array([[2, 5, 6, 7, 3], [2, 8, 9, 3, 0]], "int32")
POSITIONS = np.array([[1, 3], [2, 0]], "int32")


def replace(sampled, weights):
    y = ReplaceTokens()(
        ops.convert_to_tensor(IDS),
        ops.convert_to_tensor(POSITIONS),
        ops.convert_to_tensor(np.array(sampled, "int32")),
        ops.convert_to_tensor(np.array(weights, "float32")),
    )
    y = {name: np.asarray(ops.convert_to_numpy(y[name])) for name in y}
    assert y["token_ids"].dtype == y["replaced"].dtype == "int32"
    return y["token_ids"].tolist(), y["replaced"].tolist()


def test_labels_are_where_tokens_differ():
    ids, replaced = replace([[10, 11], [12, 13]], [[1, 1], [1, 0]])
    assert ids == [[2, 10, 6, 11, 3], [2, 8, 12, 3, 0]]
    assert replaced == [[0, 1, 0, 1, 0], [0, 0, 1, 0, 0]]


def test_a_draw_of_the_right_token_is_original():
    ids, replaced = replace([[5, 11], [9, 2]], [[1, 1], [1, 1]])
    assert ids == [[2, 5, 6, 11, 3], [2, 8, 9, 3, 0]]
    assert replaced == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]


def test_unused_slots_change_nothing():
    ids, replaced = replace([[10, 11], [12, 13]], [[0, 0], [0, 0]])
    assert ids == IDS.tolist()
    assert not np.any(replaced)


def test_replaced_under_mixed_precision():
    """Ids above 256 are no bfloat16 numbers; they must not pass through it."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    ids, replaced = replace([[30521, 1001], [12, 13]], [[1, 1], [1, 0]])
    assert ids[0] == [2, 30521, 6, 1001, 3]
    assert replaced == [[0, 1, 0, 1, 0], [0, 0, 1, 0, 0]]


def test_uniform_logits():
    layer = UniformLogits(7)
    logits = layer(ops.convert_to_tensor(POSITIONS))
    assert not np.any(ops.convert_to_numpy(logits))
    assert tuple(logits.shape) == (2, 2, 7)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    spec = layer.compute_output_spec(keras.KerasTensor((None, None)))
    assert spec.shape == (None, None, 7)
    config = layer.get_config()
    assert config["vocabulary_size"] == 7
    assert UniformLogits.from_config(config).get_config() == config


def test_spec():
    ids, slots = keras.KerasTensor((2, 5)), keras.KerasTensor((2, 2))
    spec = ReplaceTokens().compute_output_spec(ids, slots, slots, slots)
    for name in ("token_ids", "replaced"):
        assert spec[name].shape == (2, 5)
        assert spec[name].dtype == "int32"
