"""Named arrays in the files that transformers saves its weights in.

Either safetensors (one file, or several with an index), or PyTorch's pickled
form, one or several. Pickles are read by `torch.load(weights_only=True)`,
which builds tensors and runs no code; PyTorch is needed for them alone. Of
safetensors only what is asked for is read.
"""

import json

import ml_dtypes  # noqa: F401  makes NumPy know bfloat16
import safetensors

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
WEIGHT_FILES = (
    SAFETENSORS,
    f"{SAFETENSORS}.index.json",
    PICKLE,
    f"{PICKLE}.index.json",
)


class TensorFiles:
    """The tensors of one checkpoint, by name.

    Args:
        find: function from a file name to its local path, or to `None` where
            there is no such file.
        source: string. What to call the checkpoint in messages.

    Raises:
        FileNotFoundError: when none of `WEIGHT_FILES`, or a part of a sharded
            checkpoint, is there.
        ValueError: when a file is damaged, or would run code.
    """

    def __init__(self, find, source):
        self.source = source
        self._shapes = {}
        self._files = {}  # tensor -> open file
        for path in _paths(find, source):
            if path.endswith(".bin"):
                file = _Pickle(path)
            else:
                file = _Safetensors(path)
            for name in file.names():
                self._files[name] = file
                self._shapes[name] = file.shape(name)

    def names(self):
        """Names of all tensors, sorted."""
        return sorted(self._shapes)

    def shape(self, name):
        """Shape of a tensor, a tuple of ints."""
        return self._shapes[name]

    def read(self, name):
        """A tensor as an array; half precision stays what it is."""
        return self._files[name].read(name)


def _paths(find, source):
    """Local paths of the weight files, safetensors first."""
    for name in WEIGHT_FILES:
        path = find(name)
        if path is None:
            continue
        if not name.endswith(".index.json"):
            return [str(path)]
        with open(path, encoding="utf-8") as file:
            parts = sorted(set(json.load(file)["weight_map"].values()))
        found = {part: find(part) for part in parts}
        missing = [part for part, path in found.items() if path is None]
        if missing:
            raise FileNotFoundError(
                f"{source} lacks {missing}, which its {name} names. Copy or "
                "download all parts of the checkpoint."
            )
        return [str(path) for path in found.values()]
    raise FileNotFoundError(
        f"{source} has a configuration but no weights. Looked for: "
        f"{', '.join(WEIGHT_FILES)}."
    )


class _Safetensors:
    def __init__(self, path):
        try:
            self._file = safetensors.safe_open(path, framework="np")
        except (safetensors.SafetensorError, OSError) as error:
            raise ValueError(
                f"The file {path} cannot be read as safetensors ({error}): it "
                "is damaged or cut off. Copy or download it again."
            ) from error

    def names(self):
        return list(self._file.keys())

    def shape(self, name):
        return tuple(self._file.get_slice(name).get_shape())

    def read(self, name):
        return self._file.get_tensor(name)


class _Pickle:
    def __init__(self, path):
        try:
            from keras_electra.backend import torch_pickle
        except ImportError as error:
            raise ImportError(
                f"Reading {path} needs PyTorch, in whose form it is. Install "
                "it (`pip install torch`; the backend stays what it is), or "
                "take a checkpoint with safetensors."
            ) from error
        try:
            self._arrays = torch_pickle.load_tensors(path)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()
            raise ValueError(
                f"The file {path} cannot be read: it is damaged, cut off, or "
                "holds more than tensors. Nothing but tensors is read from a "
                "pickle, because it could run any code; take the checkpoint's "
                f"safetensors instead. PyTorch says: {reason[0]}"
            ) from error

    def names(self):
        return list(self._arrays)

    def shape(self, name):
        return self._arrays[name].shape

    def read(self, name):
        return self._arrays[name]
