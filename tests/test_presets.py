"""Presets: names, the parts of a pre-trainer, and saving on a full disk."""

import errno
import json
import pathlib

import keras
import keras_hub
import numpy as np
import pytest

import keras_electra
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import find_presets
from keras_electra.presets import presets_folder
from keras_electra.presets import register_presets
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.pretraining.pretrainer import ElectraPretrainerPreprocessor
from keras_electra.tasks.masked_lm import ElectraMaskedLM
from keras_electra.tasks.masked_lm import ElectraMaskedLMPreprocessor
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetector,
)
from keras_electra.tasks.text_classifier import ElectraTextClassifier
from keras_electra.text.tokenizer import ElectraTokenizer
from tests import checks

X = checks.ids([2, 5, 6, 7, 3], [2, 12, 10, 3])
MASKED = {**X, "mask_positions": np.array([[2, 3], [1, 2]], "int32")}


@pytest.fixture(scope="module")
def pretrainer():
    return ElectraPretrainer(
        checks.tiny_backbone(),
        checks.tiny_backbone(hidden_dim=4),
        preprocessor=ElectraPretrainerPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
    )


@pytest.fixture(scope="module")
def folder(pretrainer, tmp_path_factory):
    """The preset of the pre-trainer, among built-in presets to be."""
    folder = tmp_path_factory.mktemp("presets") / "electra_test_en"
    pretrainer.save_to_preset(str(folder))
    return folder


@pytest.fixture(scope="module")
def name(folder):
    """Its name, after the registration."""
    register_presets(ElectraBackbone, folder.parent)
    return folder.name


def discriminator_logits(pretrainer):
    vectors = pretrainer.backbone.predict(X, verbose=0)["sequence_output"]
    return keras.ops.convert_to_numpy(pretrainer.discriminator_head(vectors))


def token_logits(pretrainer):
    vectors = pretrainer.generator.predict(X, verbose=0)["sequence_output"]
    logits = pretrainer.generator_head(vectors, MASKED["mask_positions"])
    return keras.ops.convert_to_numpy(logits)


def test_detector_of_a_pretrainer(pretrainer, folder, tmp_path):
    detector = ElectraReplacedTokenDetector.from_preset(str(folder))
    np.testing.assert_allclose(
        checks.outputs_of(detector, X),
        discriminator_logits(pretrainer),
        atol=1e-5,
    )
    # 8 of its own, not 512: the network has 16 positions.
    assert detector.preprocessor.sequence_length == 16
    assert len(detector.detect("the chef cooked")) == 4
    checks.check_preset(detector, X, tmp_path / "alone")


def test_masked_lm_of_a_pretrainer(pretrainer, folder, tmp_path):
    filler = ElectraMaskedLM.from_preset(str(folder))
    assert filler.backbone.hidden_dim == 4
    np.testing.assert_allclose(
        checks.outputs_of(filler, MASKED), token_logits(pretrainer), atol=1e-5
    )
    checks.check_preset(filler, MASKED, tmp_path / "alone")
    checks.check_keras_file(filler, MASKED, tmp_path / "alone.keras")


@pytest.mark.parametrize(
    "cls",
    [
        ElectraReplacedTokenDetector,
        ElectraMaskedLM,
    ],
)
def test_precision_of_a_pretrainers_parts(cls, folder):
    task = cls.from_preset(str(folder), dtype="bfloat16")
    assert {w.dtype for w in task.weights} == {"bfloat16"}


def test_parts_without_weights(pretrainer, folder):
    keras.utils.set_random_seed(1)
    fresh = ElectraMaskedLM.from_preset(str(folder), load_weights=False)
    assert not np.allclose(
        checks.outputs_of(fresh, MASKED), token_logits(pretrainer)
    )


def test_classifier_of_a_pretrainer(pretrainer, folder):
    vectors = pretrainer.backbone.predict(X, verbose=0)["sequence_output"]
    for cls in (ElectraTextClassifier, keras_hub.models.TextClassifier):
        task = cls.from_preset(str(folder), num_classes=3)
        assert type(task) is ElectraTextClassifier
        np.testing.assert_allclose(
            task.backbone.predict(X, verbose=0)["sequence_output"],
            vectors,
            atol=1e-5,
        )


def test_kerashub_opens_our_classes(folder):
    folder = str(folder)
    backbone = keras_hub.models.Backbone.from_preset(folder)
    assert type(backbone) is ElectraBackbone
    tokenizer = keras_hub.tokenizers.Tokenizer.from_preset(folder)
    assert type(tokenizer) is ElectraTokenizer
    assert tokenizer.get_vocabulary() == checks.VOCABULARY
    preprocess = keras_hub.models.MaskedLMPreprocessor.from_preset(folder)
    assert type(preprocess) is ElectraMaskedLMPreprocessor
    assert preprocess.sequence_length == 16
    # The documented exception: the discriminator under a fresh head.
    filler = keras_hub.models.MaskedLM.from_preset(folder)
    assert type(filler) is ElectraMaskedLM
    assert filler.backbone.hidden_dim == 8


def test_a_pretrainer_without_generator_has_none_to_open(tmp_path):
    pretrainer = ElectraPretrainer(
        checks.tiny_backbone(),
        None,
        preprocessor=ElectraPretrainerPreprocessor(checks.tiny_tokenizer()),
    )
    pretrainer.save_to_preset(str(tmp_path / "preset"))
    with pytest.raises(ValueError, match="pre-trained without a `generator`"):
        ElectraMaskedLM.from_preset(str(tmp_path / "preset"))


def test_names_open_presets(name, folder, pretrainer):
    detector = ElectraReplacedTokenDetector.from_preset(name)
    np.testing.assert_allclose(
        checks.outputs_of(detector, X),
        discriminator_logits(pretrainer),
        atol=1e-5,
    )
    assert ElectraTokenizer.from_preset(name).vocabulary_size() == 13
    for cls in (ElectraBackbone, ElectraMaskedLM, ElectraTextClassifier):
        entry = cls.presets[name]
        assert entry["kaggle_handle"] == str(folder)
        assert entry["metadata"]["params"] > 0


def test_unknown_names_are_an_error():
    with pytest.raises(ValueError, match="(?s)Unknown preset.*electra_nope"):
        ElectraMaskedLM.from_preset("electra_nope")


def test_only_presets_are_found(tmp_path):
    (tmp_path / "no_metadata").mkdir()
    (tmp_path / "no_metadata" / "config.json").write_text("{}")
    (tmp_path / "README.md").write_text("")
    assert find_presets(tmp_path) == {}
    assert find_presets(tmp_path / "missing") == {}


def test_built_in_presets_are_complete():
    """And none has a name that KerasHub has for another."""
    found = find_presets(presets_folder())
    assert not set(found) & set(keras_hub.models.ElectraBackbone.presets)
    for folder in found.values():
        assert list(folder.glob("model*.weights.*"))
        assert (folder / "tokenizer.json").is_file()


def read_files(folder):
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def full_disk(self, path, *args, **kwargs):
    pathlib.Path(path).write_bytes(b"half of it")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_preset_as_it_was(tmp_path, monkeypatch):
    task = ElectraReplacedTokenDetector(checks.tiny_backbone())
    folder = tmp_path / "preset"
    task.save_to_preset(str(folder))
    before = read_files(folder)
    task.backbone.embeddings.layer_norm.beta.assign(np.ones(4, "float32"))
    monkeypatch.setattr(type(task.backbone), "save_weights", full_disk)
    with pytest.raises(OSError, match="No space left"):
        task.save_to_preset(str(folder))
    assert read_files(folder) == before
    with pytest.raises(OSError, match="No space left"):
        task.save_to_preset(str(tmp_path / "new"))
    assert [path.name for path in tmp_path.iterdir()] == ["preset"]


def test_saving_again_replaces_weights_and_keeps_other_files(tmp_path):
    folder = tmp_path / "preset"
    folder.mkdir()
    (folder / "README.md").write_text("A card.")
    stale = folder / "model.weights.json"
    stale.write_text("{}")
    task = ElectraReplacedTokenDetector(checks.tiny_backbone(), compile=False)
    task.save_to_preset(folder)
    assert not stale.exists()
    assert (folder / "README.md").read_text() == "A card."
    config = json.loads((folder / "config.json").read_text())
    assert config["registered_name"] == "keras_electra>ElectraBackbone"
    assert not list(folder.glob(".saving-*"))
    opened = ElectraReplacedTokenDetector.from_preset(str(folder))
    checks.check_same_outputs(task, opened, X)


def test_exporting_into_a_preset_leaves_no_half_of_it(folder, tmp_path):
    task = ElectraReplacedTokenDetector.from_preset(str(folder))
    task.save_to_preset(tmp_path)
    task.export_to_transformers(tmp_path)
    assert not (tmp_path / "task.json").exists()
    assert not list(tmp_path.glob("*.weights.*"))
    again = ElectraReplacedTokenDetector.from_preset(tmp_path)
    checks.check_same_outputs(task, again, X)


FACTS = {"parameters", "language", "corpus", "licence", "source", "verified"}


def test_what_is_listed():
    found = keras_electra.presets()
    assert all(set(facts) == FACTS for facts in found.values())
    ours = found["electra_tiny_en"]
    assert ours["parameters"] > 1e6 and "run by the tests" in ours["verified"]
    kerashub = [n for n in found if n.endswith("_uncased_en")]
    assert len(kerashub) == 6
    google = [n for n in found if n.startswith("hf://google/")]
    assert len(google) == 6
    # Nothing that was not tried is said to be.
    for name, facts in found.items():
        if name.startswith("hf://") or name in kerashub:
            assert "not downloaded" in facts["verified"]


def test_every_class_lists_them():
    names = set(keras_electra.presets())
    for cls in (
        keras_electra.ElectraBackbone,
        keras_electra.ElectraPretrainer,
        keras_electra.ElectraTextClassifier,
        keras_electra.ElectraMaskedLM,
    ):
        assert names <= set(cls.presets)
        entry = cls.presets["hf://google/electra-base-generator"]
        assert entry["metadata"]["params"] == 33_511_168
        assert entry["kaggle_handle"] == "hf://google/electra-base-generator"
