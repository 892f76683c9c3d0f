"""The head mapping: how each task of ours relates to a class of transformers.

It has none for the original's classifier, a linear layer on the vector of
`[CLS]`: `google_to_transformers` says how one of its classes computes the same.
"""

import typing
import warnings

import numpy as np

from keras_electra.arguments import check_option
from keras_electra.conversion import sentence_transformers
from keras_electra.conversion import weights

SUMMARY = dict(
    summary_type="first", summary_use_proj=True, summary_activation="gelu"
)
KEY = "keras_electra_head"
DENSE, OUT = "classifier/dense", "classifier/out_proj"
CHOICE = "sequence_summary/summary"
IDENTITY_FROM = 6.0  # above it GELU is the identity in float32


def check_values(config, expected, source):
    """Raises a `ValueError` for a configuration that ours cannot have."""
    for name, value in expected.items():
        check_option(f"{name} of {source}", config.get(name, value), [value])


def _token_settings(task):
    check_option("head_activation", task.head.activation, ("gelu",))
    return {"tie_word_embeddings": task.head.tie_embeddings}


def _label_arguments(checkpoint):
    config, arguments = checkpoint.config, {}
    kernel = checkpoint.tensor("classifier/kernel")
    if kernel is None:  # of a text's class, not of words'
        kernel = checkpoint.tensor(f"{OUT}/kernel")
        is_google = checkpoint.has_google_head
        arguments["head"] = "google" if is_google else "transformers"
        if kind := config.get("problem_type"):
            arguments["problem_type"] = kind.removesuffix("_classification")
    names = config.get("id2label") or {}
    labels = [names.get(str(id)) for id in range(len(names))]
    if not all(isinstance(label, (str, int, float)) for label in labels):
        raise ValueError(
            f"`id2label` of {checkpoint.source} must be a dict from '0', '1', "
            f"... to names. Received: {str(names):.200}."
        )
    labels = list(map(str, labels))
    if labels != [f"LABEL_{i}" for i in range(len(labels))]:
        arguments["labels"] = labels
    dropout = config.get("classifier_dropout")
    if dropout is None:
        dropout = config["hidden_dropout_prob"]
    return {"num_classes": kernel.shape[-1], "dropout": dropout, **arguments}


def _label_settings(task):
    segment_id = getattr(task.preprocessor, "segment_id", 0)  # a tagger's
    if segment_id != 0:
        warnings.warn(
            f"This tagger was trained with segment_id={segment_id}, but the "
            "default of transformers is 0: pass `token_type_ids` there.",
            stacklevel=2,
        )
    names = task.labels or [f"LABEL_{i}" for i in range(task.num_classes)]
    kind = getattr(task, "problem_type", None)  # a classifier's
    if kind in ("single_label", "multi_label"):
        kind += "_classification"
    return {
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
        "classifier_dropout": task.dropout,
        "problem_type": kind,
    }


def _answer_settings(task):
    only = {"head": "simple", "answerability": None}
    check_values(task.get_config(), only, "a task there")
    return {}


def _choice_arguments(checkpoint):
    check_values(checkpoint.config, SUMMARY, checkpoint.source)
    return {"dropout": checkpoint.config.get("summary_last_dropout", 0.1)}


class Head(typing.NamedTuple):
    """One head: a class in transformers, and where its weights are here."""

    architecture: str  # in transformers
    parts: dict  # names -> attributes of a task with the weights
    network: str | None = None  # that it needs, or either
    # Of a `Checkpoint`, arguments of the task; of a task, entries of
    # `config.json`, or an error if there is no such head.
    arguments: typing.Callable = lambda checkpoint: {}
    settings: typing.Callable = lambda task: {}

    def is_in(self, checkpoint, network):
        """Whether a checkpoint has this head; an error if it only says so."""
        name, claimed = next(iter(self.parts), None), checkpoint.architecture
        if name is None:
            return True
        is_there = checkpoint.tensor(f"{name}/kernel", network) is not None
        if name == "classifier" and checkpoint.pooled:
            is_there = False
        if claimed == self.architecture and not is_there:
            raise ValueError(
                f"{checkpoint.source} is {claimed} by its config.json, but "
                f"lacks the weights of its head, such as '{name}/kernel'."
            )
        return is_there

    def weights(self, task):
        """The table of a task's head."""
        is_google = getattr(task, "head", None) == "google"  # one layer
        parts = {OUT: "output_dense"} if is_google else self.parts
        return weights.of_parts(task, parts)


def google_to_transformers(kernel, bias, gamma, beta):
    """The original's head as arrays of transformers', and the true bias.

    That of transformers has a dense layer with GELU first. Of large numbers it
    is the identity: so this layer adds a constant above all that normalization
    with `gamma` and `beta` gives, which the other takes off, rounded at 1e-6.
    """
    # No entry of a normalized vector is larger than the root of its width.
    shift = np.abs(gamma) * np.sqrt(len(gamma)) + np.abs(beta) + IDENTITY_FROM
    shift = np.ceil(shift).astype("float32")
    return _shifted(kernel, bias, shift), [float(b) for b in bias]


def _shifted(kernel, bias, shift):
    taken_off = shift.astype("float64") @ kernel.astype("float64")
    return {
        f"{DENSE}/kernel": np.eye(len(shift), dtype="float32"),
        f"{DENSE}/bias": shift,
        f"{OUT}/kernel": kernel,
        f"{OUT}/bias": (bias - taken_off).astype("float32"),
    }


def google_bias(config, read):
    """The true bias of what `google_to_transformers` made; `None` of others."""
    if config.get(KEY, {}).get("kind") != "google":
        return None
    bias = np.asarray(config[KEY]["bias"], "float32")
    kernel, shift = read(f"{OUT}/kernel"), read(f"{DENSE}/bias")
    if kernel.shape[-1] != len(bias):
        return None
    arrays = _shifted(kernel, bias, shift)  # unless it was trained further
    is_same = all(np.array_equal(read(n), a) for n, a in arrays.items())
    return bias if is_same else None


DETECTOR = Head(
    "ElectraForPreTraining", weights.REPLACED_HEAD, network="discriminator"
)
LABELS = {"arguments": _label_arguments, "settings": _label_settings}
HEADS = {
    "ElectraMaskedLM": Head(
        "ElectraForMaskedLM",
        weights.TOKEN_HEAD,
        network="generator",
        arguments=lambda checkpoint: checkpoint.token_head,
        settings=_token_settings,
    ),
    "ElectraReplacedTokenDetector": DETECTOR,
    "ElectraPromptClassifier": DETECTOR,
    "ElectraTextClassifier": Head(
        "ElectraForSequenceClassification",
        {OUT: "output_dense", DENSE: "hidden_dense"},
        **LABELS,
    ),
    "ElectraTokenClassifier": Head(
        "ElectraForTokenClassification",
        {"classifier": "output_dense"},
        **LABELS,
    ),
    "ElectraQuestionAnswering": Head(
        "ElectraForQuestionAnswering",
        {"qa_outputs": "span_head.output_dense"},
        arguments=lambda checkpoint: {"head": "simple"},
        settings=_answer_settings,
    ),
    "ElectraMultipleChoice": Head(
        "ElectraForMultipleChoice",
        {CHOICE: "hidden_dense", "classifier": "output_dense"},
        arguments=_choice_arguments,
        settings=lambda t: {**SUMMARY, "summary_last_dropout": t.dropout},
    ),
    # It has no weights of its own.
    "ElectraTextEmbedder": Head(
        "ElectraModel", {}, arguments=sentence_transformers.recipe
    ),
}


def head_of(cls):
    """The `Head` of a task's class or of a base; `None` if there is none."""
    names = [base.__name__ for base in cls.__mro__]
    return next((HEADS[name] for name in names if name in HEADS), None)
