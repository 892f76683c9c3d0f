"""Losses of distillation against numbers worked out by hand or by NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_electra.distillation import distiller as losses


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_unexplained_variance():
    teacher, mask = random(2, 3, 4), np.ones((2, 3), "float32")
    mask[1, 2], teacher[1, 2] = 0, 99.0  # which is not looked at
    teacher, mask = map(ops.convert_to_tensor, (teacher, mask))
    unexplained = losses.unexplained_variance
    assert float(unexplained(teacher + 5.0, teacher, mask)) < 1e-5
    halved = float(unexplained(teacher * 0.5, teacher, mask))
    assert halved == pytest.approx(0.25, abs=1e-4)
    nothing = float(unexplained(teacher * 0, teacher, mask))
    assert nothing == pytest.approx(1, abs=1e-4)


def test_relations():
    """MiniLMv2, equations 4 to 7, with loops."""
    student, teacher, heads, words = random(1, 3, 12), random(1, 3, 24), 2, 2
    mask = np.array([[1, 1, 0]], "float32")
    expected = []
    for kind in range(3):
        for head in range(heads):
            shares = []
            for x in (teacher, student):
                width = x.shape[-1] // 3
                part = x[0, :words, kind * width :][:, :width]
                part = part[:, head * width // heads :][:, : width // heads]
                scores = part @ part.T / np.sqrt(width // heads)
                e = np.exp(scores)
                shares.append(e / e.sum(axis=-1, keepdims=True))
            p, q = shares
            expected.append((p * np.log(p / q)).sum(axis=-1).mean())
    arrays = map(ops.convert_to_tensor, (student, teacher, mask))
    found = float(losses.relation_loss(*arrays, heads))
    assert found == pytest.approx(np.mean(expected), rel=1e-4)
