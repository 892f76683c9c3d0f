"""How a task is compiled when nothing else is said, or when it is loaded.

A default cannot know how many steps a run has, so it has neither the warm-up
nor the decay of the original fine-tuning. It corrects the bias of Adam's
moments instead, which holds the first steps back in a similar way.
"""

import keras

from keras_electra.training.finetuning import finetuning_rate
from keras_electra.training.optimizers import ElectraAdamW


def default_optimizer(backbone):
    """The optimizer for fine-tuning a network, at a constant rate.

    Args:
        backbone: `ElectraBackbone`.

    Returns:
        An `ElectraAdamW` with the rate of `finetuning_rate`, weight decay
        0.01 (original `configure_finetuning.py:55`) and corrected bias.
    """
    return ElectraAdamW(
        finetuning_rate(backbone.hidden_dim),
        weight_decay=0.01,
        bias_correction=True,
    )


def restore_compilation(task, config):
    """Compiles a loaded task as the saved one was.

    For `compile_from_config`, which Keras leaves undone for a class with a
    `compile` of its own.

    Args:
        task: a built task.
        config: dict from `get_compile_config`.
    """
    task.compile(**keras.saving.deserialize_keras_object(config))
    # So that the slots of a saved optimizer find their place.
    task.optimizer.build(task.trainable_variables)
