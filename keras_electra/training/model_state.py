"""All that decides how training of a model continues, as plain arrays.

The variables of the model, with the seeds of every layer that draws; those of
its optimizer; and the random numbers a backend keeps to itself. Metrics are
left out, because every epoch resets them.
"""

import itertools
import re

import keras
import numpy as np
from keras import ops


def collect(model):
    """The variables of a built and compiled model, by group.

    Args:
        model: `keras.Model`. Its optimizer is built if it was not.

    Returns:
        A dict from `"model"` and `"optimizer"` to lists of variables.

    Raises:
        ValueError: the model is not built.
    """
    if not model.built:
        raise ValueError(
            f"The model {model.name!r} has no variables yet, because it is "
            "not built. Call it on a batch before `fit`."
        )
    optimizer = model.optimizer
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    return {
        "model": model.variables,
        "optimizer": [] if optimizer is None else optimizer.variables,
    }


def describe(groups):
    """Path, shape and dtype of every variable, as JSON can hold them."""
    return {
        group: [
            {
                "path": variable.path,
                "shape": list(variable.shape),
                "dtype": keras.backend.standardize_dtype(variable.dtype),
            }
            for variable in variables
        ]
        for group, variables in groups.items()
    }


def first_difference(saved, groups):
    """Where a description and variables part, in words; `None` for nowhere.

    Args:
        saved: dict, as `describe` returned it when it was saved.
        groups: dict from group to list of variables.

    Returns:
        str or `None`.
    """
    for group, own in describe(groups).items():
        pairs = itertools.zip_longest(saved[group], own)
        for i, (there, here) in enumerate(pairs):
            if not _same(there, here, group):
                return (
                    f"variable {i} of the {group} is {_words(there)} there, "
                    f"{_words(here)} here"
                )
    return None


def to_arrays(groups, random_states):
    """Yields (key, array) of all variables and states, one at a time."""
    for i, state in enumerate(random_states):
        yield _key("random", i), state
    for group, variables in groups.items():
        for i, variable in enumerate(variables):
            array = np.asarray(ops.convert_to_numpy(variable.value), order="C")
            yield _key(group, i), array


def dtypes(saved, num_random_states):
    """A dict from key to dtype, for a description and some states."""
    result = {
        _key(group, i): description["dtype"]
        for group, descriptions in saved.items()
        for i, description in enumerate(descriptions)
    }
    for i in range(num_random_states):
        result[_key("random", i)] = "uint8"
    return result


def assign(groups, arrays):
    """Sets every variable to the array of its key.

    Returns:
        The states of random numbers among the arrays, a list.
    """
    for group, variables in groups.items():
        for i, variable in enumerate(variables):
            variable.assign(arrays[_key(group, i)])
    keys = sorted(key for key in arrays if key.startswith("random/"))
    return [arrays[key] for key in keys]


def random_states():
    """States of the backend's own random numbers, a list of uint8 arrays.

    Only torch has such; elsewhere all is drawn from the seeds of layers.
    """
    if keras.config.backend() != "torch":
        return []
    from keras_electra.backend import torch_random

    return torch_random.get_states()


def set_random_states(states):
    """Sets them to what `random_states` returned."""
    if keras.config.backend() == "torch":
        from keras_electra.backend import torch_random

        torch_random.set_states(states)


def _key(group, index):
    return f"{group}/{index:05d}"


def _same(there, here, group):
    if there is None or here is None:
        return False
    names = [there["path"], here["path"]]
    if group == "optimizer":  # its scopes depend on where it was built
        names = [name.rsplit("/", 1)[-1] for name in names]
    # Keras numbers names anew within a process; the order is fixed anyway.
    names = [re.sub(r"_\d+(?=[_/]|$)", "", name) for name in names]
    return (
        names[0] == names[1]
        and there["shape"] == here["shape"]
        and there["dtype"] == here["dtype"]
    )


def _words(description):
    if description is None:
        return "missing"
    shape, dtype = tuple(description["shape"]), description["dtype"]
    return f"{description['path']!r} {shape} {dtype}"
