"""The original's classifier as the one of transformers, and back.

The original has one linear layer on the vector of `[CLS]`, transformers a
dense layer with GELU before it. Where GELU's argument is large it is the
identity, so a dense layer that only adds a large enough constant, which the
linear layer takes off again, computes the same. The vector is the output of a
layer normalization, so "large enough" is known from its weights. Price: the
logits are rounded at the size of that constant, about 1e-6 of it.

The true bias travels in the configuration, so that the way back is exact.
"""

import numpy as np

KEY = "keras_electra_head"
DENSE, OUT = "classifier/dense", "classifier/out_proj"
# Above this GELU is the identity in float32.
IDENTITY_FROM = 6.0


def to_transformers(kernel, bias, gamma, beta):
    """The four arrays of the transformers' head.

    Args:
        kernel: float32 array of shape `(hidden_dim, num_classes)`.
        bias: float32 array of shape `(num_classes,)`.
        gamma: float32 array of shape `(hidden_dim,)`: scale of the layer
            normalization that the vector comes from.
        beta: float32 array of shape `(hidden_dim,)`: its offset.

    Returns:
        A dict of arrays by original names, and the entries of `config.json`
        that `from_transformers` needs.
    """
    width = len(gamma)
    # No entry of a normalized vector is larger than the root of its width.
    shift = np.abs(gamma) * np.sqrt(width) + np.abs(beta) + IDENTITY_FROM
    shift = np.ceil(shift).astype("float32")
    arrays = {
        f"{DENSE}/kernel": np.eye(width, dtype="float32"),
        f"{DENSE}/bias": shift,
        f"{OUT}/kernel": kernel,
        f"{OUT}/bias": _shifted(kernel, bias, shift),
    }
    settings = {KEY: {"kind": "google", "bias": [float(b) for b in bias]}}
    return arrays, settings


def from_transformers(config, read):
    """The original's head, if it was written by `to_transformers`.

    Args:
        config: dict. Content of `config.json`.
        read: function from an original name to an array.

    Returns:
        A dict with `kernel` and `bias`; `None` when the head is one of
        transformers, or was trained further as such.
    """
    if config.get(KEY, {}).get("kind") != "google":
        return None
    bias = np.asarray(config[KEY]["bias"], "float32")
    dense, shift = read(f"{DENSE}/kernel"), read(f"{DENSE}/bias")
    kernel, shifted = read(f"{OUT}/kernel"), read(f"{OUT}/bias")
    same = (
        bias.shape == shifted.shape
        and np.array_equal(dense, np.eye(len(dense)))
        and np.array_equal(shifted, _shifted(kernel, bias, shift))
    )
    return {"kernel": kernel, "bias": bias} if same else None


def _shifted(kernel, bias, shift):
    taken_off = shift.astype("float64") @ kernel.astype("float64")
    return (bias - taken_off).astype("float32")
