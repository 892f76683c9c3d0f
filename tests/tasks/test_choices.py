import numpy as np
from keras import ops

from keras_electra.tasks.choices import FlattenChoices
from keras_electra.tasks.choices import UnflattenChoices


def test_round_trip():
    x = np.arange(12, dtype="int32").reshape(2, 3, 2)
    flat = FlattenChoices()(x)
    assert tuple(flat.shape) == (6, 2)
    scores = ops.cast(flat, "float32")[:, :1]
    back = ops.convert_to_numpy(UnflattenChoices()(scores, x))
    np.testing.assert_array_equal(back, x[:, :, 0])
