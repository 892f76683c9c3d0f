"""How each class of ours relates to the heads of other forms.

A row says which network a class needs, which class of transformers it is,
where its head's weights are, and what the configuration of the head is. Names
are those of `places.py`.
"""

import dataclasses
import typing

from keras_electra.conversion import places
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR


@dataclasses.dataclass(frozen=True)
class TaskForm:
    """One row.

    Attributes:
        architecture: string. Class name in transformers.
        network: string or `None`. The network that it needs, or either.
        mark: string. A name that the head alone has.
        places: function of the task: the table of its head.
        arguments: function of a checkpoint: arguments of the constructor
            that the head in it needs.
    """

    architecture: str
    network: str | None
    mark: str
    places: typing.Callable
    arguments: typing.Callable = lambda checkpoint: {}


def _token_prediction(task):
    return places.token_prediction_head(task.head)


def _replaced_token(task):
    return places.replaced_token_head(task.head)


def _classes(name):
    def count(checkpoint):
        return {"num_classes": checkpoint.shape(name, DISCRIMINATOR)[-1]}

    return count


TASK_FORMS = {
    "ElectraMaskedLM": TaskForm(
        "ElectraForMaskedLM",
        GENERATOR,
        "generator_predictions/dense/kernel",
        _token_prediction,
        lambda checkpoint: checkpoint.token_head_arguments(),
    ),
    "ElectraReplacedTokenDetector": TaskForm(
        "ElectraForPreTraining",
        DISCRIMINATOR,
        "discriminator_predictions/dense/kernel",
        _replaced_token,
    ),
}


def task_form(cls):
    """The row of a class, or of the nearest class it derives from.

    Args:
        cls: class of a task.

    Returns:
        A `TaskForm`, or `None` for a class that no other form has.
    """
    for base in cls.__mro__:
        if base.__name__ in TASK_FORMS:
            return TASK_FORMS[base.__name__]
    return None
