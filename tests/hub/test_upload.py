"""Uploading goes through the hubs' own libraries, with our card."""

import types

import pytest

import keras_electra
from tests import checks


@pytest.fixture
def folder(tmp_path):
    keras_electra.ElectraReplacedTokenDetector(
        checks.tiny_backbone(), compile=False
    ).save_to_preset(tmp_path)
    return tmp_path


def test_hugging_face(folder, monkeypatch):
    import huggingface_hub

    sent = []
    repository = types.SimpleNamespace(repo_id="user/model")
    monkeypatch.setattr(
        huggingface_hub, "create_repo", lambda repo_id, exist_ok: repository
    )
    monkeypatch.setattr(
        huggingface_hub,
        "upload_file",
        lambda path_or_fileobj, path_in_repo, repo_id: sent.append(
            (path_in_repo, repo_id)
        ),
    )
    monkeypatch.setattr(
        huggingface_hub, "file_exists", lambda repo_id, filename: bool(sent)
    )
    monkeypatch.setattr(
        huggingface_hub,
        "upload_folder",
        lambda repo_id, folder_path: sent.append((folder_path, repo_id)),
    )
    card = (folder / "README.md").read_text()
    keras_electra.upload_preset("hf://user/model", folder)
    assert sent == [("README.md", "user/model"), (str(folder), "user/model")]
    assert (folder / "README.md").read_text() == card


def test_kaggle(folder, monkeypatch):
    import kagglehub

    sent = []
    monkeypatch.setattr(
        kagglehub, "model_upload", lambda *arguments: sent.append(arguments)
    )
    keras_electra.upload_preset("kaggle://user/electra/keras/x", folder)
    assert sent == [("user/electra/keras/x", str(folder))]


def test_what_cannot_be_uploaded(folder, tmp_path):
    with pytest.raises(ValueError, match="Unknown URI"):
        keras_electra.upload_preset("ftp://somewhere", folder)
    with pytest.raises(FileNotFoundError):
        keras_electra.upload_preset("hf://user/model", tmp_path / "nothing")
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match="config.json"):
        keras_electra.upload_preset("hf://user/model", folder)
