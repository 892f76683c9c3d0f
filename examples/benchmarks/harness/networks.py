"""The network and preprocessor that every run of a harness starts from.

The paper fine-tunes with dropout 0.1 (table 7), whatever a preset was
pre-trained with: small networks are often pre-trained without.
"""

import hashlib

import keras
import numpy as np

from keras_electra.model.backbone import ElectraBackbone

DROPOUT = 0.1


def open_backbone(preset, random_weights=False, dtype=None, dropout=DROPOUT):
    """The network of a preset.

    Args:
        preset: string, name or path of a preset.
        random_weights: bool. Whether to leave it as it is initialized.
            Defaults to `False`.
        dtype: string or `None`. Policy such as `"mixed_bfloat16"`. Defaults
            to Keras' own of the moment.
        dropout: float. Defaults to `0.1`.

    Returns:
        An `ElectraBackbone`.
    """
    return ElectraBackbone.from_preset(
        preset,
        load_weights=not random_weights,
        dtype=dtype or keras.config.dtype_policy(),
        dropout=dropout,
        attention_dropout=dropout,
    )


def digest(backbone):
    """A short name for the weights of a network.

    Presets change under one name; results of others are not to be mixed up.

    Args:
        backbone: `ElectraBackbone`.

    Returns:
        string of 12 characters.
    """
    total = hashlib.sha256()
    for weight in backbone.get_weights():
        total.update(np.ascontiguousarray(weight).tobytes())
    return total.hexdigest()[:12]
