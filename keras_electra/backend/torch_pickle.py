"""Reads weights that PyTorch pickled, on any backend.

It is here because PyTorch alone reads its own form, and only this room may
import it. `weights_only=True` builds tensors and runs no code of the file.
"""

import torch


def load_tensors(path):
    """The tensors of a file as arrays.

    Args:
        path: string.

    Returns:
        A dict from name to `numpy.ndarray`. What is in bfloat16, which
        PyTorch cannot give to NumPy, becomes float32.

    Raises:
        Exception: whatever PyTorch raises for a file that is damaged or holds
            anything but tensors.
    """
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    return {name: _array(tensor) for name, tensor in tensors.items()}


def _array(tensor):
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    return tensor.detach().numpy()
