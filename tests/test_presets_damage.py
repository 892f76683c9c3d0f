"""What is damaged, missing or half-written is an error that names the file."""

import json
import shutil

import keras
import keras_hub
import numpy as np
import pytest

import keras_electra
from keras_electra.presets import presets_folder
from tests import checks


def build(**kwargs):
    return keras_electra.ElectraTextClassifier(
        checks.tiny_backbone(num_layers=2),
        num_classes=2,
        preprocessor=keras_electra.ElectraTextClassifierPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        **kwargs,
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "preset"
    build().save_to_preset(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "preset")


def strip_checksums(folder):
    """Makes it a preset of earlier times."""
    metadata = json.loads((folder / "metadata.json").read_text())
    del metadata["sha256"]
    (folder / "metadata.json").write_text(json.dumps(metadata))


NAMES = [
    "config.json",
    "model.weights.h5",
    "preprocessor.json",
    "task.json",
    "task.weights.h5",
    "tokenizer.json",
    "assets/tokenizer/vocabulary.txt",
]
OPEN = keras_electra.ElectraTextClassifier.from_preset


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(name, folder):
    (folder / name).unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=name):
        OPEN(folder)


@pytest.mark.parametrize("name", NAMES[:-2] + NAMES[-1:])
def test_a_missing_file_of_an_old_preset_is_named(name, folder):
    strip_checksums(folder)
    (folder / name).unlink()
    if name == "preprocessor.json":  # `task.json` has it, too
        OPEN(folder)
        return
    with pytest.raises((ValueError, FileNotFoundError), match=name):
        OPEN(folder)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_old", [False, True])
def test_half_a_file_is_named(name, is_old, folder):
    if is_old and name in ("preprocessor.json", "tokenizer.json"):
        return  # `task.json` has them as well
    if is_old:
        strip_checksums(folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=str(folder)):
        OPEN(folder)


@pytest.mark.parametrize("name", NAMES)
def test_one_flipped_bit_is_named(name, folder):
    content = bytearray((folder / name).read_bytes())
    content[len(content) * 2 // 3] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}.*(SHA-256|JSON)"):
        OPEN(folder)


def test_other_files_are_nobodys_business(tmp_path):
    other = tmp_path / "data.json"
    other.write_text("{}")
    build().save_to_preset(tmp_path)
    keras_electra.ElectraTokenizer.from_preset(tmp_path).save_to_preset(
        tmp_path
    )
    other.write_text("[]")
    OPEN(tmp_path)
    listed = json.loads((tmp_path / "metadata.json").read_text())["sha256"]
    assert set(listed) == set(NAMES)


def test_parts_check_what_they_read(folder):
    for name in ("task.json", "task.weights.h5"):
        (folder / name).unlink()
    keras_electra.ElectraBackbone.from_preset(folder)
    (folder / "model.weights.h5").write_bytes(b"")
    keras_electra.ElectraTokenizer.from_preset(folder)
    keras_electra.ElectraTextClassifierPreprocessor.from_preset(folder)
    with pytest.raises(ValueError, match="model.weights.h5"):
        keras_electra.ElectraBackbone.from_preset(folder)
    (folder / NAMES[-1]).write_text("bees")
    with pytest.raises(ValueError, match="vocabulary.txt"):
        keras_electra.ElectraTokenizer.from_preset(folder)


@pytest.mark.parametrize("name", [*NAMES[1:2], *NAMES[3:5], NAMES[-1]])
def test_base_classes_check_the_same(name, folder):
    """KerasHub's own find what has changed, and the head that is gone."""
    content = bytearray((folder / name).read_bytes())
    content[-9] ^= 1
    (folder / name).write_bytes(content)
    base = keras_hub.models.TextClassifier.from_preset
    with pytest.raises(ValueError, match=f"{name}.*SHA-256"):
        base(str(folder))
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} of .* is missing"):
        base(str(folder))
    if name == "model.weights.h5":
        with pytest.raises(FileNotFoundError, match=name):
            keras_hub.models.Backbone.from_preset(str(folder))


def test_base_classes_take_up_a_killed_save(folder):
    (folder / ".saved").mkdir()
    name = "model.weights.h5"
    (folder / name).rename(folder / ".saved" / name)
    shutil.copy(folder / "config.json", folder / ".saved")
    assert keras_hub.models.Backbone.from_preset(str(folder))
    assert not (folder / ".saved").exists()


@pytest.mark.parametrize("cls", ["ElectraBackbone", "ElectraTextClassifier"])
def test_fewer_layers_than_the_weights_have(cls, folder):
    """Keras reads those that the network has, and leaves the others."""
    strip_checksums(folder)
    for name, path in {"config.json": [], "task.json": ["backbone"]}.items():
        content = json.loads((folder / name).read_text())
        part = content["config"]
        for key in path:
            part = part[key]["config"]
        part["num_layers"] = 1
        (folder / name).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="weights.h5 of .* more weights than"):
        getattr(keras_electra, cls).from_preset(folder)


@pytest.fixture
def loud():
    was_on = keras.config.is_interactive_logging_enabled()
    keras.config.enable_interactive_logging()
    yield
    if not was_on:
        keras.config.disable_interactive_logging()


def test_old_presets_open_with_a_note(folder, capsys, loud):
    assert OPEN(folder) and "checksums" not in capsys.readouterr().out
    strip_checksums(folder)
    assert OPEN(folder) and "no checksums" in capsys.readouterr().out


def test_a_fresh_head_is_printed(folder, capsys, loud):
    OPEN(folder)
    assert "fresh" not in capsys.readouterr().out
    OPEN(folder, num_classes=2)
    assert "fresh head" in capsys.readouterr().out
    keras_electra.ElectraTokenClassifier.from_preset(folder, num_classes=3)
    assert "fresh head" in capsys.readouterr().out
    keras_electra.ElectraTextEmbedder.from_preset(folder)
    assert "fresh" not in capsys.readouterr().out


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize(
    "values", [{"num_layers": 1_000_000}, {"vocabulary_size": 10**12}], ids=str
)
def test_sizes_that_cannot_be_are_not_built(values, is_old, folder):
    if is_old:
        strip_checksums(folder)
    content = json.loads((folder / "config.json").read_text())
    content["config"].update(values)
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="config.json|configuration"):
        OPEN(folder)


def test_shipped_presets_have_checksums():
    for folder in presets_folder().glob("electra_*"):
        files = json.loads((folder / "metadata.json").read_text())["sha256"]
        assert files["model.weights.h5"] and files["task.weights.h5"]
        assert files["assets/tokenizer/vocabulary.txt"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value, tmp_path):
    task = build()
    task.output_dense.bias.assign([0.0, value])
    kinds = ["save_to_preset", "export_to_transformers", "export_to_keras_hub"]
    for kind in kinds:
        with pytest.raises(ValueError, match="bias.*(?s:.*)allow_nonfinite"):
            getattr(task, kind)(tmp_path / kind)
    assert not list(tmp_path.iterdir())
    task.save_to_preset(tmp_path, allow_nonfinite=True)
    opened = OPEN(tmp_path)
    np.testing.assert_array_equal(opened.output_dense.bias, [0.0, value])
    task.backbone.save_to_preset(tmp_path / "backbone")
    task.backbone.embeddings.layer_norm.beta.assign([0, value, 0, 0])
    with pytest.raises(ValueError, match="beta"):
        task.backbone.save_to_preset(tmp_path / "backbone")
