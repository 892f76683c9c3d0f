"""KerasHub's own presets: read exactly, and written so that it opens them."""

import keras
import keras_hub
import numpy as np
import pytest

import keras_electra
from tests import checks
from tests.conversion import foreign

SIZES = {
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 8,
    "embedding_dim": 4,
    "intermediate_dim": 12,
    "max_sequence_length": 16,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A preset such as KerasHub's six."""
    folder = str(tmp_path_factory.mktemp("kerashub"))
    backbone = keras_hub.models.ElectraBackbone(vocab_size=13, **SIZES)
    rng = np.random.default_rng(0)
    for weight in backbone.weights:
        values = rng.normal(0, 0.3, weight.shape)
        weight.assign(values + (1.0 if weight.name == "gamma" else 0.0))
    backbone.save_to_preset(folder)
    keras_hub.tokenizers.ElectraTokenizer(
        checks.VOCABULARY, lowercase=True
    ).save_to_preset(folder)
    return folder


def test_backbone(folder):
    backbone = keras_electra.ElectraBackbone.from_preset(folder)
    assert backbone.activation == "gelu_approximate"
    result = foreign.compare_with_source(backbone, folder, x=foreign.X)
    print(f"\n{keras.config.backend()} KerasHub: {result}")
    assert result.hidden_states < 1e-4 and result.logits is None
    dropped = dict(backbone.conversion_summary.dropped)
    assert set(dropped.values()) == {"pooler, never trained"}
    assert len(dropped) == 2


def test_all_classes_open_one_of_the_six_names(folder, monkeypatch):
    name = "electra_small_generator_uncased_en"
    from keras_hub.src.utils import preset_utils

    entry = preset_utils.BUILTIN_PRESETS[name]
    monkeypatch.setitem(
        preset_utils.BUILTIN_PRESETS, name, {**entry, "kaggle_handle": folder}
    )
    filler = keras_electra.ElectraMaskedLM.from_preset(name)
    assert filler.preprocessor.tokenizer.lowercase
    assert "fresh head" in str(filler.conversion_summary)
    pretrainer = keras_electra.ElectraPretrainer.from_preset(name)
    assert pretrainer.generator_head.activation == "gelu"
    assert "no generator: a fresh one" in str(pretrainer.conversion_summary)
    preprocessor = keras_electra.ElectraTextClassifierPreprocessor
    assert preprocessor.from_preset(name).sequence_length == 16


@pytest.mark.parametrize("embedding_dim", [4, 8])
def test_there_and_back(embedding_dim, tmp_path):
    detector = keras_electra.ElectraReplacedTokenDetector(
        checks.tiny_backbone(
            embedding_dim=embedding_dim, activation="gelu_approximate"
        ),
        preprocessor=keras_electra.ElectraReplacedTokenDetectorPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        compile=False,
    )
    detector.export_to_keras_hub(tmp_path)
    theirs = keras_hub.models.Backbone.from_preset(str(tmp_path))
    assert type(theirs) is keras_hub.models.ElectraBackbone
    again = keras_electra.ElectraBackbone.from_preset(tmp_path)
    assert foreign.same_weights(detector.backbone, again)
    tokenizer = keras_electra.ElectraTokenizer.from_preset(tmp_path)
    text = "The café chef"
    assert tokenizer.encode_batch([text]) == (
        checks.tiny_tokenizer().encode_batch([text])
    )


def test_pretrainer_makes_two_folders(discriminator, generator, tmp_path):
    pretrainer = keras_electra.ElectraPretrainer.from_preset(
        discriminator=discriminator, generator=generator
    )
    pretrainer.export_to_keras_hub(tmp_path)
    for part, network in (
        ("discriminator", pretrainer.backbone),
        ("generator", pretrainer.generator),
    ):
        again = keras_electra.ElectraBackbone.from_preset(tmp_path / part)
        assert foreign.same_weights(network, again)


def test_activation_that_kerashub_has_not(tmp_path):
    detector = keras_electra.ElectraReplacedTokenDetector(
        checks.tiny_backbone(activation="relu"), compile=False
    )
    with pytest.raises(ValueError, match="must be one of 'gelu', .*'relu'"):
        detector.export_to_keras_hub(tmp_path / "new")
    assert not list(tmp_path.iterdir())
