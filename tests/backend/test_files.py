"""Checkpoints: of the original, of today's TensorFlow, and damaged ones."""

import json
import shutil

import ml_dtypes
import numpy as np
import pytest

from keras_electra.backend.files import read_checkpoint
from keras_electra.backend.files import write_checkpoint
from tests import recorded

INDEX = next((recorded.FOLDER / "tiny_ckpt").glob("*.index"))
PREFIX = INDEX.stem
# The program counts its steps in the name.
STEPS = int(PREFIX.rpartition("-")[2])
DATA = f"{PREFIX}.data-00000-of-00001"


@pytest.fixture
def folder(golden, tmp_path):
    """A checkpoint that a test may damage."""
    return shutil.copytree(golden / "tiny_ckpt", tmp_path / "tiny_ckpt")


# What was written is read.


def test_checkpoint_of_the_original(golden):
    shapes, read = read_checkpoint(golden / "tiny_ckpt")
    expected = json.loads((golden / "tiny_ckpt/variables.json").read_text())
    assert list(shapes) == sorted(row["name"] for row in expected)
    for row in expected:
        value = read(row["name"])
        assert value.shape == tuple(row["shape"]) == shapes[row["name"]]
        assert value.dtype == row["dtype"]
        # float32 rounding of the recorded means, over up to 28,000 numbers
        np.testing.assert_allclose(
            [np.mean(value, dtype="float64"), np.abs(value).mean()],
            [row["mean"], row["abs_mean"]],
            rtol=1e-5,
            atol=1e-7,
        )
    assert read("global_step") == STEPS


def test_every_way_to_name_it(golden):
    shapes, _ = read_checkpoint(golden / "tiny_ckpt")
    prefix = golden / "tiny_ckpt" / PREFIX
    assert read_checkpoint(prefix)[0] == shapes
    assert read_checkpoint(f"{prefix}.index")[0] == shapes


def test_folder_without_a_checkpoint_file(folder):
    (folder / "checkpoint").unlink()
    _, read = read_checkpoint(folder)
    assert read("global_step") == STEPS


def test_checkpoint_file_of_another_machine(folder):
    text = f'model_checkpoint_path: "/home/someone/run/{PREFIX}"\n'
    (folder / "checkpoint").write_text(text)
    _, read = read_checkpoint(folder)
    assert read("global_step") == STEPS


def test_all_dtypes_of_todays_tensorflow(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "a/float32": rng.normal(size=(3, 5)).astype("float32"),
        "a/float64": rng.normal(size=(2, 2, 2)),
        "a/half": rng.normal(size=7).astype("float16"),
        "a/brain": rng.normal(size=7).astype(ml_dtypes.bfloat16),
        "int32": np.arange(-3, 3, dtype="int32"),
        "int64_scalar": np.int64(2**40),
        "bool": np.array([True, False]),
        "empty": np.zeros((0, 4), "float32"),
    }
    write_checkpoint(tmp_path / "x", tensors)
    shapes, read = read_checkpoint(tmp_path / "x")
    assert list(shapes) == sorted(tensors)
    for name, expected in tensors.items():
        value = read(name)
        assert value.dtype == expected.dtype
        assert value.shape == expected.shape
        np.testing.assert_array_equal(value, expected)
        value[...] = 0  # may be written to


def test_many_names_fill_many_blocks(tmp_path):
    tensors = {
        f"encoder/layer_{i}/{'x' * (i % 50)}": np.float32(i)
        for i in range(3000)
    }
    write_checkpoint(tmp_path / "x", tensors)
    shapes, read = read_checkpoint(tmp_path / "x")
    assert list(shapes) == sorted(tensors)
    for name in list(tensors)[::97]:
        assert read(name) == tensors[name]


# What is damaged or missing is said.


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no TensorFlow checkpoint"):
        read_checkpoint(tmp_path / "model.ckpt-1")
    with pytest.raises(FileNotFoundError, match="exactly one"):
        read_checkpoint(tmp_path)


def test_two_checkpoints_and_no_hint(folder):
    (folder / "checkpoint").unlink()
    shutil.copy(folder / f"{PREFIX}.index", folder / "model.ckpt-80.index")
    with pytest.raises(FileNotFoundError, match="model.ckpt-80.*prefix"):
        read_checkpoint(folder)


def test_missing_data_file(folder):
    (folder / DATA).unlink()
    with pytest.raises(FileNotFoundError, match="A data file of .* missing"):
        read_checkpoint(folder)


def test_data_file_cut_off(folder):
    data = (folder / DATA).read_bytes()
    (folder / DATA).write_bytes(data[:-1])
    names = list(read_checkpoint(folder)[0])
    with pytest.raises(ValueError, match=f"{PREFIX}.*damaged or cut off"):
        _, read = read_checkpoint(folder)
        [read(name) for name in reversed(names)]


def test_damaged_tensor(folder):
    name = "electra/embeddings/word_embeddings"
    data = bytearray((folder / DATA).read_bytes())
    value = read_checkpoint(folder)[1](name)
    data[data.index(value.tobytes()) + 17] ^= 1
    (folder / DATA).write_bytes(data)
    _, read = read_checkpoint(folder)
    with pytest.raises(ValueError, match=f"{PREFIX}, '{name}'.*damaged"):
        read(name)
    read("global_step")  # the others are whole


@pytest.mark.parametrize("keep", [0, 7, 40, 5000, -1])
def test_index_cut_off(folder, keep):
    index = folder / f"{PREFIX}.index"
    index.write_bytes(index.read_bytes()[:keep])
    with pytest.raises(ValueError, match=f"{PREFIX} cannot be read"):
        read_checkpoint(folder)


@pytest.mark.parametrize("position", [0, 100, 4000, -60, -48, -45, -44])
def test_index_damaged(folder, position):
    index = folder / f"{PREFIX}.index"
    data = bytearray(index.read_bytes())
    data[position] ^= 0x15
    index.write_bytes(data)
    if position == -48:  # the place of the meta data, which nobody reads
        assert read_checkpoint(folder)[0]
        return
    with pytest.raises(ValueError, match=f"{PREFIX} cannot be read"):
        read_checkpoint(folder)


def test_any_other_file_is_no_index(tmp_path):
    (tmp_path / "x.index").write_bytes(b"Hello, world! " * 100)
    (tmp_path / "x.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(ValueError, match="x cannot be read"):
        read_checkpoint(tmp_path / "x")


def test_unknown_name(golden):
    _, read = read_checkpoint(golden / "tiny_ckpt")
    with pytest.raises(ValueError, match="'bert/pooler', .*not found"):
        read("bert/pooler")
