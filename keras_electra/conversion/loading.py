"""Builds our objects from a checkpoint of any other form.

Everything that can be wrong is found before an object is returned. The
summary of what was used, dropped and new is printed and stays on the object
as `conversion_summary`.
"""

import contextlib
import contextvars

import keras

from keras_electra.conversion import places
from keras_electra.conversion.assign import assign
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR
from keras_electra.conversion.task_forms import task_form
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import split_arguments
from keras_electra.text.preprocessor import MAX_SEQUENCE_LENGTH

# A table of embeddings may be longer than its vocabulary only by padding to
# a multiple of a power of two, up to this many rows.
LARGEST_PADDING = 128


def load_backbone(checkpoint, load_weights=True, network=None, **kwargs):
    """An `ElectraBackbone` with the weights of a checkpoint.

    Args:
        checkpoint: `Checkpoint`.
        load_weights: bool. Whether to load the weights. Defaults to `True`.
        network: string or `None`. Which network; `None`, the default, is the
            discriminator if there is one.
        **kwargs: arguments of `ElectraBackbone` to set otherwise.

    Returns:
        An `ElectraBackbone`.

    Raises:
        ValueError: when the checkpoint does not hold that network, whole.
    """
    network = choose_network(checkpoint, network, "ElectraBackbone")
    backbone = build_backbone(checkpoint, network, **kwargs)
    if load_weights:
        summary = assign(
            checkpoint,
            network,
            places.network(backbone),
            notes=checkpoint.notes(network),
        )
        attach(backbone, summary)
    return backbone


def load_task(cls, checkpoint, load_weights=True, **kwargs):
    """A task with the weights of a checkpoint, and a fresh head if need be.

    Args:
        cls: class of the task.
        checkpoint: `Checkpoint`.
        load_weights: bool. Whether to load the weights. Defaults to `True`.
        **kwargs: `dtype`, and arguments of the constructor. With
            `num_classes` the head is a fresh one.

    Returns:
        An object of `cls`.

    Raises:
        ValueError: when the checkpoint does not hold the network, whole, or
            a fresh head needs an argument that is not given.
    """
    form = task_form(cls)
    kwargs, of_text = split_arguments(cls, kwargs)
    network = choose_network(
        checkpoint, form.network if form else None, cls.__name__
    )
    has_head = form is not None and form.is_in(checkpoint, network)
    if form and not has_head and checkpoint.architecture == form.architecture:
        raise ValueError(
            f"{checkpoint.source} is {form.architecture} by its config.json, "
            f"but lacks the weights of its head, such as {form.mark!r}. Copy "
            "or download it again."
        )
    keeps_head = has_head and "num_classes" not in kwargs
    if keeps_head:
        arguments = form.arguments(checkpoint)
        # Another kind of head is a fresh one.
        keeps_head = kwargs.get("head") in (None, arguments.get("head"))
        kwargs = {**arguments, **kwargs}
    if "backbone" not in kwargs:
        kwargs["backbone"] = build_backbone(
            checkpoint, network, dtype=kwargs.pop("dtype", None)
        )
    backbone = kwargs["backbone"]
    notes = list(checkpoint.notes(network))
    if "preprocessor" not in kwargs:
        load = require_tokenizer if of_text else load_tokenizer
        of_text, of_tokens = split_arguments(cls.preprocessor_cls, of_text)
        tokenizer = load(checkpoint, backbone, **of_tokens)
        if tokenizer is None:
            notes.append(
                "no vocabulary was found: `preprocessor` is None, and inputs "
                "must be token ids"
            )
        kwargs["preprocessor"] = build_preprocessor(
            cls.preprocessor_cls,
            tokenizer,
            backbone.max_sequence_length,
            **of_text,
        )
    task = cls(**kwargs)
    if not load_weights:
        return task
    table = places.network(backbone)
    if keeps_head:
        table.update(form.places(task))
    filled = {id(place.variable) for place in table.values()}
    reason = "as was asked for" if has_head else "not in the checkpoint"
    new = [
        (weight.path, f"fresh head: {reason}")
        for weight in task.weights
        if id(weight) not in filled
    ]
    summary = assign(checkpoint, network, table, new, notes)
    if keeps_head:
        form.finish(task, checkpoint)
    attach(task, summary)
    return task


def load_tokenizer(checkpoint, backbone=None, **kwargs):
    """The tokenizer of a checkpoint, checked against its network.

    Args:
        checkpoint: `Checkpoint`.
        backbone: `ElectraBackbone` or `None`. The network. `None`, the
            default, means that its size comes from the checkpoint.
        **kwargs: arguments of the tokenizer in place of what the files say.

    Returns:
        An `ElectraTokenizer`, or `None` when the checkpoint has none.

    Raises:
        ValueError: when the vocabulary is not that of the network.
    """
    tokenizer = checkpoint.tokenizer(**kwargs)
    if tokenizer is None:
        return None
    if backbone is None:
        network = choose_network(checkpoint, None, "ElectraTokenizer")
        rows = checkpoint.backbone_arguments(network)["vocabulary_size"]
    else:
        rows = backbone.vocabulary_size
    size = tokenizer.vocabulary_size()
    padding = rows - size
    if padding and not (0 < padding < LARGEST_PADDING and rows % 8 == 0):
        raise ValueError(
            f"The vocabulary of {checkpoint.source} has {size} entries, but "
            f"its network has embeddings for {rows} tokens (padding to a "
            f"multiple of 8 by fewer than {LARGEST_PADDING} is taken). Use "
            "the vocabulary that the network was trained with, or pass "
            "`preprocessor=None`."
        )
    return tokenizer


def require_tokenizer(checkpoint, backbone=None, **kwargs):
    """The tokenizer of a checkpoint; a `FileNotFoundError` if it has none."""
    tokenizer = load_tokenizer(checkpoint, backbone, **kwargs)
    if tokenizer is None:
        raise FileNotFoundError(
            f"{checkpoint.source} has no vocabulary. Looked for: vocab.txt, "
            "tokenizer.json (KerasHub: assets/tokenizer/vocabulary.txt)."
        )
    return tokenizer


def load_preprocessor(cls, checkpoint, **kwargs):
    """A preprocessor with the tokenizer of a checkpoint."""
    kwargs, of_tokens = split_arguments(cls, kwargs)
    if "tokenizer" not in kwargs:
        kwargs["tokenizer"] = require_tokenizer(checkpoint, **of_tokens)
    network = choose_network(checkpoint, None, cls.__name__)
    positions = checkpoint.backbone_arguments(network)["max_sequence_length"]
    return build_preprocessor(cls, kwargs.pop("tokenizer"), positions, **kwargs)


def choose_network(checkpoint, network, wanted_by):
    """Which network of a checkpoint to take.

    Args:
        checkpoint: `Checkpoint`.
        network: string or `None`. What is needed, if it matters.
        wanted_by: string. Who needs it, for the message.

    Returns:
        string. One of `checkpoint.networks`.

    Raises:
        ValueError: when the checkpoint has only the other kind.
    """
    if network is None:
        return checkpoint.networks[0]
    if network not in checkpoint.networks:
        other = checkpoint.networks[0]
        uses = {
            DISCRIMINATOR: "ElectraReplacedTokenDetector or a fine-tuning task",
            GENERATOR: "ElectraMaskedLM",
        }
        raise ValueError(
            f"{wanted_by} needs a {network}, but {checkpoint.source} holds a "
            f"{other}. Give the {network}'s checkpoint, or open this one as "
            f"{uses[other]}."
        )
    return network


def build_backbone(checkpoint, network, **kwargs):
    """The backbone of a checkpoint's sizes, with random weights."""
    arguments = checkpoint.backbone_arguments(network)
    arguments.setdefault("name", network)
    return ElectraBackbone(**{**arguments, **kwargs})


def build_preprocessor(cls, tokenizer, max_sequence_length, **kwargs):
    """A preprocessor for rows that the network has positions for, or `None`."""
    if tokenizer is None:
        return None
    length = min(MAX_SEQUENCE_LENGTH, max_sequence_length)
    return cls(tokenizer=tokenizer, **{"sequence_length": length, **kwargs})


def attach(model, summary):
    """Leaves the summary on a model and shows it."""
    model.conversion_summary = summary
    if not _SILENT.get() and keras.config.is_interactive_logging_enabled():
        print(summary)


_SILENT = contextvars.ContextVar("silent", default=False)


@contextlib.contextmanager
def silence():
    """Inside, summaries stay on the models and are not shown."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)
