"""One checkpoint on disk: a folder that is there whole or not at all.

`epoch-00012/variables.npz` holds every array, and the state of the run as
JSON text among them, so that one checksum per array covers everything.
`state.json` beside it is a copy for people; nothing reads it.

A folder is written under a temporary name, flushed to the disk and only then
renamed, so a killed process or a full disk leaves the older ones untouched.
The price: room for one checkpoint more than are kept.
"""

import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import zipfile
import zlib

import keras
import ml_dtypes  # noqa: F401  (teaches NumPy "bfloat16" and its like)
import numpy as np

# What reading a damaged or cut off file raises.
DAMAGE = (OSError, EOFError, KeyError, ValueError, zlib.error)
DAMAGE += (zipfile.BadZipFile,)
UNFINISHED = ".unfinished-"


def variables(model):
    """The variables of a built model and of its optimizer, by group.

    Seeds of layers are among them. Metrics are not: every epoch resets them.
    """
    if not model.built:
        raise ValueError(
            f"The model {model.name!r} has no variables yet, because it is "
            "not built. Call it on a batch before `fit`."
        )
    optimizer = model.optimizer
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    own = [] if optimizer is None else optimizer.variables
    return {"model": model.variables, "optimizer": own}


def first_difference(saved, groups):
    """Where saved descriptions and variables part, in words, or `None`."""
    for group, own in groups.items():
        pairs = itertools.zip_longest(saved[group], map(_describe, own))
        for i, (there, here) in enumerate(pairs):
            if _identity(there, group) != _identity(here, group):
                return (
                    f"variable {i} of the {group} is {_words(there)} there, "
                    f"{_words(here)} here"
                )
    return None


def folder_name(epoch):
    """Name of the folder of the checkpoint after `epoch` epochs."""
    return f"epoch-{epoch:05d}"


def list_epochs(directory):
    """Epochs that have a checkpoint in `directory`, the newest first."""
    names = os.listdir(directory) if os.path.isdir(directory) else []
    found = [re.fullmatch(r"epoch-(\d{5,})", name) for name in names]
    return sorted((int(match[1]) for match in found if match), reverse=True)


def write(directory, epoch, state, groups, random_states):
    """Writes a checkpoint, all of it or nothing.

    Args:
        directory: `pathlib.Path`, folder of all checkpoints.
        epoch: int, number of finished epochs.
        state: dict that JSON can hold.
        groups: dict from group to list of variables.
        random_states: list of uint8 arrays.

    Raises:
        OSError: the disk is full, or refuses. Earlier checkpoints are whole.
    """
    directory.mkdir(parents=True, exist_ok=True)
    remove_unfinished(directory)
    final = directory / folder_name(epoch)
    temporary = directory / (UNFINISHED + folder_name(epoch))
    described = {g: list(map(_describe, own)) for g, own in groups.items()}
    text = json.dumps({**state, "variables": described}, indent=1)
    arrays = {_key("random", i): s for i, s in enumerate(random_states)}
    for group, own in groups.items():
        for i, variable in enumerate(own):
            array = keras.ops.convert_to_numpy(variable.value)
            if array.dtype.isbuiltin != 1:
                # NumPy's format would forget what a bfloat16 is.
                array = array.view(f"uint{8 * array.dtype.itemsize}")
            arrays[_key(group, i)] = array
    try:
        temporary.mkdir()
        np.savez(temporary / "variables.npz", **arrays, state=np.array(text))
        (temporary / "state.json").write_text(text + "\n")
        for path in (*temporary.iterdir(), temporary):
            _flush(path)
        if final.exists():  # a damaged one that was trained anew
            final.rename(f"{temporary}-replaced")
        temporary.rename(final)
        _flush(directory)
    finally:
        remove_unfinished(directory)


def read_state(directory, epoch):
    """The state of a checkpoint, a dict. Raises one of `DAMAGE`."""
    with _open(directory, epoch) as archive:
        return json.loads(str(archive["state"]))


def read_arrays(directory, epoch, state, groups):
    """Lists of arrays by group and of `"random"`; checksums are verified."""
    dtypes = {"random": ["uint8"] * state["random_states"]}
    for group in groups:
        dtypes[group] = [row["dtype"] for row in state["variables"][group]]
    with _open(directory, epoch) as archive:
        return {
            group: [
                archive[_key(group, i)].view(np.dtype(dtype))
                for i, dtype in enumerate(of_group)
            ]
            for group, of_group in dtypes.items()
        }


def remove(directory, epoch):
    """Removes a checkpoint: first its name, then its files."""
    removed = directory / f"{UNFINISHED}{folder_name(epoch)}-old"
    with contextlib.suppress(OSError):  # tried again after the next epoch
        (directory / folder_name(epoch)).rename(removed)
    remove_unfinished(directory)


def remove_unfinished(directory):
    """Removes what a killed process left half written or half removed."""
    for path in directory.glob(UNFINISHED + "*"):
        shutil.rmtree(path, ignore_errors=True)


def _describe(variable):
    return {
        "path": variable.path,
        "shape": list(variable.shape),
        "dtype": keras.backend.standardize_dtype(variable.dtype),
    }


def _words(row):
    if row is None:
        return "missing"
    return f"{row['path']!r} {tuple(row['shape'])} {row['dtype']}"


def _identity(row, group):
    words = _words(row)
    if group == "optimizer":  # its scopes depend on where it was built
        words = re.sub("'.*/", "'", words)
    # Keras numbers names anew within a process; the order is fixed anyway.
    return re.sub(r"_\d+(?=[_/'])", "", words)


def _key(group, index):
    return f"{group}/{index:05d}"


def _open(directory, epoch):
    path = pathlib.Path(directory) / folder_name(epoch) / "variables.npz"
    return np.load(path, allow_pickle=False)


def _flush(path):
    """Waits until a file or a folder is on the disk."""
    if os.name != "posix":  # elsewhere folders cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
