import h5py
import keras
import keras_hub
import numpy as np
import pytest

import keras_electra


def build():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "bees", "sleep"]
    tokenizer = keras_electra.ElectraTokenizer(words)
    backbone = keras_electra.ElectraBackbone(
        vocabulary_size=len(words),
        num_layers=1,
        num_heads=1,
        hidden_dim=8,
        intermediate_dim=8,
    )
    return keras_electra.ElectraTextClassifier(
        backbone,
        num_classes=2,
        preprocessor=keras_electra.ElectraTextClassifierPreprocessor(
            tokenizer, sequence_length=8
        ),
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_saved_under_mixed_precision(policy, tmp_path):
    """Opens in the precision of the day, with the same weights."""
    keras.config.set_dtype_policy(policy)
    classifier = build()
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
                classifier.backbone.get_weights(),
                network.get_weights(),
                strict=True,
            ):
                assert theirs.dtype == "float32"
                np.testing.assert_array_equal(mine, theirs)


def test_half_precision_on_disk(tmp_path):
    classifier = build()
    classifier.save_to_preset(str(tmp_path / "whole"))
    classifier.save_to_preset(str(tmp_path / "half"), weights_dtype="float16")
    for name in ("model", "task"):
        weights = f"{name}.weights.h5"
        with h5py.File(tmp_path / "half" / weights) as file:
            kinds = []
            file.visititems(
                lambda _, item: kinds.append(getattr(item, "dtype", None))
            )
        assert np.float16 in kinds and np.float32 not in kinds
    opened = keras_electra.ElectraTextClassifier.from_preset(
        str(tmp_path / "half")
    )
    for mine, theirs in zip(
        classifier.get_weights(), opened.get_weights(), strict=True
    ):
        assert theirs.dtype == "float32"
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-6)
    texts = ["bees sleep", "sleep"]
    np.testing.assert_allclose(
        classifier.predict(texts, verbose=0),
        opened.predict(texts, verbose=0),
        atol=1e-3,
    )


def test_half_precision_that_cannot_be(tmp_path):
    classifier = build()
    classifier.save_to_preset(str(tmp_path))
    before = (tmp_path / "model.weights.h5").read_bytes()
    with pytest.raises(ValueError, match="weights_dtype='bfloat16'"):
        classifier.save_to_preset(str(tmp_path), weights_dtype="bfloat16")
    bias = classifier.backbone.transformer_layers[0].attention.output_dense.bias
    bias.assign(np.full(bias.shape, 1e6))
    with pytest.raises(ValueError, match="has one of 1e[+]06"):
        classifier.save_to_preset(str(tmp_path), weights_dtype="float16")
    assert (tmp_path / "model.weights.h5").read_bytes() == before


def test_urls_are_no_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="local folder.*memory://bucket/p"):
        build().save_to_preset("memory://bucket/p")
    assert not list(tmp_path.iterdir())
