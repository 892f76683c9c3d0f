"""A pre-trainer of two words' width, and texts whose order is a rule."""

import keras
import numpy as np
import pytest

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.pretraining.pretrainer import ElectraPretrainerPreprocessor
from keras_electra.text.tokenizer import ElectraTokenizer

# Compiling takes longer than these tests compute. On JAX there is no other way
# to train, on torch it is not the default; one test compares.
FAST = {"jit_compile": False} if keras.config.backend() == "tensorflow" else {}
WORDS = [f"w{i}" for i in range(27)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tiny_pretrainer(tokenizer=None, dtype=None, compile=True, **kwargs):
    """One layer each, 16 and 8 wide, for a vocabulary of 32."""
    common = dict(
        vocabulary_size=32,
        num_layers=1,
        embedding_dim=16,
        max_sequence_length=16,
        dtype=dtype,
    )
    common["dropout"] = kwargs.pop("dropout", 0.0)
    backbone = ElectraBackbone(
        num_heads=2, hidden_dim=16, intermediate_dim=32, **common
    )
    generator = ElectraBackbone(
        num_heads=1, hidden_dim=8, intermediate_dim=16, **common
    )
    if tokenizer is None:
        kwargs.setdefault("mask_token_id", 4)
        kwargs.setdefault("unselectable_token_ids", [0, 2, 3, 4])
    else:
        kwargs["preprocessor"] = ElectraPretrainerPreprocessor(
            tokenizer, sequence_length=12
        )
    kwargs.setdefault("seed", 7)
    pretrainer = ElectraPretrainer(backbone, generator, compile=False, **kwargs)
    if compile:
        pretrainer.compile(**FAST)
    return pretrainer


@pytest.fixture
def make_pretrainer():
    return tiny_pretrainer


@pytest.fixture
def tokenizer():
    return ElectraTokenizer(SPECIAL + WORDS)


@pytest.fixture
def rows():
    """64 rows of 12 tokens, each counting up from one of two words."""
    first = 13 * np.random.default_rng(0).integers(0, 2, (64, 1))
    ids = 5 + (first + np.arange(10)) % 27
    ids = np.pad(ids, ((0, 0), (1, 1)), constant_values=((2, 3), (2, 3)))
    ids[:, 0], ids[:, -1] = 2, 3
    ids = ids.astype("int32")
    ids[::4, 7], ids[::4, 8:] = 3, 0
    return {
        "token_ids": ids,
        "segment_ids": np.zeros_like(ids),
        "padding_mask": (ids > 0).astype("int32"),
    }


@pytest.fixture
def texts():
    generator = np.random.default_rng(0)
    starts = generator.integers(0, 27, 40)
    return [
        " ".join(WORDS[(start + i) % 27] for i in range(10)) for start in starts
    ]
