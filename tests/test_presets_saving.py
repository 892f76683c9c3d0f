"""Saved whole or not at all, with a card, in half the size, and uploaded."""

import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import types

import h5py
import keras
import keras_hub
import numpy as np
import pytest

import keras_electra
from keras_electra.presets_saving import known_rows
from tests import checks


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


@pytest.mark.parametrize(
    "address", ["hf://user/model", "kaggle://a/b/keras/c", "memory://a/b"]
)
def test_addresses_that_cannot_be_written(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    classifier = build()
    for task in (classifier, classifier.backbone, classifier.preprocessor):
        with pytest.raises(ValueError, match=f"local folder.*{address}"):
            task.save_to_preset(address)
        with pytest.raises(ValueError, match="local folder"):
            task.save_to_preset(pathlib.Path(address))
    with pytest.raises(ValueError, match=address):
        classifier.export_to_keras_hub(address)
    with pytest.raises(ValueError, match="directory.*local folder"):
        keras_electra.ResumableCheckpoint(address)
    tokenizer = classifier.preprocessor.tokenizer
    with pytest.raises(ValueError, match="output_dir.*local folder"):
        keras_electra.build_examples("no.txt", address, tokenizer)
    with pytest.raises(ValueError, match="output_dir.*local folder"):
        keras_electra.load_examples(pathlib.Path(address), "train", 1)
    assert not list(tmp_path.iterdir())


def die_at(step, save, folder):
    """Saves in a process that is killed at a call of the system."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    left = itertools.count(step, -1)

    def counted(function):
        def call(*args, **kwargs):
            if not next(left):
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for name in "stat replace rename unlink mkdir rmdir fsync open".split():
        setattr(os, name, counted(getattr(os, name)))
    save(folder)
    os._exit(0)


@pytest.mark.skipif(
    keras.config.backend() != "torch" or not hasattr(os, "fork"),
    reason="others have threads, which `fork` does not bear",
)
def test_killed_at_any_moment(tmp_path):
    """There is the old preset or the new one, and nothing is left over."""
    task, seen = build(), set()
    task.save_to_preset(tmp_path / "old")
    task.output_dense.bias.assign([1.0, 2.0])
    task.backbone.embeddings.layer_norm.beta.assign(np.ones(8))
    for step in range(1, 200, 9):
        folder = shutil.copytree(tmp_path / "old", tmp_path / str(step))
        status = die_at(step, task.save_to_preset, folder)
        opened = keras_electra.ElectraTextClassifier.from_preset(folder)
        norm = opened.backbone.embeddings.layer_norm
        is_new = opened.output_dense.get_weights()[1].tolist() == [1, 2]
        assert (norm.get_weights()[1].tolist() == [1] * 8) == is_new
        seen.add((status, is_new))
        opened.save_to_preset(folder)
        assert not list(folder.glob(".*"))
    assert seen >= {(signal.SIGKILL, False), (signal.SIGKILL, True)}


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs limits")
def test_a_full_disk_is_an_error_and_no_crash(tmp_path):
    build().save_to_preset(tmp_path / "old")
    program = (
        "import resource, sys\n"
        "from tests.test_presets_saving import build\n"
        "task = build()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "network, name = task.backbone, sys.argv[1] + '/a.lora.h5'\n"
        "def shards(folder):\n"
        "    path = folder + '/m.weights.json'\n"
        "    network.save_weights(path, True, max_shard_size=1e-4)\n"
        "network.enable_lora(1)\n"
        "adapters = lambda folder: network.save_lora_weights(name)\n"
        "saves = task.save_to_preset, network.save_to_preset, shards\n"
        "for save in (*saves, adapters):\n"
        "    try: save(sys.argv[1])\n"
        "    except OSError: print('refused', flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "old")],
        cwd=pathlib.Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "refused\n" * 4), done.stderr
    keras_electra.ElectraTextClassifier.from_preset(tmp_path / "old")
    assert not list((tmp_path / "old").glob(".*"))


def build_pretrainer():
    return keras_electra.ElectraPretrainer(
        checks.tiny_backbone(),
        checks.tiny_backbone(hidden_dim=4),
        preprocessor=keras_electra.ElectraPretrainerPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        compile=False,
    )


def test_rows_of_a_pretrainer():
    pretrainer = build_pretrainer()
    rows = known_rows(pretrainer)
    assert rows["parameters"] == f"{pretrainer.count_params():,}"
    assert "hidden_dim 8" in rows["backbone"]
    assert "vocabulary_size 13" in rows["backbone"]
    assert "hidden_dim 4" in rows["generator"]
    assert "mask_fraction 0.15" in rows["task"]
    text = "sequence_length 8, truncate round_robin"
    assert rows["preprocessor"] == text
    assert "lowercase True" in rows["tokenizer"]
    assert "steps" not in rows


def test_steps_and_metrics_of_a_training(tmp_path):
    classifier = keras_electra.ElectraTextClassifier(
        checks.tiny_backbone(), num_classes=2, compile=False
    )
    checks.compile_quickly(classifier)
    rows = checks.ids([2, 5, 6, 7, 3])
    history = classifier.fit(rows, np.array([1]), batch_size=1, verbose=0)
    card = {"corpus": "two lines", "licence": "Apache-2.0"}
    classifier.save_to_preset(tmp_path, card=card)
    text = (tmp_path / "README.md").read_text()
    assert "| steps | 1 of " in text
    assert f"| loss | {history.history['loss'][-1]:.4g} |" in text
    assert "| corpus | two lines |" in text
    assert "\nlicense: apache-2.0\n" in text
    assert "keras_electra.ElectraTextClassifier.from_preset" in text


def test_written_anew_unless_somebody_wrote_it(tmp_path):
    classifier = keras_electra.ElectraTextClassifier(
        checks.tiny_backbone(), labels=["bad", "good"], compile=False
    )
    classifier.save_to_preset(tmp_path)
    card = tmp_path / "README.md"
    assert "| labels | bad, good |" in card.read_text()
    assert "pipeline_tag: text-classification" in card.read_text()
    classifier.save_to_preset(tmp_path, card={"labels": "two"})
    assert "| labels | two |" in card.read_text()
    card.write_text("Mine.")
    classifier.save_to_preset(tmp_path)
    assert card.read_text() == "Mine."


def test_a_converted_model_says_from_where(tmp_path, golden):
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(
        golden / "tiny_ckpt"
    )
    assert "Google's TF1" in known_rows(detector)["converted from"]


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
