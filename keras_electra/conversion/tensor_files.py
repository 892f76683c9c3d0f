"""Named arrays in the files that transformers saves its weights in.

Either safetensors (one file, or several with an index), or PyTorch's pickled
form, one or several. Pickles are read by `torch.load(weights_only=True)`,
which builds tensors and runs no code; PyTorch is needed for them alone. Of
safetensors only what is asked for is read.
"""

import json

import ml_dtypes  # noqa: F401  makes NumPy know bfloat16
import safetensors

SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
INDEX = ".index.json"
WEIGHT_FILES = (SAFETENSORS, SAFETENSORS + INDEX, PICKLE, PICKLE + INDEX)


class TensorFiles:
    """The tensors of one checkpoint, by name.

    Args:
        find: function from a file name to its local path, or to `None` where
            there is no such file.
        source: string. What to call the checkpoint in messages.
    """

    def __init__(self, find, source):
        self._shapes, self._read = {}, {}
        for path in _paths(find, source):
            if path.endswith(".bin"):
                arrays = _load_pickle(path)
                self._read.update(dict.fromkeys(arrays, arrays.get))
                shapes = {name: a.shape for name, a in arrays.items()}
            else:
                file = _open_safetensors(path)
                self._read.update(dict.fromkeys(file.keys(), file.get_tensor))
                shapes = {
                    name: tuple(file.get_slice(name).get_shape())
                    for name in file.keys()
                }
            self._shapes.update(shapes)

    def names(self):
        """Names of all tensors, sorted."""
        return sorted(self._shapes)

    def shape(self, name):
        """Shape of a tensor, a tuple of ints."""
        return self._shapes[name]

    def read(self, name):
        """A tensor as an array; half precision stays what it is."""
        return self._read[name](name)


def _paths(find, source):
    """Local paths of the weight files, safetensors first."""
    for name in WEIGHT_FILES:
        path = find(name)
        if path is None:
            continue
        if not name.endswith(INDEX):
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


def _open_safetensors(path):
    try:
        return safetensors.safe_open(path, framework="np")
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(
            f"The file {path} cannot be read as safetensors ({error}): it is "
            "damaged or cut off. Copy or download it again."
        ) from error


def _load_pickle(path):
    try:
        from keras_electra.backend import torch_pickle
    except ImportError as error:
        raise ImportError(
            f"Reading {path} needs PyTorch, in whose form it is. Install it "
            "(`pip install torch`; the backend stays what it is), or take a "
            "checkpoint with safetensors."
        ) from error
    try:
        return torch_pickle.load_tensors(path)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()
        raise ValueError(
            f"The file {path} cannot be read: it is damaged, cut off, or holds "
            "more than tensors. Nothing but tensors is read from a pickle, "
            "because it could run any code; take the checkpoint's safetensors "
            f"instead. PyTorch says: {reason[0]}"
        ) from error
