"""One checkpoint on disk: a folder that is there whole or not at all.

`epoch-00012/variables.npz` holds every array, and the state of the run as
JSON text among them, so that one checksum per array covers everything.
`state.json` beside it is a copy for people; nothing reads it.

A folder is written under a temporary name, flushed to the disk and only then
renamed, so a killed process or a full disk leaves the older ones untouched.
The price: room for one checkpoint more than are kept.
"""

import contextlib
import json
import os
import re
import shutil
import zipfile
import zlib

import ml_dtypes  # noqa: F401  (teaches NumPy "bfloat16" and its like)
import numpy as np

# What reading a damaged or cut off file raises.
DAMAGE = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
_TEMPORARY = ".unfinished-"


def folder_name(epoch):
    """Name of the folder of the checkpoint after `epoch` epochs."""
    return f"epoch-{epoch:05d}"


def list_epochs(directory):
    """Epochs that have a checkpoint in `directory`, the newest first."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    found = [re.fullmatch(r"epoch-(\d{5,})", name) for name in names]
    return sorted((int(match[1]) for match in found if match), reverse=True)


def write(directory, epoch, state, arrays):
    """Writes a checkpoint, all of it or nothing.

    Args:
        directory: str, folder of all checkpoints; made if missing.
        epoch: int, number of finished epochs.
        state: dict that JSON can hold.
        arrays: iterable of (key, array) pairs, taken one at a time.

    Raises:
        OSError: the disk is full, or refuses. Earlier checkpoints are whole.
    """
    os.makedirs(directory, exist_ok=True)
    remove_unfinished(directory)
    final = os.path.join(directory, folder_name(epoch))
    temporary = os.path.join(directory, _TEMPORARY + folder_name(epoch))
    try:
        os.mkdir(temporary)
        text = json.dumps(state, indent=1)
        with open(os.path.join(temporary, "variables.npz"), "wb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                for key, array in arrays:
                    _add_array(archive, key, array)
                _add_array(archive, "state", np.array(text))
            _flush(file)
        with open(os.path.join(temporary, "state.json"), "w") as file:
            file.write(text + "\n")
            _flush(file)
        _flush_folder(temporary)
        if os.path.exists(final):  # a damaged one that was trained anew
            os.rename(final, f"{temporary}-replaced")
        os.rename(temporary, final)
        _flush_folder(directory)
    finally:
        remove_unfinished(directory)


def read_state(directory, epoch):
    """The state of a checkpoint, a dict. Raises one of `DAMAGE`."""
    with _open(directory, epoch) as archive:
        return json.loads(str(archive["state"]))


def read_arrays(directory, epoch, dtypes):
    """Reads arrays and verifies their checksums.

    Args:
        directory: str, folder of all checkpoints.
        epoch: int, number of finished epochs.
        dtypes: dict from key to the dtype the array was written with.

    Returns:
        A dict from key to array. Raises one of `DAMAGE`.
    """
    with _open(directory, epoch) as archive:
        return {
            key: archive[key].view(np.dtype(dtype))
            for key, dtype in dtypes.items()
        }


def remove(directory, epoch):
    """Removes a checkpoint: first its name, then its files."""
    name = folder_name(epoch)
    with contextlib.suppress(OSError):  # tried again after the next epoch
        os.rename(
            os.path.join(directory, name),
            os.path.join(directory, f"{_TEMPORARY}{name}-old"),
        )
    remove_unfinished(directory)


def remove_unfinished(directory):
    """Removes what a killed process left half written or half removed."""
    for name in os.listdir(directory):
        if name.startswith(_TEMPORARY):
            shutil.rmtree(os.path.join(directory, name), ignore_errors=True)


def _open(directory, epoch):
    folder = os.path.join(directory, folder_name(epoch))
    return np.load(os.path.join(folder, "variables.npz"), allow_pickle=False)


def _add_array(archive, key, array):
    if array.dtype.isbuiltin != 1 and array.dtype.kind != "U":
        # NumPy's format would forget what a bfloat16 is.
        array = array.view(f"uint{8 * array.dtype.itemsize}")
    with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _flush(file):
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(path):
    if os.name != "posix":  # elsewhere folders cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
