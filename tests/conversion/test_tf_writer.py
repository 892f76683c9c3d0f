"""What is written is read, by our reader and by TensorFlow."""

import keras
import numpy as np
import pytest

from keras_electra.conversion import crc32c
from keras_electra.conversion.tf_bundle import TensorBundle
from keras_electra.conversion.tf_writer import write_checkpoint

ARRAYS = {
    "b/kernel": np.arange(6, dtype="float32").reshape(2, 3),
    "a/bias": np.float32([-1.5]),
    "step": np.int64(2**40),
    "empty": np.zeros((0, 4), "float32"),
    # Enough names for several blocks.
    **{f"layer_{i}/{'x' * (i % 40)}": np.int32(i) for i in range(400)},
}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("written") / "model.ckpt"
    write_checkpoint(prefix, ARRAYS)
    return prefix


def check(read):
    for name, expected in ARRAYS.items():
        value = np.asarray(read(name))
        assert value.dtype == expected.dtype and value.shape == expected.shape
        np.testing.assert_array_equal(value, expected)


def test_our_reader(prefix):
    bundle = TensorBundle(prefix.parent)
    assert bundle.prefix == prefix
    assert bundle.names() == sorted(ARRAYS)
    check(bundle.read)


@pytest.mark.skipif(
    keras.config.backend() != "tensorflow",
    reason="TensorFlow is asked where it is running anyway.",
)
def test_tensorflow(prefix):
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(prefix.parent))
    assert sorted(reader.get_variable_to_shape_map()) == sorted(ARRAYS)
    check(reader.get_tensor)


def test_other_types_are_an_error(tmp_path):
    with pytest.raises(KeyError, match="complex"):
        write_checkpoint(tmp_path / "x", {"a": np.complex64(1)})


def test_masks_are_undone():
    for checksum in (0, 1, 0xFFFFFFFF, 0x12345678):
        assert crc32c.unmask(crc32c.mask(checksum)) == checksum
