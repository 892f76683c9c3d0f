import keras
import numpy as np
import pytest

from keras_electra.tasks.contrastive_loss import ContrastiveLoss


def value(groups, vectors, **kwargs):
    loss = ContrastiveLoss(temperature=0.5, **kwargs)
    result = loss(np.array(groups), np.array(vectors, "float32"))
    return keras.ops.convert_to_numpy(result)


def test_by_hand():
    vectors = [[1, 0], [5, 0], [0, 1], [0, 2]]
    right = value([0, 0, 1, 1], vectors)
    # Cosines 1 for the partner, 0 for two others, over 0.5.
    assert right == pytest.approx(np.log(np.exp(2) + 2) - 2, abs=1e-5)
    wrong = value([0, 1, 0, 1], vectors)
    assert wrong == pytest.approx(np.log(np.exp(2) + 2), abs=1e-5)


def test_alone():
    losses = value([0, 0, 1], [[1, 0], [1, 0], [0, 1]], reduction=None)
    assert losses[2] == 0.0 and losses[0] > 0


def test_config():
    loss = ContrastiveLoss(temperature=0.1)
    assert ContrastiveLoss.from_config(loss.get_config()).temperature == 0.1
