"""Our tasks in the forms of other packages, each in a folder.

Everything is written by a function of a folder, so that the caller can do it
atomically.
"""

from keras_electra.conversion import kerashub
from keras_electra.conversion import places
from keras_electra.conversion import write_google
from keras_electra.conversion.task_forms import TASK_FORMS
from keras_electra.conversion.task_forms import check_token_head
from keras_electra.conversion.task_forms import task_form
from keras_electra.conversion.write_hugging_face import write_network
from keras_electra.pretraining.pretrainer import ElectraPretrainer


def tokenizer_of(task):
    """The tokenizer of a task, or `None`."""
    return getattr(task.preprocessor, "tokenizer", None)


def task_to_transformers(task, folder):
    """Writes a task with its head in the form of transformers.

    Args:
        task: a task. Without a row in `TASK_FORMS` it has no head there,
            and its encoder is written.
        folder: `Path`.

    Raises:
        ValueError: when transformers has no such head.
    """
    form = task_form(type(task))
    table, settings = form.written(task) if form else ({}, {})
    write_network(
        folder,
        task.backbone,
        {**places.network(task.backbone), **table},
        form.architecture if form else "ElectraModel",
        tokenizer_of(task),
        settings,
    )


def pretrainer_to_transformers(pretrainer, folder):
    """Writes discriminator and generator into two folders.

    Args:
        pretrainer: `ElectraPretrainer`.
        folder: `Path`; `discriminator/` and `generator/` are made in it, as
            far as the pre-trainer has them.
    """
    tokenizer = tokenizer_of(pretrainer)
    if pretrainer.discriminator_head is not None:
        backbone = pretrainer.backbone
        write_network(
            folder / "discriminator",
            backbone,
            {
                **places.network(backbone),
                **places.replaced_token_head(pretrainer.discriminator_head),
            },
            TASK_FORMS["ElectraReplacedTokenDetector"].architecture,
            tokenizer,
        )
    if pretrainer.generator is not None:
        head = pretrainer.generator_head
        check_token_head(head)
        write_network(
            folder / "generator",
            pretrainer.generator,
            {
                **places.network(pretrainer.generator),
                **places.token_prediction_head(head),
            },
            TASK_FORMS["ElectraMaskedLM"].architecture,
            tokenizer,
        )


def task_to_google(task, folder):
    """Writes a task as a TF1 checkpoint; heads of fine-tuning stay behind."""
    form = task_form(type(task))
    network = form and form.network
    write_google.write_task(task, network, folder, tokenizer_of(task))


def pretrainer_to_google(pretrainer, folder):
    """Writes a pre-trainer as one TF1 checkpoint."""
    write_google.write_pretrainer(pretrainer, folder, tokenizer_of(pretrainer))


def task_to_kerashub(task, folder):
    """Writes the encoder of a task as a preset of KerasHub's own class."""
    kerashub.write_preset(task.backbone, str(folder), tokenizer_of(task))


def pretrainer_to_kerashub(pretrainer, folder):
    """Writes the encoders of a pre-trainer, each into a folder."""
    networks = {
        "discriminator": pretrainer.backbone,
        "generator": pretrainer.generator,
    }
    for name, backbone in networks.items():
        if backbone is not None:
            kerashub.write_preset(
                backbone, str(folder / name), tokenizer_of(pretrainer)
            )


def to_transformers(task, folder):
    """Writes any of our tasks in the form of transformers."""
    if isinstance(task, ElectraPretrainer):
        pretrainer_to_transformers(task, folder)
    else:
        task_to_transformers(task, folder)


def to_google(task, folder):
    """Writes any of our tasks as a TF1 checkpoint."""
    if isinstance(task, ElectraPretrainer):
        pretrainer_to_google(task, folder)
    else:
        task_to_google(task, folder)


def to_kerashub(task, folder):
    """Writes the encoders of any of our tasks as presets of KerasHub."""
    if isinstance(task, ElectraPretrainer):
        pretrainer_to_kerashub(task, folder)
    else:
        task_to_kerashub(task, folder)
