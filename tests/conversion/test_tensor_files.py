"""Files of weights: one or several, safetensors or pickled."""

import builtins

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from keras_electra.conversion.hugging_face import read_tensors

ARRAYS = {
    "a": np.arange(6, dtype="float32").reshape(2, 3),
    "b.half": np.float16([1.5, -2]),
    "b.brain": np.array([0.5, 3], ml_dtypes.bfloat16),
}


def open_files(folder):
    def find(name):
        path = folder / name
        return path if path.is_file() else None

    return read_tensors(find, "the checkpoint")


def check(files):
    assert files.keys() == ARRAYS.keys()
    for name, expected in ARRAYS.items():
        assert files[name].shape == expected.shape
        np.testing.assert_array_equal(
            np.asarray(files[name].read(), "float32"),
            expected.astype("float32"),
        )


def test_safetensors(tmp_path):
    safetensors.numpy.save_file(ARRAYS, tmp_path / "model.safetensors")
    check(open_files(tmp_path))


def test_pickle(tmp_path):
    import torch

    tensors = {
        name: torch.tensor(array.astype("float32"))
        for name, array in ARRAYS.items()
    }
    tensors["b.brain"] = tensors["b.brain"].bfloat16()
    tensors["b.half"] = tensors["b.half"].half()
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    check(open_files(tmp_path))
    # What runs no code goes first.
    safetensors.numpy.save_file({}, tmp_path / "model.safetensors")
    assert open_files(tmp_path) == {}


def test_pickle_without_pytorch(tmp_path, monkeypatch):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    real = builtins.__import__

    def fail(name, *arguments, **kwargs):
        if name == "torch":
            raise ImportError("No module named 'torch'")
        return real(name, *arguments, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(ImportError, match="needs PyTorch.*pip install torch"):
        open_files(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no file", b"\x80\x02."])
def test_damaged_files(content, tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ValueError, match="pytorch_model.bin cannot be read"):
        open_files(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="model.safetensors cannot be read"):
        open_files(tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        ('{"weight_map": {"a": "../model.safetensors"}}', "files beside it"),
        ('{"weight_map": {"a": "/model.safetensors"}}', "files beside it"),
        ('{"weight_map": {}}', "files beside it"),
        ('{"weight_map": ["a.safetensors"]}', "files beside it"),
        ("[" * 10**5, "no valid JSON"),
        ('{"a": ' + "1" * 5000 + "}", "no valid JSON"),
        ("[]", "no valid JSON"),
    ],
)
def test_an_index_names_files_beside_it(tmp_path, content, message):
    safetensors.numpy.save_file(ARRAYS, tmp_path / "model.safetensors")
    inside = tmp_path / "inside"
    inside.mkdir()
    index = inside / "model.safetensors.index.json"
    index.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=f"index.json.*{message}"):
        open_files(inside)
