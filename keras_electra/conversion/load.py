"""Opens checkpoints of any other form as objects of our classes.

The form is seen from the files, and nothing is guessed: two forms in one folder
are an error, and so is none. Everything that can be wrong is found before an
object is returned. The summary of what was used, dropped and new is printed and
stays on the object as `conversion_summary`.
"""

import contextlib
import contextvars
import json
import os
import pathlib

import keras
import keras_hub

from keras_electra.conversion import weights
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR
from keras_electra.conversion.checkpoint import assign
from keras_electra.conversion.google import GoogleCheckpoint
from keras_electra.conversion.heads import head_of
from keras_electra.conversion.hugging_face import CONFIG
from keras_electra.conversion.hugging_face import TransformersCheckpoint
from keras_electra.conversion.keras_hub import KERASHUB_BACKBONE
from keras_electra.conversion.keras_hub import KerasHubCheckpoint
from keras_electra.conversion.tensor_files import WEIGHT_FILES
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import download
from keras_electra.presets import is_known
from keras_electra.presets import split_arguments
from keras_electra.text.preprocessor import MAX_SEQUENCE_LENGTH
from keras_electra.text.tokenizer import ElectraTokenizer

LOOKED_FOR = f"""
- {CONFIG} with `registered_name` (this package, KerasHub)
- {CONFIG} with `model_type` and {" or ".join(WEIGHT_FILES)} (transformers)
- one `*.index` file, or a `checkpoint` file that names one, with its `*.data-*`
  (Google's TF1)
- `discriminator/{CONFIG}` and `generator/{CONFIG}` (an exported pair)"""
# A table of embeddings may be longer than its vocabulary only by padding to
# a multiple of a power of two, up to this many rows.
LARGEST_PADDING = 128
_SILENT = contextvars.ContextVar("silent", default=False)


class Files:
    """Where the files of a preset are: a local folder, or a hub.

    Args:
        preset: string or path. A name, a handle, a folder, or the prefix of a
            TF1 checkpoint. `path` is the `Path` if it is local, else `None`.
        network: string or `None`. Which folder of an exported pair to take
            (`is_pair`); the discriminator's if it does not matter.
    """

    def __init__(self, preset, network=None):
        self.preset = os.fspath(preset)
        self.path = pathlib.Path(self.preset).expanduser()
        self.is_pair = not self.has(CONFIG) and all(
            self.has(f"{part}/{CONFIG}") for part in (DISCRIMINATOR, GENERATOR)
        )
        if self.is_pair:
            self.path = self.path / (network or DISCRIMINATOR)
        if not (self.path.is_dir() or self.is_prefix()):
            self.path = None

    def has(self, name):
        return (self.path / name).is_file()

    def is_prefix(self):
        return pathlib.Path(f"{self.path}.index").is_file()

    def has_index(self):
        """Whether there is a TF1 checkpoint."""
        return self.path is not None and (
            self.is_prefix() or any(self.path.glob("*.index"))
        )

    def find(self, name):
        """The local path of a file, or `None`."""
        if self.path is not None:
            return self.path / name if self.has(name) else None
        return download(self.preset, name) if is_known(self.preset) else None

    def read_json(self, name):
        """The content of a file, or an empty dict if there is none."""
        path = self.find(name)
        if path is None:
            return {}
        try:
            content = pathlib.Path(path).read_text(encoding="utf-8")
            content = json.loads(content)
            if not isinstance(content, dict):
                raise ValueError("it is not an object")
        except ValueError as error:
            raise ValueError(
                f"{name} of {self.preset} is no valid JSON: {error}. Copy or "
                "download it again."
            ) from error
        return content


def open_preset(cls, preset, load_weights, arguments):
    """One of `presets.OPENERS`: all classes, from one checkpoint."""
    head = head_of(cls)
    checkpoint = open_checkpoint(Files(preset, head and head.network))
    if checkpoint is None:
        return None
    if issubclass(cls, ElectraTokenizer):
        return load_tokenizer(checkpoint, needed=True, **arguments)
    if issubclass(cls, keras_hub.models.Preprocessor):
        return _load_preprocessor(cls, checkpoint, **arguments)
    if not issubclass(cls, ElectraBackbone):
        return _load_task(cls, checkpoint, load_weights, **arguments)
    network = checkpoint.networks[0]
    backbone = _build_backbone(checkpoint, network, **arguments)
    if load_weights:
        table, notes = weights.network(backbone), checkpoint.notes(network)
        attach(backbone, assign(checkpoint, network, table, notes=notes))
    return backbone


def open_checkpoint(files):
    """The `Checkpoint` of `Files`, if it is of a form that is not ours.

    `None` for what KerasHub is to open, or to say that there is no such thing;
    a `ValueError` when the form is unknown or ambiguous.
    """
    if files.path is None and not is_known(files.preset):
        return None
    source = files.preset if files.path is None else str(files.path)
    if files.path is not None and not files.path.is_dir():
        return GoogleCheckpoint(files.path, source)
    config = files.read_json(CONFIG)
    is_preset = "registered_name" in config
    has_weights = any(files.find(name) is not None for name in WEIGHT_FILES)
    if files.has_index():
        if is_preset or has_weights:
            what = "a preset (config.json)" if is_preset else "weights"
            raise ValueError(
                f"{source} is ambiguous: it holds both {what} and a TF1 "
                "checkpoint (*.index). Put them in two folders, or give the "
                "prefix of the TF1 checkpoint, such as 'folder/model.ckpt-40'."
            )
        return GoogleCheckpoint(files.path, source)
    if is_preset:
        is_theirs = config["registered_name"] == KERASHUB_BACKBONE
        arguments = (files.find, config, source)
        return KerasHubCheckpoint(*arguments) if is_theirs else None
    if has_weights or "model_type" in config or "architectures" in config:
        return TransformersCheckpoint(files.find, config, source)
    raise ValueError(
        f"No checkpoint was recognized in {source}. Looked for:{LOOKED_FOR}"
    )


def _load_task(cls, checkpoint, load_weights, **kwargs):
    """A task with the weights of a checkpoint, and a fresh head if need be.

    With `num_classes`, or another kind of head, the head is a fresh one.
    """
    kwargs, of_text = split_arguments(cls, kwargs)
    head = head_of(cls)
    network = _choose_network(checkpoint, head and head.network, cls.__name__)
    has_head = head is not None and head.is_in(checkpoint, network)
    if head and not has_head and checkpoint.architecture == head.architecture:
        raise ValueError(
            f"{checkpoint.source} is {head.architecture} by its config.json, "
            f"but lacks the weights of its head, such as {head.mark!r}. Copy "
            "or download it again."
        )
    keeps_head = has_head and "num_classes" not in kwargs
    if keeps_head:
        found = head.arguments(checkpoint)
        keeps_head = kwargs.get("head") in (None, found.get("head"))
        kwargs = {**found, **kwargs}
    dtype = kwargs.pop("dtype", None)
    if "backbone" not in kwargs:
        kwargs["backbone"] = _build_backbone(checkpoint, network, dtype=dtype)
    backbone, notes = kwargs["backbone"], list(checkpoint.notes(network))
    if "preprocessor" not in kwargs:
        cls_of_text, needed = cls.preprocessor_cls, bool(of_text)
        of_text, of_tokens = split_arguments(cls_of_text, of_text)
        tokenizer = load_tokenizer(checkpoint, backbone, needed, **of_tokens)
        kwargs["preprocessor"] = build_preprocessor(
            cls_of_text, tokenizer, backbone.max_sequence_length, **of_text
        )
        if tokenizer is None:
            notes.append(
                "no vocabulary was found: `preprocessor` is None, and inputs "
                "must be token ids"
            )
    task = cls(**kwargs)
    if not load_weights:
        return task
    table = weights.network(backbone)
    if keeps_head:
        table.update(head.weights(task))
    filled = {id(weight.variable) for weight in table.values()}
    reason = "as was asked for" if has_head else "not in the checkpoint"
    new = [
        (variable.path, f"fresh head: {reason}")
        for variable in task.weights
        if id(variable) not in filled
    ]
    summary = assign(checkpoint, network, table, new, notes)
    if keeps_head:
        head.finish(task, checkpoint)
    attach(task, summary)
    return task


def _choose_network(checkpoint, network, wanted_by):
    """Which network to take, if it matters; a `ValueError` if it is not in."""
    if network in (None, *checkpoint.networks):
        return network or checkpoint.networks[0]
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


def _build_backbone(checkpoint, network, **kwargs):
    arguments = checkpoint.backbone_arguments(network)
    return ElectraBackbone(**{"name": network, **arguments, **kwargs})


def load_tokenizer(checkpoint, backbone=None, needed=False, **kwargs):
    """The tokenizer of a checkpoint, or `None`, checked against its network.

    Without `backbone` the network's size is read from the checkpoint.
    `**kwargs` are set in place of what the files say.
    """
    tokenizer = checkpoint.tokenizer(**kwargs)
    if tokenizer is None:
        if needed:
            raise FileNotFoundError(
                f"{checkpoint.source} has no vocabulary. Looked for: "
                "vocab.txt, tokenizer.json (KerasHub: "
                "assets/tokenizer/vocabulary.txt)."
            )
        return None
    if backbone is None:
        sizes = checkpoint.backbone_arguments(checkpoint.networks[0])
    else:
        sizes = backbone.get_config()
    rows, size = sizes["vocabulary_size"], tokenizer.vocabulary_size()
    padding = rows - size
    if padding and not (0 < padding < LARGEST_PADDING and rows % 8 == 0):
        raise ValueError(
            f"The vocabulary of {checkpoint.source} has {size} entries, but "
            f"its network has embeddings for {rows} tokens. Use the vocabulary "
            "that it was trained with, or pass `preprocessor=None`."
        )
    return tokenizer


def _load_preprocessor(cls, checkpoint, **kwargs):
    kwargs, of_tokens = split_arguments(cls, kwargs)
    tokenizer = kwargs.pop("tokenizer", None)
    if tokenizer is None:
        tokenizer = load_tokenizer(checkpoint, needed=True, **of_tokens)
    sizes = checkpoint.backbone_arguments(checkpoint.networks[0])
    positions = sizes["max_sequence_length"]
    return build_preprocessor(cls, tokenizer, positions, **kwargs)


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


@contextlib.contextmanager
def silence():
    """Inside, summaries stay on the models and are not shown."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)
