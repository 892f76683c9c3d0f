"""The state of torch's own random numbers, as arrays.

Keras draws dropout without a fixed seed from torch's global generator, not
from the seed of the layer, so resuming exactly needs it.
"""

import numpy as np
import torch


def get_states():
    """States of the generators in use: CPU, and the accelerator if any.

    Returns:
        A list of one or two uint8 arrays.
    """
    return [get().cpu().numpy() for get, _ in _generators()]


def set_states(states):
    """Sets the generators to states that `get_states` returned.

    A state of another kind of device is passed over: a run that moves to
    other hardware does not go on bit for bit anyway.

    Args:
        states: list of uint8 arrays.
    """
    for (get, set_), state in zip(_generators(), states):
        if get().numel() == state.size:
            set_(torch.from_numpy(np.array(state)))


def _generators():
    pairs = [(torch.get_rng_state, torch.set_rng_state)]
    if torch.accelerator.is_available():
        device = torch.get_device_module()
        pairs.append((device.get_rng_state, device.set_rng_state))
    return pairs
