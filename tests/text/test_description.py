"""Descriptions of a build's inputs."""

import fsspec

from keras_electra.text.description import SAMPLE_SIZE
from keras_electra.text.description import describe_file


def test_file(tmp_path):
    path = tmp_path / "a.txt"
    seen = []
    size = 3 * SAMPLE_SIZE
    for change in (None, 0, size - 1):
        data = bytearray(size)
        if change is not None:
            data[change] = 1
        path.write_bytes(data)
        seen.append(describe_file(str(path)))
    assert all(one["file"] == str(path) for one in seen)
    assert all(one["bytes"] == size for one in seen)
    assert len({one["digest"] for one in seen}) == 3


def test_file_at_an_address():
    with fsspec.open("memory://described.txt", "wb") as file:
        file.write(b"abc")
    assert describe_file("memory://described.txt")["bytes"] == 3
