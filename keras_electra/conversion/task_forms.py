"""How each task of ours relates to a class of transformers.

A row says which network the task needs, where its head's weights are by the
names of `places.py`, and how the arguments of its constructor and the entries
of `config.json` follow from one another.
"""

import dataclasses
import typing
import warnings

from keras_electra.conversion import google_head
from keras_electra.conversion import places
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR

PROBLEM_TYPES = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}


@dataclasses.dataclass(frozen=True)
class TaskForm:
    """One row.

    Attributes:
        architecture: string. Class name in transformers.
        network: string or `None`. The network that it needs, or either.
        mark: string. A name that the head has.
        places: function of the task: the table of its head.
        arguments: function of a checkpoint: arguments of the constructor
            that the head in it needs.
        settings: function of the task: entries of `config.json`.
        write: function of the task: table of `Place`s or arrays to write,
            and more entries of `config.json`. Defaults to `places`.
        finish: function of the loaded task and the checkpoint, for what is
            not a tensor. Defaults to nothing.
    """

    architecture: str
    network: str | None
    mark: str
    places: typing.Callable
    arguments: typing.Callable = lambda checkpoint: {}
    settings: typing.Callable = lambda task: {}
    write: typing.Callable | None = None
    finish: typing.Callable = lambda task, checkpoint: None

    def written(self, task):
        """The head as it is written: table, and entries of the config."""
        if self.write is not None:
            table, settings = self.write(task)
        else:
            table, settings = self.places(task), {}
        return table, {**self.settings(task), **settings}

    def is_in(self, checkpoint, network):
        """Whether a checkpoint has this head."""
        return checkpoint.has(
            self.mark, network
        ) and checkpoint.architecture in (None, self.architecture)


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


def _classes(checkpoint, name):
    return {
        "num_classes": checkpoint.shape(name, DISCRIMINATOR)[-1],
        "labels": checkpoint.labels,
        "dropout": checkpoint.classifier_dropout,
    }


def _labels(task):
    names = task.labels or [f"LABEL_{i}" for i in range(task.num_classes)]
    return {
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
        "classifier_dropout": task.dropout,
    }


# Token prediction.


def check_token_head(head):
    """Raises a `ValueError` for a head that transformers does not have."""
    if head.activation != "gelu":
        raise ValueError(
            "transformers computes the head of a masked language model with "
            "the exact GELU. This one has the activation "
            f"{head.activation!r} and would give other numbers."
        )


def _write_masked_lm(task):
    check_token_head(task.head)
    table = places.token_prediction_head(task.head)
    return table, {"tie_word_embeddings": task.head.tie_embeddings}


# Text classification.


def _text_places(task):
    out = places.dense(task.output_dense, google_head.OUT)
    if task.head == "google":
        return out
    return {**places.dense(task.hidden_dense, google_head.DENSE), **out}


def _text_arguments(checkpoint):
    name = f"{google_head.OUT}/kernel"
    arguments = _classes(checkpoint, name)
    kind = "transformers" if _google_head(checkpoint) is None else "google"
    theirs = checkpoint.problem_type
    for ours, name in PROBLEM_TYPES.items():
        if name == theirs:
            arguments["problem_type"] = ours
    return {**arguments, "head": kind}


def _google_head(checkpoint):
    return google_head.from_transformers(
        checkpoint.config, lambda name: checkpoint.read(name, DISCRIMINATOR)
    )


def _finish_text(task, checkpoint):
    head = _google_head(checkpoint) if task.head == "google" else None
    if head is not None:
        task.output_dense.bias.assign(head["bias"])


def _text_settings(task):
    return {**_labels(task), "problem_type": PROBLEM_TYPES[task.problem_type]}


def _write_text(task):
    table = _text_places(task)
    if task.head != "google":
        return table, {}
    norm = task.backbone.transformer_layers[-1].output_layer_norm
    return google_head.to_transformers(
        places.to_array(table[f"{google_head.OUT}/kernel"]),
        places.to_array(table[f"{google_head.OUT}/bias"]),
        places.to_array(places.Place(norm.gamma)),
        places.to_array(places.Place(norm.beta)),
    )


# Tagging.


def _write_labels(task):
    segment_id = getattr(task.preprocessor, "segment_id", 0)
    if segment_id != 0:
        warnings.warn(
            "transformers reads sentences as segment 0, but this tagger was "
            f"trained with segment_id={segment_id} of its preprocessor. Pass "
            f"`token_type_ids` of {segment_id} there, or train it with 0.",
            stacklevel=2,
        )
    return places.dense(task.output_dense, "classifier"), {}


# Question answering.


def _write_answers(task):
    if task.head != "simple" or task.answerability is not None:
        raise ValueError(
            "transformers scores start and end of an answer apart and has no "
            "score of its own for there being none. Expected a task with "
            'head="simple" and answerability=None, received '
            f"head={task.head!r}, answerability={task.answerability!r}."
        )
    return places.dense(task.span_head.output_dense, "qa_outputs"), {}


# Multiple choice.

SUMMARY = {
    "summary_type": "first",
    "summary_use_proj": True,
    "summary_activation": "gelu",
}


def _choice_places(task):
    return {
        **places.dense(task.hidden_dense, "sequence_summary/summary"),
        **places.dense(task.output_dense, "classifier"),
    }


def _choice_arguments(checkpoint):
    for name, expected in SUMMARY.items():
        value = checkpoint.config.get(name, expected)
        if value != expected:
            raise ValueError(
                f"{checkpoint.source} has {name}={value!r} in its config.json;"
                f" the head here has {expected!r} and would compute other "
                "numbers."
            )
    return {"dropout": checkpoint.config.get("summary_last_dropout", 0.1)}


def _choice_settings(task):
    return {**SUMMARY, "summary_last_dropout": task.dropout}


TASK_FORMS = {
    "ElectraMaskedLM": TaskForm(
        "ElectraForMaskedLM",
        GENERATOR,
        "generator_predictions/dense/kernel",
        lambda task: places.token_prediction_head(task.head),
        lambda checkpoint: checkpoint.token_head_arguments(),
        write=_write_masked_lm,
    ),
    "ElectraReplacedTokenDetector": TaskForm(
        "ElectraForPreTraining",
        DISCRIMINATOR,
        "discriminator_predictions/dense/kernel",
        lambda task: places.replaced_token_head(task.head),
    ),
    "ElectraTextClassifier": TaskForm(
        "ElectraForSequenceClassification",
        None,
        f"{google_head.OUT}/kernel",
        _text_places,
        _text_arguments,
        _text_settings,
        _write_text,
        _finish_text,
    ),
    "ElectraTokenClassifier": TaskForm(
        "ElectraForTokenClassification",
        None,
        "classifier/kernel",
        lambda task: places.dense(task.output_dense, "classifier"),
        lambda checkpoint: _classes(checkpoint, "classifier/kernel"),
        _labels,
        _write_labels,
    ),
    "ElectraQuestionAnswering": TaskForm(
        "ElectraForQuestionAnswering",
        None,
        "qa_outputs/kernel",
        lambda task: places.dense(task.span_head.output_dense, "qa_outputs"),
        lambda checkpoint: {"head": "simple"},
        write=_write_answers,
    ),
    "ElectraMultipleChoice": TaskForm(
        "ElectraForMultipleChoice",
        None,
        "sequence_summary/summary/kernel",
        _choice_places,
        _choice_arguments,
        _choice_settings,
    ),
}
