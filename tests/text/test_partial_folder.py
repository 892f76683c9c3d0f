"""A folder that is made whole, or not at all."""

import errno
import os

import pytest

from keras_electra.text.partial_folder import partial_folder


def make(output_dir, fail_with=None):
    with partial_folder(str(output_dir)) as folder:
        os.makedirs(folder.result, exist_ok=True)
        with open(os.path.join(folder.result, "a"), "w") as file:
            file.write("whole")
        if fail_with:
            raise fail_with


def test_moved_into_place(tmp_path):
    make(tmp_path / "deep" / "out")
    assert (tmp_path / "deep" / "out" / "a").read_text() == "whole"
    assert os.listdir(tmp_path / "deep") == ["out"]


def test_an_empty_goal_is_used_and_a_full_one_never(tmp_path):
    (tmp_path / "out").mkdir()
    make(tmp_path / "out")
    with pytest.raises(OSError, match="not empty"):
        make(tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["a"]


def test_failure_leaves_the_partial_folder(tmp_path):
    with pytest.raises(ZeroDivisionError):
        make(tmp_path / "out", ZeroDivisionError())
    assert os.listdir(tmp_path) == ["out.partial"]
    make(tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"]


def test_full_disk(tmp_path):
    with pytest.raises(OSError, match="No space left.*out.partial") as info:
        make(tmp_path / "out", OSError(errno.ENOSPC, "full"))
    assert info.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="^.Errno 5. broken$"):
        make(tmp_path / "out", OSError(errno.EIO, "broken"))


def test_one_at_a_time(tmp_path):
    with partial_folder(str(tmp_path / "out")) as folder:
        with pytest.raises(FileExistsError, match="Another build is writing"):
            make(tmp_path / "out")
        os.makedirs(folder.result)
    assert os.listdir(tmp_path) == ["out"]
