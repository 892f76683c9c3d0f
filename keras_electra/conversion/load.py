"""Opens checkpoints of any other form as objects of our classes.

The form is seen from the files; two forms in one folder are an error. What was
used, dropped and new is printed and kept on the object: `conversion_summary`.
"""

import math
import os
import pathlib
import warnings
from typing import Any

import keras
import keras_hub
import numpy as np

from keras_electra.arguments import check_sizes
from keras_electra.backend.files import read_json
from keras_electra.conversion import hugging_face
from keras_electra.conversion import programs
from keras_electra.conversion import weights
from keras_electra.conversion.heads import embedder_modules
from keras_electra.conversion.heads import embedder_texts
from keras_electra.conversion.heads import head_of
from keras_electra.conversion.hugging_face import CONFIG
from keras_electra.data.rows import MAX_SEQUENCE_LENGTH
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import download
from keras_electra.presets import split_arguments
from keras_electra.tasks.text_embedder import ElectraTextEmbedderPreprocessor
from keras_electra.text.tokenizer import ElectraTokenizer

LOOKED_FOR = f"""Looked for:
- {CONFIG} with `registered_name` (this package, KerasHub), or with `model_type`
  and {" or ".join(hugging_face.WEIGHT_FILES)} (transformers)
- one `*.index` file, or a `checkpoint` that names one, and `*.data-*` (TF1)
- `discriminator/{CONFIG}` and `generator/{CONFIG}` (an exported pair)"""
WORDS = "electra/embeddings/word_embeddings"


class Files:
    """Where the files of a preset are: at `path`, or (`None`) in a hub.

    Of an exported pair (`is_pair`) it is a network's, or the discriminator's.
    """

    def __init__(self, preset: Any, network: Any = None):
        self.preset: Any = os.fspath(preset)
        path = pathlib.Path(self.preset).expanduser()
        places = ("", "discriminator", "generator")
        found = [(path / place / CONFIG).is_file() for place in places]
        self.is_pair: bool = found == [False, True, True]
        if self.is_pair:
            path = path / (network or "discriminator")
        has_index = pathlib.Path(f"{path}.index").is_file()
        self.is_prefix: bool = has_index and not path.is_dir()
        self.path: Any = path if path.is_dir() or has_index else None
        self.source: str = str(self.path or self.preset)
        self.inside = ""  # the folder in it where files are looked for first

    def has_index(self) -> Any:
        """Whether there is a TF1 checkpoint."""
        return self.is_prefix or self.path and any(self.path.glob("*.index"))

    def find(self, name: str) -> Any:
        """The local path of a file, or `None`."""
        root = self.path.parent if self.is_prefix else self.path
        for name in dict.fromkeys((f"{self.inside}/{name}".lstrip("/"), name)):
            path = root / name if root else download(self.preset, name)
            if path is not None and pathlib.Path(path).is_file():
                return path
        return None

    def read_json(self, name: str, empty: Any = {}) -> Any:
        """The content of a file; see `files.read_json`."""
        return read_json(self.find(name), empty)


def open_checkpoint(files: Any) -> Any:
    """The `Checkpoint` in `Files`; `None` if KerasHub is to open it."""
    if files.is_prefix:
        return programs.GoogleCheckpoint(files)
    config, marks = files.read_json(CONFIG), {"registered_name", "model_type"}
    if not marks & config.keys():
        folders = embedder_modules(files)[1]
        files.inside = "".join(folders[:1])  # not the root in older versions
        config = files.read_json(CONFIG)
    name = config.get("registered_name")
    has_weights = name is None and hugging_face.find_weights(files.find)
    if files.has_index():
        if name or has_weights:
            what = "a preset (config.json)" if name else "weights"
            raise ValueError(
                f"{files.source} is ambiguous: it holds both {what} and a TF1 "
                "checkpoint (*.index). Make two folders, or give its prefix."
            )
        return programs.GoogleCheckpoint(files)
    if name:
        return (
            programs.KerasHubCheckpoint(files)
            if name == programs.KERAS_HUB
            else None
        )
    if has_weights or "model_type" in config or "architectures" in config:
        return hugging_face.TransformersCheckpoint(files)
    raise ValueError(f"Nothing is known in {files.source}. {LOOKED_FOR}")


def open_preset(cls, preset, load_weights, arguments, show=True):
    """One of `presets.OPENERS`: all classes, from one checkpoint."""
    head = head_of(cls)
    network = head and head.network
    checkpoint = open_checkpoint(Files(preset, network))
    if checkpoint is None:
        return None
    if issubclass(cls, ElectraTokenizer):
        return _load_tokenizer(checkpoint, **arguments)
    if issubclass(cls, keras_hub.models.Preprocessor):
        return _load_preprocessor(cls, checkpoint, **arguments)
    network = network or checkpoint.networks[0]
    if network not in checkpoint.networks:
        other = checkpoint.networks[0]
        raise ValueError(
            f"{cls.__name__} needs a {network}, but {checkpoint.source} holds "
            f"a {other}. Give the other, or use a class for a {other}."
        )
    table, new, notes = {}, {}, checkpoint.notes(network)
    if issubclass(cls, ElectraBackbone):
        model = _build_backbone(checkpoint, network, **arguments)
    else:
        built = _build_task(cls, checkpoint, network, notes, **arguments)
        model, table, new = built
    if load_weights:
        table = weights.network(getattr(model, "backbone", model)) | table
        summary = weights.assign(checkpoint, network, table, new, notes)
        attach(model, summary, show)
    return model


def _build_backbone(checkpoint, network, **kwargs):
    arguments = checkpoint.backbone_arguments(network)
    shapes = [tensor.shape for tensor in checkpoint.tensors.values()]
    check_sizes(arguments, sum(map(math.prod, shapes)), checkpoint.source)
    return ElectraBackbone(**{"name": network, **arguments, **kwargs})


def _build_task(cls, checkpoint, network, notes, **kwargs):
    """A task, the table of its head if that is read, and what is new if not."""
    kwargs, text = split_arguments(cls, kwargs)
    head = head_of(cls)
    has_head = head is not None and head.is_in(checkpoint, network)
    keeps_head = has_head and "num_classes" not in kwargs
    if keeps_head:
        found = head.arguments(checkpoint)
        keeps_head = kwargs.get("head") in (None, found.get("head"))
        kwargs = {**found, **kwargs}
    dtype = kwargs.pop("dtype", None)
    if "backbone" not in kwargs:
        kwargs["backbone"] = _build_backbone(checkpoint, network, dtype=dtype)
    if "preprocessor" not in kwargs:
        given = cls.preprocessor_cls, checkpoint, bool(text)
        kwargs["preprocessor"] = _load_preprocessor(*given, **text)
        if kwargs["preprocessor"] is None:
            notes.append("no vocabulary was found: `preprocessor` is None")
    notes.extend(vocabulary_notes(kwargs["backbone"], kwargs["preprocessor"]))
    task = cls(**kwargs)
    if keeps_head:
        return task, head.weights(task), {}
    missing = checkpoint.pooled or "not in the checkpoint"
    reason = "as was asked for" if has_head else missing
    known = {id(weight) for weight in task.backbone.weights}
    new = [w.path for w in task.weights if id(w) not in known]
    return task, {}, dict.fromkeys(new, f"fresh head: {reason}")


def _load_tokenizer(checkpoint, needed=True, **kwargs):
    """The tokenizer, checked against the network; `None` if not `needed`."""
    source, tokenizer = checkpoint.source, checkpoint.tokenizer(**kwargs)
    if tokenizer is None and needed:
        raise FileNotFoundError(
            f"{source} has no vocabulary. Looked for: vocab.txt, "
            "tokenizer.json (KerasHub: assets/tokenizer/vocabulary.txt)."
        )
    if tokenizer is None:
        return None
    network, size = checkpoint.networks[0], tokenizer.vocabulary_size()
    sizes = checkpoint.backbone_arguments(network)
    rows = sizes["vocabulary_size"]
    what = f"The vocabulary of {source} has {size} entries, but its network "
    if rows < size:
        raise ValueError(
            f"{what}has {rows} tokens. Take the right one, or "
            "`preprocessor=None`."
        )
    if rows - size >= 128:  # more than padding, or trained like the others?
        table = checkpoint.tensor(WORDS, network).read()
        parts = np.split(np.asarray(table, "float32"), [size])
        known, others = (np.sqrt(part.var(0).mean()) for part in parts)
        begun = 2 * sizes.get("initializer_range", 0.02)
        if max(begun, known / 2) < others < 2 * known:
            what += f"{rows} tokens, trained alike: is the file cut off?"
            warnings.warn(what, stacklevel=2)
    return tokenizer


def _load_preprocessor(cls, checkpoint, needed=True, **kwargs):
    kwargs, of_tokens = split_arguments(cls, kwargs)
    is_embedder = issubclass(cls, ElectraTextEmbedderPreprocessor)
    config = embedder_texts(checkpoint.files) if is_embedder else {}
    tokenizer = kwargs.pop("tokenizer", None)
    if tokenizer is None:
        tokenizer = _load_tokenizer(checkpoint, needed, **of_tokens)
    if tokenizer is None:
        return None
    if config.get("do_lower_case") and not tokenizer.lowercase:
        # By itself that would take accents off as well.
        strips = bool(tokenizer.strip_accents)
        of_tokens = dict(lowercase=True, strip_accents=strips) | of_tokens
        tokenizer = _load_tokenizer(checkpoint, **of_tokens)
    sizes = checkpoint.backbone_arguments(checkpoint.networks[0])
    length = config.get("length") or tokenizer.pipeline.max_length
    length = min(length or MAX_SEQUENCE_LENGTH, sizes["max_sequence_length"])
    return cls(tokenizer=tokenizer, **{"sequence_length": length, **kwargs})


def vocabulary_notes(backbone: Any, preprocessor: Any) -> Any:
    """What is to be said of a table with more rows than there are tokens."""
    tokenizer = getattr(preprocessor, "tokenizer", None)
    rows = backbone.vocabulary_size
    more = 0 if tokenizer is None else rows - tokenizer.vocabulary_size()
    note = f"of {rows} rows of the embeddings {more} are of no token"
    return [note] * (more > 0)


def attach(model: Any, summary: Any, show: bool = True) -> None:
    """Leaves the summary on a model and shows it."""
    model.conversion_summary = summary
    if show and keras.config.is_interactive_logging_enabled():
        print(summary)
