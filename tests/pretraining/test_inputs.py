import numpy as np
import pytest

from keras_electra.pretraining import inputs

ROW = {
    "token_ids": np.array([[1, 2]]),
    "segment_ids": np.zeros((1, 2), "int32"),
    "padding_mask": np.ones((1, 2), "int32"),
}


def test_ids_in_range_pass():
    assert inputs.check_ids(ROW, 3) is ROW


@pytest.mark.parametrize("ids", [[[1, 3]], [[-1, 2]]])
def test_ids_out_of_range(ids):
    with pytest.raises(ValueError, match="from 0 to 2"):
        inputs.check_ids({**ROW, "token_ids": np.array(ids)}, 3)


def test_missing_keys_are_named():
    with pytest.raises(ValueError, match="segment_ids"):
        inputs.check_ids({"token_ids": ROW["token_ids"]}, 3)
