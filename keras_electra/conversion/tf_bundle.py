"""Reads TensorFlow checkpoints (`.index` + `.data-*`) without TensorFlow.

Google published ELECTRA in this format, TensorFlow's second ("V2") or "tensor
bundle": an index that says where in the data files each tensor lies
(`tf_index.py`), and the data, plain little-endian arrays one after another.
Every checksum is verified, those of tensors when they are read.
"""

import pathlib
import re

import ml_dtypes
import numpy as np

from keras_electra.conversion import crc32c
from keras_electra.conversion import tf_index

_DTYPES = {  # numbers of tensorflow/core/framework/types.proto
    1: np.dtype("float32"),
    2: np.dtype("float64"),
    3: np.dtype("int32"),
    4: np.dtype("uint8"),
    5: np.dtype("int16"),
    6: np.dtype("int8"),
    9: np.dtype("int64"),
    10: np.dtype("bool"),
    14: np.dtype(ml_dtypes.bfloat16),
    17: np.dtype("uint16"),
    19: np.dtype("float16"),
    22: np.dtype("uint32"),
    23: np.dtype("uint64"),
}
_STRING = 7


class TensorBundle:
    """The variables of one TensorFlow checkpoint.

    ```python
    bundle = TensorBundle("electra_small/")
    bundle.read("electra/embeddings/word_embeddings")  # (30522, 128), float32
    ```

    Args:
        path: str or path. The prefix that the files share, such as
            `folder/model.ckpt-40` (with or without `.index`), or a folder
            that holds a `checkpoint` file or exactly one `.index` file.

    Raises:
        FileNotFoundError: there is no checkpoint at `path`, or one of its
            data files is missing.
        ValueError: the index is damaged or not an index, or a data file is
            shorter than the index says.
    """

    def __init__(self, path):
        self.prefix = _find_prefix(pathlib.Path(path).expanduser())
        index = pathlib.Path(f"{self.prefix}.index")
        self._entries, self._num_shards = tf_index.read_index(index)
        self._check_shards()

    def names(self):
        """Names of all tensors, sorted."""
        return sorted(self._entries)

    def shape(self, name):
        """Shape of a tensor, a tuple of ints."""
        return self._entry(name).shape

    def dtype(self, name):
        """NumPy dtype of a tensor; `object` for strings."""
        number = self._entry(name).dtype
        if number == _STRING:
            return np.dtype(object)
        if number not in _DTYPES:
            raise ValueError(
                f"{name!r} in {self.prefix} has TensorFlow's data type number "
                f"{number}, which has no reader here. Expected one of: "
                f"{', '.join(str(dtype) for dtype in _DTYPES.values())}."
            )
        return _DTYPES[number]

    def read(self, name):
        """Reads a tensor.

        Args:
            name: str, one of `names()`.

        Returns:
            `numpy.ndarray` of `shape(name)` and `dtype(name)`.

        Raises:
            KeyError: there is no such tensor.
            ValueError: it holds strings, is stored in slices, or its bytes
                do not match their checksum.
        """
        entry, dtype = self._entry(name), self.dtype(name)
        if entry.sliced or entry.dtype == _STRING:
            kind = "in slices (partitioned)" if entry.sliced else "as strings"
            raise ValueError(
                f"{name!r} in {self.prefix} is stored {kind}; only whole "
                "numeric tensors can be read here. TensorFlow reads it: "
                "`tf.train.load_variable(prefix, name)`."
            )
        with open(self._shard(entry.shard), "rb") as file:
            file.seek(entry.offset)
            data = file.read(entry.size)
        expected = int(np.prod(entry.shape, dtype=np.int64)) * dtype.itemsize
        if len(data) != expected or crc32c.unmask(
            entry.checksum
        ) != crc32c.crc32c(data):
            raise ValueError(
                f"The bytes of {name!r} in {self._shard(entry.shard)} do not "
                "match their checksum: the file is damaged. Copy or download "
                "the checkpoint again."
            )
        # A copy, because an array over bytes cannot be written to.
        array = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)
        return array.reshape(entry.shape)

    def _entry(self, name):
        if name not in self._entries:
            raise KeyError(
                f"There is no {name!r} in {self.prefix}. It holds "
                f"{len(self._entries)} tensors, e.g. {self.names()[:3]}."
            )
        return self._entries[name]

    def _shard(self, number):
        ending = f"data-{number:05d}-of-{self._num_shards:05d}"
        return pathlib.Path(f"{self.prefix}.{ending}")

    def _check_shards(self):
        needed = {}  # shard -> bytes it must have
        for entry in self._entries.values():
            end = entry.offset + entry.size
            needed[entry.shard] = max(end, needed.get(entry.shard, 0))
        for number, size in sorted(needed.items()):
            path = self._shard(number)
            if not path.exists():
                raise FileNotFoundError(
                    f"The data file {path} is missing: a checkpoint is its "
                    f"`.index` and {self._num_shards} `.data-*` file(s). "
                    "Put them in one folder."
                )
            if path.stat().st_size < size:
                raise ValueError(
                    f"The data file {path} is cut off: expected at least "
                    f"{size} bytes, found {path.stat().st_size}. Copy or "
                    "download the checkpoint again."
                )


def _find_prefix(path):
    if path.is_dir():
        state = path / "checkpoint"
        if state.exists():
            found = re.search(
                r'^model_checkpoint_path: "(.*)"', state.read_text(), re.M
            )
            # The path may be of the machine it was written on.
            if found:
                return path / pathlib.PurePosixPath(found.group(1)).name
        indices = sorted(path.glob("*.index"))
        if len(indices) != 1:
            raise FileNotFoundError(
                "Expected a folder with a `checkpoint` file or exactly one "
                f"`*.index` file. Found {[p.name for p in indices]} in {path}."
                " Give the prefix instead, e.g. 'folder/model.ckpt-40'."
            )
        path = indices[0]
    return path.with_suffix("") if path.suffix == ".index" else path
