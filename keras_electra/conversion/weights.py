"""The weight map, and how the weights of a checkpoint are taken over.

All forms go by the original's names (of heads that it lacks, transformers'). A
table maps tuples of names to variables: of query, key and value, or of one.
"""

import operator
import re
import types
import typing
from typing import Any

import keras
import numpy as np

from keras_electra.arguments import progress
from keras_electra.conversion import tokenizer_files

# Name in the original -> attribute here: of embeddings, a layer and a task.
EMBEDDINGS = {
    "word_embeddings": "token_embedding.embeddings",
    "position_embeddings": "position_embedding.position_embeddings",
    "token_type_embeddings": "segment_embedding.embeddings",
    "LayerNorm": "layer_norm",
}
ATTENTION = tuple(f"attention/self/{n}" for n in ("query", "key", "value"))
LAYER: dict[str, Any] = {
    ATTENTION: "attention.query_key_value",
    "attention/output/dense": "attention.output_dense",
    "attention/output/LayerNorm": "attention_layer_norm",
    "intermediate/dense": "intermediate_dense",
    "output/dense": "output_dense",
    "output/LayerNorm": "output_layer_norm",
}
# The output matrix of an untied head. The original has no such thing.
OUTPUT_TABLE = "generator_predictions/output_embeddings"
OUTPUT_BIAS = "generator_predictions/output_bias"
TOKEN_HEAD = {
    "generator_predictions/dense": "head.dense",
    "generator_predictions/LayerNorm": "head.layer_norm",
    OUTPUT_BIAS: "head.bias",
    OUTPUT_TABLE: "head.output_embeddings",
}
REPLACED_HEAD = {
    "discriminator_predictions/dense": "head.dense",
    "discriminator_predictions/dense_1": "head.output_dense",
}


def of_parts(root: Any, attributes: Any, prefix: str = "") -> Any:
    """Weights of attributes of `root`: layers, variables or `None`."""
    table = {}
    for names, attribute in attributes.items():
        names = (names,) if isinstance(names, str) else names
        part = operator.attrgetter(attribute)(root)
        parts = {} if part is None else {"": part}
        if isinstance(part, keras.Layer):
            if mode := part.quantization_mode:
                raise ValueError(
                    f"{part.path} is quantized to {mode}, which no other form "
                    "of checkpoint holds: export before `quantize`."
                )
            ends = ("kernel", "bias", "gamma", "beta")
            parts = {f"/{n}": getattr(part, n, None) for n in ends}
        for end, variable in parts.items():
            if variable is not None:
                table[tuple(prefix + name + end for name in names)] = variable
    return table


def embeddings(layer: Any, prefix: str = "electra") -> Any:
    """Weights of an `ElectraEmbeddings`."""
    return of_parts(layer, EMBEDDINGS, f"{prefix}/embeddings/")


def encoder(backbone: Any, prefix: str = "electra", parts: Any = LAYER) -> Any:
    """Weights of a backbone, with `parts` of a layer, but its embeddings."""
    table = {}
    if hasattr(backbone, "embeddings_projection"):  # KerasHub's has none
        projection = {"embeddings_project": "embeddings_projection"}
        table = of_parts(backbone, projection, f"{prefix}/")
    for i, layer in enumerate(backbone.transformer_layers):
        table |= of_parts(layer, parts, f"{prefix}/encoder/layer_{i}/")
    return table


def network(backbone: Any) -> dict[str, Any]:
    """Weights of a whole `ElectraBackbone`."""
    return {**embeddings(backbone.embeddings), **encoder(backbone)}


def tasks_of(pretrainer: Any, whole: bool = True) -> dict[str, Any]:
    """What is like a task, for each network of a pre-trainer with a head.

    If `whole`, a `ValueError` if another network has no task.
    """
    text, objective = pretrainer.preprocessor, pretrainer.objective
    odd = {"discriminator"} if objective.endswith("mlm") else set()
    if hasattr(pretrainer.generator, "left"):
        odd.add("generator")
    if whole and odd:
        raise ValueError(
            "No other form of checkpoint has two towers, or the heads of "
            f"objective={objective!r}. Export a task of `pretrainer.backbone`."
        )
    parts = {
        "discriminator": (pretrainer.backbone, pretrainer.discriminator_head),
        "generator": (pretrainer.generator, pretrainer.generator_head),
    }
    return {
        name: types.SimpleNamespace(backbone=b, head=head, preprocessor=text)
        for name, (b, head) in parts.items()
        if b is not None and head is not None and name not in odd
    }


def pretrainer(pretrainer: Any) -> Any:
    """Weights of an `ElectraPretrainer`, each once."""
    backbone, generator = pretrainer.backbone, pretrainer.generator
    tasks, table = tasks_of(pretrainer), embeddings(backbone.embeddings)
    if has_two := generator not in (None, backbone):
        table |= encoder(generator, "generator")
        if generator.embeddings is not backbone.embeddings:
            table |= embeddings(generator.embeddings, "generator")
    if "discriminator" in tasks or not has_two:
        table |= encoder(backbone)
    heads = {"generator": TOKEN_HEAD, "discriminator": REPLACED_HEAD}
    for name, task in tasks.items():
        table |= of_parts(task, heads[name])
    return table


def shapes_of(table: Any) -> dict[str, Any]:
    """The shapes of a table's parts by name."""
    return {
        name: (*variable.shape[:-1], variable.shape[-1] // len(names))
        for names, variable in table.items()
        for name in names
    }


def arrays_of(table: Any) -> Any:
    """The values of a table's parts by name, float32."""
    arrays = {}
    for names, variable in table.items():
        values = keras.ops.convert_to_numpy(variable).astype("float32")
        arrays.update(zip(names, np.split(values, len(names), axis=-1)))
    return arrays


def fill(table: Any, read: Any) -> None:
    """Assigns what `read` gives for the names of a table to its variables."""
    for names, variable in progress(table.items(), len(table)):
        arrays = [np.asarray(read(name), "float32") for name in names]
        variable.assign(np.concatenate(arrays, -1).reshape(variable.shape))


class Tensor(typing.NamedTuple):
    """A tensor in a file: its shape, and a function that reads it."""

    shape: tuple
    read: typing.Callable


def in_memory(array: Any) -> Any:
    """The `Tensor` of an array."""
    return Tensor(array.shape, lambda: array)


class Checkpoint:
    """One checkpoint in a form that is not ours.

    Subclasses add its name, `form`; `tensors`, by stored names, shaped like
    ours; `backbone_arguments(network)`; and `reasons(network)`, a dict from
    patterns of tensors that are left out on purpose to why.
    """

    # Both for an encoder of which nobody can say what it is.
    networks: tuple[str, ...] = ("discriminator", "generator")
    is_tied = False  # whether both are one encoder
    architecture, config = None, {}  # in transformers
    token_head: dict[str, Any] = {}  # arguments of `ElectraMaskedLM`
    pooled = None  # why a linear `classifier` is not of all tokens
    file_names: Any = {}  # of tensors that are not called so in the file
    lowercase = True  # as of `read_tokenizer`

    def __init__(self, files: Any):
        self.files, self.source = files, files.source

    def tokenizer(self, **kwargs: Any) -> Any:
        """A new tokenizer, or `None`; `kwargs` go before what files say."""
        given = self.files.find, self.source, self.lowercase
        return tokenizer_files.read_tokenizer(*given, **kwargs)

    def notes(self, network: Any) -> Any:
        """What was assumed about a network, for the summary."""
        return tokenizer_files.case_notes(self.files.find, self.lowercase)

    def stored_name(self, name: str, network: Any) -> Any:
        """The stored name for an original name, whether there is one or not."""
        return name

    def tensor(self, name: str, network: Any = "discriminator") -> Any:
        """The `Tensor` with an original name, or `None`."""
        return self.tensors.get(self.stored_name(name, network))


class Summary(typing.NamedTuple):
    """What became of a checkpoint; as a string, a report."""

    source: str
    form: str
    used: int  # tensors that are in the model now
    dropped: dict  # tensors that are not -> why
    new: dict  # paths of weights that are not from it -> why
    notes: list  # what else the user should know

    def __str__(self) -> str:
        lines = [f"{self.source} ({self.form}): {self.used} tensors used"]
        for title, found in (("dropped", self.dropped), ("new", self.new)):
            for reason in dict.fromkeys(found.values()):
                names = [name for name in found if found[name] == reason]
                lines.append(f"  {title}: {_few(names)} ({reason})")
        return "\n".join([*lines, *(f"  note: {n}" for n in self.notes)])


def join(parts: Any, notes: Any) -> Any:
    """One summary of the two of a pre-trainer, or of presets of ours."""
    dropped, new = {}, {}
    for part in parts:
        dropped, new = dropped | part.dropped, new | part.new
        notes = [*part.notes, *notes]
    if len(parts) > 1:  # what one leaves out is what the other takes
        ours = ("of the other network", "not of this task's head")
        dropped = {n: why for n, why in dropped.items() if why not in ours}
    source = " and ".join(dict.fromkeys(p.source for p in parts)) or "preset"
    form = " and ".join(dict.fromkeys(p.form for p in parts)) or "this package"
    used = sum(part.used for part in parts)
    return Summary(source, form, used, dropped, new, [*dict.fromkeys(notes)])


def _few(names):
    more = f", ... {len(names)} in all" if len(names) > 4 else ""
    return (", ".join(names[:4]) or "none") + more


def assign(checkpoint, network, table, new, notes):
    """Gives the weights of a table a network's values; returns a `Summary`.

    Every tensor must be used or dropped for a reason, and have the right shape.
    """
    source, tensors = checkpoint.source, checkpoint.tensors
    shapes, reasons = shapes_of(table), checkpoint.reasons(network)
    stored = {name: checkpoint.stored_name(name, network) for name in shapes}
    dropped = {
        name: next((why for p, why in reasons.items() if re.match(p, name)), "")
        for name in sorted(tensors.keys() - stored.values())
    }
    missing = sorted(stored.values() - tensors.keys())
    left_over = [name for name, reason in dropped.items() if not reason]
    wrong = [
        f"{stored[name]} {tensors[stored[name]].shape} in place of {shape}"
        for name, shape in shapes.items()
        if not missing and tensors[stored[name]].shape != shape
    ]
    if missing or left_over or wrong:
        raise ValueError(
            f"{source} must hold exactly the weights of its network. Missing: "
            f"{_few(missing)}. Left over: {_few(left_over)}. Of another shape: "
            f"{_few(wrong)}. The configuration contradicts the weights."
        )

    def read(name):
        value = np.asarray(tensors[stored[name]].read())
        is_whole = value.dtype.kind in "biu"  # some bytes of a quantized one
        if is_whole or not np.isfinite(value := value.astype("float32")).all():
            raise ValueError(
                f"{stored[name]} of {source} must hold finite numbers of 16 or "
                "32 bits. It is damaged, quantized, or of a failed training."
            )
        return value

    fill(table, read)
    names = checkpoint.file_names
    dropped = {names.get(name, name): why for name, why in dropped.items()}
    return Summary(source, checkpoint.form, len(shapes), dropped, new, notes)
