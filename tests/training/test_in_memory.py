import numpy as np
import pytest

from keras_electra.training.in_memory import check_validation_split
from keras_electra.training.in_memory import is_in_memory
from keras_electra.training.in_memory import training_size


def test_is_in_memory():
    assert is_in_memory(["a"]) and is_in_memory((["a"], ["b"]))
    assert is_in_memory({"token_ids": np.zeros((1, 2))})
    assert not is_in_memory(iter(["a"]))
    assert not is_in_memory({}) and not is_in_memory(())


def test_validation_split():
    assert training_size(8, 0.25) == 6
    check_validation_split(["a"], 0.5)
    check_validation_split(iter(["a"]), 0.0)
    with pytest.raises(ValueError, match="and a data set, list_iterator"):
        check_validation_split(iter(["a"]), 0.5)
    for share in (0.9, 1.0, 1.5, -0.5):
        with pytest.raises(ValueError, match="`validation_split` must leave"):
            training_size(2, share)
