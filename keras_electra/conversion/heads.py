"""The head mapping: how each task of ours relates to a class of transformers.

The original's classifier is one linear layer on the vector of `[CLS]`; that of
transformers has a dense layer with GELU before it. Where GELU's argument is
large it is the identity, so a dense layer that only adds a large enough
constant, which the linear layer takes off again, computes the same. The vector
comes from a layer normalization, whose weights say what is large enough. Price:
logits are rounded at the size of that constant, about 1e-6 of it. The true bias
travels in the configuration, so that the way back is exact.
"""

import warnings

import numpy as np

from keras_electra.conversion import weights
from keras_electra.conversion.checkpoint import DISCRIMINATOR
from keras_electra.conversion.checkpoint import GENERATOR

PROBLEM_TYPES = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}
SUMMARY = {
    "summary_type": "first",
    "summary_use_proj": True,
    "summary_activation": "gelu",
}
KEY = "keras_electra_head"
DENSE, OUT = "classifier/dense", "classifier/out_proj"
# Above this GELU is the identity in float32.
IDENTITY_FROM = 6.0


class Head:
    """One head: a class in transformers, and where its weights are here.

    Attributes:
        architecture: string. Class name in transformers.
        mark: string. A name that the head has.
        weights: method. The table of a task's head.
        network: string or `None`. The network that it needs, or either.
    """

    network = None

    def arguments(self, checkpoint):
        """Arguments of the constructor that the head in a checkpoint needs."""
        return {}

    def written(self, task):
        """Table of weights or arrays to write, and entries of the config."""
        return self.weights(task), {}

    def finish(self, task, checkpoint):
        """Sets what is not a tensor, after the weights."""

    def is_in(self, checkpoint, network):
        """Whether a checkpoint has this head."""
        return checkpoint.has(
            self.mark, network
        ) and checkpoint.architecture in (None, self.architecture)


class MaskedLMHead(Head):
    architecture, network = "ElectraForMaskedLM", GENERATOR
    mark = "generator_predictions/dense/kernel"

    def weights(self, task):
        return weights.token_prediction_head(task.head)

    def arguments(self, checkpoint):
        return checkpoint.token_head_arguments()

    def written(self, task):
        check_token_head(task.head)
        tied = task.head.tie_embeddings
        return self.weights(task), {"tie_word_embeddings": tied}


def check_token_head(head):
    """Raises a `ValueError` for a head that transformers does not have."""
    if head.activation != "gelu":
        raise ValueError(
            "transformers has the exact GELU in the head of a masked language "
            f"model. This one has the activation {head.activation!r} and would "
            "give other numbers."
        )


class DetectorHead(Head):
    architecture, network = "ElectraForPreTraining", DISCRIMINATOR
    mark = "discriminator_predictions/dense/kernel"

    def weights(self, task):
        return weights.replaced_token_head(task.head)


class TokenClassifierHead(Head):
    architecture = "ElectraForTokenClassification"
    mark = "classifier/kernel"

    def weights(self, task):
        return weights.of_layer(task.output_dense, "classifier")

    def arguments(self, checkpoint):
        config = checkpoint.config
        dropout = config.get("classifier_dropout")
        if dropout is None:
            dropout = config.get("hidden_dropout_prob", 0.1)
        return {
            "num_classes": checkpoint.shape(self.mark, DISCRIMINATOR)[-1],
            "labels": _labels(config.get("id2label")),
            "dropout": dropout,
        }

    def written(self, task):
        segment_id = getattr(task.preprocessor, "segment_id", 0)
        if segment_id != 0:
            warnings.warn(
                "transformers reads sentences as segment 0, but this tagger "
                f"was trained with segment_id={segment_id}. Pass "
                f"`token_type_ids` of {segment_id} there, or train it with 0.",
                stacklevel=2,
            )
        return self.weights(task), self.settings(task)

    def settings(self, task):
        """Entries of the config that the classes need."""
        names = task.labels or [f"LABEL_{i}" for i in range(task.num_classes)]
        return {
            "id2label": {str(i): name for i, name in enumerate(names)},
            "label2id": {name: i for i, name in enumerate(names)},
            "classifier_dropout": task.dropout,
        }


def _labels(names):
    """Names of classes, unless transformers made them up."""
    names = {int(id): str(name) for id, name in (names or {}).items()}
    names = [names[id] for id in sorted(names)]
    made_up = [f"LABEL_{i}" for i in range(len(names))]
    return None if names == made_up else names


class TextClassifierHead(TokenClassifierHead):
    architecture = "ElectraForSequenceClassification"
    mark = f"{OUT}/kernel"

    def weights(self, task):
        table = weights.of_layer(task.output_dense, OUT)
        if task.head != "google":
            table.update(weights.of_layer(task.hidden_dense, DENSE))
        return table

    def arguments(self, checkpoint):
        arguments = super().arguments(checkpoint)
        for ours, theirs in PROBLEM_TYPES.items():
            if theirs == checkpoint.config.get("problem_type"):
                arguments["problem_type"] = ours
        is_google = self._google_bias(checkpoint) is not None
        return {**arguments, "head": "google" if is_google else "transformers"}

    def written(self, task):
        table = self.weights(task)
        settings = self.settings(task)
        settings["problem_type"] = PROBLEM_TYPES[task.problem_type]
        if task.head == "google":
            norm = task.backbone.transformer_layers[-1].output_layer_norm
            norm = weights.of_layer(norm, "norm").values()
            head = map(weights.to_array, (*table.values(), *norm))
            table, bias = google_to_transformers(*head)
            settings[KEY] = {"kind": "google", "bias": bias}
        return table, settings

    def finish(self, task, checkpoint):
        if task.head == "google":
            task.output_dense.bias.assign(self._google_bias(checkpoint))

    def _google_bias(self, checkpoint):
        return google_bias(
            checkpoint.config, lambda n: checkpoint.read(n, DISCRIMINATOR)
        )


def google_to_transformers(kernel, bias, gamma, beta):
    """The original's head as arrays of transformers', and the true bias.

    `gamma` and `beta`, of shape `(hidden_dim,)`, are scale and offset of the
    layer normalization that the vector comes from.
    """
    # No entry of a normalized vector is larger than the root of its width.
    shift = np.abs(gamma) * np.sqrt(len(gamma)) + np.abs(beta) + IDENTITY_FROM
    shift = np.ceil(shift).astype("float32")
    arrays = {
        f"{DENSE}/kernel": np.eye(len(gamma), dtype="float32"),
        f"{DENSE}/bias": shift,
        f"{OUT}/kernel": kernel,
        f"{OUT}/bias": _shifted(kernel, bias, shift),
    }
    return arrays, [float(b) for b in bias]


def google_bias(config, read):
    """The bias of the original's head that `google_to_transformers` wrote.

    `None` when the head is transformers' own, or was trained further as such.
    """
    if config.get(KEY, {}).get("kind") != "google":
        return None
    bias = np.asarray(config[KEY]["bias"], "float32")
    dense, shift = read(f"{DENSE}/kernel"), read(f"{DENSE}/bias")
    kernel, shifted = read(f"{OUT}/kernel"), read(f"{OUT}/bias")
    same = (
        bias.shape == shifted.shape
        and np.array_equal(dense, np.eye(len(dense)))
        and np.array_equal(shifted, _shifted(kernel, bias, shift))
    )
    return bias if same else None


def _shifted(kernel, bias, shift):
    taken_off = shift.astype("float64") @ kernel.astype("float64")
    return (bias - taken_off).astype("float32")


class QuestionAnsweringHead(Head):
    architecture = "ElectraForQuestionAnswering"
    mark = "qa_outputs/kernel"

    def weights(self, task):
        return weights.of_layer(task.span_head.output_dense, "qa_outputs")

    def arguments(self, checkpoint):
        return {"head": "simple"}

    def written(self, task):
        if task.head != "simple" or task.answerability is not None:
            raise ValueError(
                "transformers scores start and end of an answer apart and has "
                "no score of its own for there being none. Expected a task "
                'with head="simple" and answerability=None, received '
                f"head={task.head!r}, answerability={task.answerability!r}."
            )
        return self.weights(task), {}


class MultipleChoiceHead(Head):
    architecture = "ElectraForMultipleChoice"
    mark = "sequence_summary/summary/kernel"

    def weights(self, task):
        return {
            **weights.of_layer(task.hidden_dense, "sequence_summary/summary"),
            **weights.of_layer(task.output_dense, "classifier"),
        }

    def arguments(self, checkpoint):
        check_values(checkpoint.config, SUMMARY, checkpoint.source)
        return {"dropout": checkpoint.config.get("summary_last_dropout", 0.1)}

    def written(self, task):
        settings = {**SUMMARY, "summary_last_dropout": task.dropout}
        return self.weights(task), settings


def check_values(config, expected, source):
    """Raises a `ValueError` for a configuration that ours cannot have."""
    for name, value in expected.items():
        if config.get(name, value) != value:
            raise ValueError(
                f"{source} has {name}={config[name]!r} in its config.json; "
                f"the networks here have {value!r} and would compute other "
                "numbers."
            )


HEADS = {
    "ElectraMaskedLM": MaskedLMHead(),
    "ElectraReplacedTokenDetector": DetectorHead(),
    "ElectraTextClassifier": TextClassifierHead(),
    "ElectraTokenClassifier": TokenClassifierHead(),
    "ElectraQuestionAnswering": QuestionAnsweringHead(),
    "ElectraMultipleChoice": MultipleChoiceHead(),
}


def head_of(cls):
    """The `Head` of a task's class or the nearest class it derives from.

    `None` for a class that transformers does not have.
    """
    names = [base.__name__ for base in cls.__mro__]
    return next((HEADS[name] for name in names if name in HEADS), None)
