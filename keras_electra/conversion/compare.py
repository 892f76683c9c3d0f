"""Compares a loaded model with the library that its checkpoint is of.

Both get the same text. The token ids of both tokenizers are compared, then
the source's network runs on ours, so that one difference does not hide
another.
"""

import dataclasses

import keras_hub
import numpy as np
from keras import ops

from keras_electra.conversion.task_forms import task_form

# Tasks with one output a text, not one a token.
WHOLE_TEXTS = (
    "ElectraForSequenceClassification",
    "ElectraForMultipleChoice",
)
TEXTS = (
    "The chef cooked the meal.",
    "Replaced tokens: café, naïve, 北京, 12.50 -- and so on!",
)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Largest absolute differences, over all tokens that are not padding.

    Attributes:
        source: string. What was compared with.
        same_tokens: bool or `None`. Whether both tokenizers gave the same
            ids; `None` if one of them is missing.
        hidden_states: float. Of the encoder's output.
        logits: float or `None`. Of the head's output, if both have it.
    """

    source: str
    same_tokens: bool | None
    hidden_states: float
    logits: float | None

    def __str__(self):
        logits = "no head" if self.logits is None else f"{self.logits:.2g}"
        tokens = {True: "equal", False: "DIFFERENT", None: "not compared"}
        return (
            f"compared with {self.source}: token ids "
            f"{tokens[self.same_tokens]}, largest difference of hidden states "
            f"{self.hidden_states:.2g}, of logits {logits}"
        )


def compare_with_source(model, source, texts=TEXTS, x=None):
    """Runs a model and its source on the same text.

    Args:
        model: `ElectraBackbone` or a task, from `from_preset`.
        source: string or path. Folder or handle of the checkpoint, in the
            form of transformers or of KerasHub. (The original's TF1 program
            cannot be run beside Keras 3.)
        texts: list of strings. Used when the model has a tokenizer.
        x: dict of int arrays, or `None`: inputs in place of `texts`.

    Returns:
        A `Comparison`.

    Raises:
        ImportError: when transformers is not installed and needed.
        ValueError: when there is neither a tokenizer nor `x`.
    """
    source = str(source)
    tokenizer = getattr(getattr(model, "preprocessor", None), "tokenizer", None)
    if x is None and tokenizer is None:
        raise ValueError(
            "`compare_with_source` needs a model with a tokenizer, or `x`. "
            "Received a model without a preprocessor, and x=None."
        )
    backbone = getattr(model, "backbone", model)
    if x is None:
        x = _rows(tokenizer, texts, backbone.max_sequence_length)
    x = {name: np.asarray(array, "int32") for name, array in x.items()}
    form = task_form(type(model))
    architecture = form.architecture if form else "ElectraModel"
    if architecture == "ElectraForMultipleChoice":
        length = x["token_ids"].shape[-1]
        x = {n: a if a.ndim == 3 else a[:, None] for n, a in x.items()}
        flat = {n: a.reshape(-1, length) for n, a in x.items()}
    else:
        flat = x
    checkpoint = _opened(source, form)
    source = checkpoint.source  # of an exported pair, one of its folders
    if checkpoint.form == "KerasHub":
        hidden, logits, theirs = _run_kerashub(source, flat), None, None
    else:
        hidden, logits, theirs = _run_transformers(
            source, architecture, x, texts
        )
    mask = flat["padding_mask"].astype(bool)
    ours = _numpy(backbone(_tensors(flat))["sequence_output"])
    difference = None
    if logits is not None:
        every = architecture not in WHOLE_TEXTS
        difference = _largest(_logits(model, x), logits, mask if every else ...)
    ids = None
    if theirs is not None and tokenizer is not None:
        ids = _ids(tokenizer, texts)
    return Comparison(
        source,
        None if ids is None else ids == theirs,
        _largest(ours, hidden, mask),
        difference,
    )


def _largest(ours, theirs, mask):
    return float(np.max(np.abs(ours[mask] - theirs[mask])))


def _ids(tokenizer, texts):
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    rows = tokenizer.encode_batch(list(texts), special_tokens=True)
    return [[cls, *row, sep] for row in rows]


def _rows(tokenizer, texts, positions):
    rows = [ids[:positions] for ids in _ids(tokenizer, texts)]
    length = max(len(row) for row in rows)
    token_ids = np.full((len(rows), length), tokenizer.pad_token_id)
    padding_mask = np.zeros((len(rows), length))
    for row, ids in enumerate(rows):
        token_ids[row, : len(ids)] = ids
        padding_mask[row, : len(ids)] = 1
    return {
        "token_ids": token_ids,
        "segment_ids": np.zeros((len(rows), length)),
        "padding_mask": padding_mask,
    }


def _logits(model, x):
    """Our head's output, for every position where it has one for each."""
    if "mask_positions" in model.input:
        rows, length = x["token_ids"].shape
        every = np.tile(np.arange(length, dtype="int32"), (rows, 1))
        x = {**x, "mask_positions": every}
    outputs = model(_tensors(x))
    if isinstance(outputs, dict):
        return _spans(outputs["start_logits"], outputs["end_logits"], _numpy)
    return _numpy(outputs)


def _spans(start, end, to_numpy):
    return np.stack([to_numpy(start), to_numpy(end)], axis=-1)


def _opened(source, form):
    """The checkpoint, of a form that there is a program for."""
    from keras_electra.hub import opening

    checkpoint = opening.open_checkpoint(source, form and form.network)
    if checkpoint is None or checkpoint.form not in (
        "transformers",
        "KerasHub",
    ):
        raise ValueError(
            f"{source} is no checkpoint of transformers or KerasHub, so there "
            "is no program to compare with."
        )
    return checkpoint


def _run_kerashub(source, x):
    network = keras_hub.models.ElectraBackbone.from_preset(source)
    return _numpy(network(_tensors(x))["sequence_output"])


def _run_transformers(source, architecture, x, texts):
    """Hidden states, logits or `None`, and token ids or `None`."""
    try:
        import transformers
    except ImportError as error:
        raise ImportError(
            "Comparing with a checkpoint of transformers needs that package "
            "and PyTorch: `pip install transformers torch`."
        ) from error
    name = source.removeprefix("hf://")
    network = getattr(transformers, architecture).from_pretrained(name)
    network = network.float().eval()
    # Makes tensors of PyTorch, which this room does not import.
    inputs = transformers.BatchEncoding(
        {
            "input_ids": x["token_ids"].astype("int64"),
            "attention_mask": x["padding_mask"].astype("int64"),
            "token_type_ids": x["segment_ids"].astype("int64"),
        },
        tensor_type="pt",
    )
    outputs = network(**inputs, output_hidden_states=True)
    hidden = outputs.hidden_states[-1].detach().numpy()
    logits = getattr(outputs, "logits", None)
    if logits is not None:
        logits = logits.detach().numpy()
    elif hasattr(outputs, "start_logits"):
        logits = _spans(
            outputs.start_logits,
            outputs.end_logits,
            lambda tensor: tensor.detach().numpy(),
        )
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        ids = tokenizer(list(texts))["input_ids"]
    except (OSError, ValueError, TypeError):
        ids = None
    return hidden, logits, ids


def _tensors(x):
    return {name: ops.convert_to_tensor(array) for name, array in x.items()}


def _numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), "float32")
