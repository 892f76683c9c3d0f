"""Logits to probabilities, in NumPy."""

import numpy as np


def softmax(logits):
    """Probabilities over the last axis; takes and returns an array."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def sigmoid(logits):
    """A probability for each logit of an array; does not overflow."""
    return np.exp(-np.logaddexp(0.0, -logits))
