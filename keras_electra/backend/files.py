"""Files of TensorFlow and PyTorch, read by their own functions.

Each is imported when a file needs it, on whatever backend. Google published
ELECTRA in TensorFlow's checkpoints, `.index` + `.data-*`, which have checksums.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import zipfile
from typing import Any

import h5py
import numpy as np


def read_json(path: Any, empty: Any = {}) -> Any:
    """The content of a JSON file of the type of `empty`: that of no file."""
    if path is None:
        return empty
    try:
        content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        if not isinstance(content, type(empty)):
            raise ValueError(f"it must be a {type(empty).__name__}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no valid JSON: {error}.") from error
    return content


def write_json(path: Any, content: Any) -> None:
    """Writes a JSON file, indented."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    pathlib.Path(path).write_text(text + "\n", encoding="utf-8")


def checksum_of(path: Any) -> Any:
    """The SHA-256 of a file, in hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def count_numbers(path: Any) -> Any:
    """How many numbers a file of Keras' weights holds, but for states."""
    sizes = []

    def count(name, item):
        if not re.search("optimizer|seed_generator", name):
            sizes.append(getattr(item, "size", 0))  # a group has none

    with h5py.File(path) as file:
        file.visititems(count)
    return sum(sizes)


def flush(*paths: Any) -> None:
    """Waits until files and folders are on the disk."""
    for path in paths if os.name == "posix" else ():  # else not to be opened
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_file(path: Any, content: Any) -> None:
    """Writes bytes to a local file, whole or not at all."""
    partial = pathlib.Path(f"{path}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        flush(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_pickle(path: Any) -> Any:
    """A dict of the arrays that PyTorch saved; anything else is an error."""
    import torch

    if zipfile.is_zipfile(path):  # PyTorch does not look at its checksums
        if name := zipfile.ZipFile(path).testzip():
            raise ValueError(f"the checksum of {name} in it is wrong")
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    for name, tensor in tensors.items():
        half = tensor.dtype == torch.bfloat16  # which NumPy lacks
        tensors[name] = (tensor.float() if half else tensor).numpy(force=True)
    return tensors


def read_checkpoint(path: Any) -> tuple[Any, ...]:
    """A TensorFlow checkpoint: shapes by sorted name, and what reads a name.

    `path` is the prefix of the files, `folder/model.ckpt-40` (or with
    `.index`), or a folder with a `checkpoint` file or one `.index` file. A
    missing file is a `FileNotFoundError`, a damaged one a `ValueError`.
    """
    prefix = _find_prefix(pathlib.Path(path).expanduser())
    if not pathlib.Path(f"{prefix}.index").exists():
        raise FileNotFoundError(
            f"There is no TensorFlow checkpoint {prefix}.index. Give the "
            "prefix of a `.index` file, or its folder."
        )
    parts = list(prefix.parent.glob(f"{prefix.name}.data-*-of-*"))
    if not parts or len(parts) < int(parts[0].name.rpartition("-")[2]):
        raise FileNotFoundError(
            f"A data file of {prefix} is missing: put `.index` and all "
            "`.data-*-of-*` files into one folder."
        )
    with naming(prefix):
        import tensorflow as tf

        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()

    def read(name):
        with naming(f"{prefix}, {name!r},"):
            return np.array(reader.get_tensor(name))

    return {name: tuple(shapes[name]) for name in sorted(shapes)}, read


def write_checkpoint(prefix: str, arrays: Any) -> None:
    """Writes a dict of arrays as `folder/model.ckpt`; the folder exists."""
    prefix = pathlib.Path(prefix)
    with naming(prefix):
        import tensorflow as tf
    with tf.device("cpu"):
        tf.raw_ops.SaveV2(
            prefix=str(prefix),
            tensor_names=list(arrays),
            shape_and_slices=[""] * len(arrays),
            tensors=[tf.constant(np.asarray(a)) for a in arrays.values()],
        )
    (prefix.parent / "checkpoint").write_text(
        f'model_checkpoint_path: "{prefix.name}"\n'
        f'all_model_checkpoint_paths: "{prefix.name}"\n'
    )


@contextlib.contextmanager
def naming(
    where: Any, library: str = "TensorFlow", package: str = "tensorflow"
) -> Any:
    """Names the checkpoint in whatever a library, or its lack, raises."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"The checkpoint {where} needs {library}: `pip install {package}` "
            "(the backend stays)."
        ) from error
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()
        raise ValueError(
            f"The checkpoint {where} cannot be read: it is damaged or cut off, "
            "or a pickle of more than tensors, which could run any code. "
            f"Download it again. {library} says: {reason[0]}"
        ) from error


def _find_prefix(path):
    if not path.is_dir():
        return path.with_suffix("") if path.suffix == ".index" else path
    state = path / "checkpoint"
    text = state.read_text() if state.exists() else ""
    found = re.search(r'^model_checkpoint_path: "(.*)"', text, re.M)
    if found:  # the path may be of the machine it was written on
        return path / pathlib.PurePosixPath(found.group(1)).name
    indices = sorted(path.glob("*.index"))
    if len(indices) != 1:
        raise FileNotFoundError(
            f"{path} must hold a `checkpoint` or exactly one `*.index` file, "
            f"not {[p.name for p in indices]}. Give a prefix instead."
        )
    return indices[0].with_suffix("")
