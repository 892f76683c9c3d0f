import keras
import keras_hub
import numpy as np
import pytest

import keras_electra


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_saved_under_mixed_precision(policy, tmp_path):
    """Opens in the precision of the day, with the same weights."""
    keras.config.set_dtype_policy(policy)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "bees", "sleep"]
    tokenizer = keras_electra.ElectraTokenizer(words)
    backbone = keras_electra.ElectraBackbone(
        vocabulary_size=len(words),
        num_layers=1,
        num_heads=1,
        hidden_dim=8,
        intermediate_dim=8,
    )
    classifier = keras_electra.ElectraTextClassifier(
        backbone,
        num_classes=2,
        preprocessor=keras_electra.ElectraTextClassifierPreprocessor(
            tokenizer, sequence_length=8
        ),
    )
    classifier.save_to_preset(str(tmp_path))
    for precision in ("float32", policy):
        keras.config.set_dtype_policy(precision)
        for cls in (
            keras_electra.ElectraTextClassifier,
            keras_hub.models.TextClassifier,
            keras_electra.ElectraBackbone,
        ):
            opened = cls.from_preset(str(tmp_path))
            network = getattr(opened, "backbone", opened)
            assert network.dtype_policy.name == precision
            for mine, theirs in zip(
                backbone.get_weights(), network.get_weights(), strict=True
            ):
                assert theirs.dtype == "float32"
                np.testing.assert_array_equal(mine, theirs)
