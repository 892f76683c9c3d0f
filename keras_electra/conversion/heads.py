"""How each task relates to a class of transformers, or sentence-transformers.

The original's classifier, a linear layer on the vector of `[CLS]`, is in none;
`google_to_transformers` says how a class of transformers computes the same.
"""

import re
import typing
import warnings
from typing import Any

import numpy as np

from keras_electra.arguments import check_number
from keras_electra.arguments import check_option
from keras_electra.backend.files import write_json
from keras_electra.conversion import weights

SUMMARY = dict(
    summary_type="first", summary_use_proj=True, summary_activation="gelu"
)
# Of sentence-transformers: what becomes of texts, step by step.
MODULES, ROOM = "modules.json", "sentence_transformers.models"
STEPS = ["Transformer", "Pooling", "Normalize"]
MODE = "pooling_mode_"
KEY = "keras_electra_head"
DENSE, OUT = "classifier/dense", "classifier/out_proj"
CHOICE = "sequence_summary/summary"
IDENTITY_FROM = 6.0  # above it GELU is the identity in float32


def check_values(config: Any, expected: Any, source: Any) -> None:
    """Raises a `ValueError` for a configuration that ours cannot have."""
    for name, value in expected.items():
        check_option(f"{name} of {source}", config.get(name, value), [value])
    return {}


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
    if (dropout := config.get("classifier_dropout")) is None:
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
    kind = getattr(task, "problem_type", None) or ""  # a classifier's
    kind += "_classification" * kind.endswith("_label")
    return {
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
        "classifier_dropout": task.dropout,
        "problem_type": kind or None,
    }


def _answer_settings(task):
    only = {"head": "simple", "answerability": None}
    return check_values(task.get_config(), only, "a task there")


def _choice_arguments(checkpoint):
    check_values(checkpoint.config, SUMMARY, checkpoint.source)
    return {"dropout": checkpoint.config.get("summary_last_dropout", 0.1)}


def embedder_modules(files: Any) -> Any:
    """Names of sentence-transformers' steps, and folders (`""`: the root)."""
    found = files.read_json(MODULES, [])
    try:
        # Classes of others keep their dots; a file could name any place.
        pattern = r"^sentence_transformers\.(.*\.)?"
        names = [re.sub(pattern, "", each["type"]) for each in found]
        inside = r"(\w[\w.-]*)?"
        return names, [re.fullmatch(inside, each["path"])[0] for each in found]
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"{MODULES} of {files.source} must list modules, each with `type` "
            f"and, of a folder inside, `path`. Received: {str(found)[:200]}."
        ) from error


def _embedder_arguments(checkpoint):
    files, source = checkpoint.files, checkpoint.source
    names, folders = embedder_modules(files)
    if not names:  # not of sentence-transformers
        return {}
    # The network is called BERT in the first versions.
    is_network = names[0] in ("Transformer", "BERT")
    if not is_network or names[1:] not in (STEPS[1:2], STEPS[1:]):
        raise ValueError(
            f"The vectors of {source} are made by {', '.join(names)} "
            f"({MODULES}). ElectraTextEmbedder has Transformer, Pooling and "
            "Normalize only: open it as ElectraBackbone and do the rest."
        )
    config = files.read_json("config_sentence_transformers.json")
    if prompt := config.get("default_prompt_name"):
        text = str(config.get("prompts"))[:100]
        raise ValueError(
            f"{source} puts the prompt {prompt!r} of {text} before all texts, "
            "which ElectraTextEmbedder does not. Open it as ElectraBackbone."
        )
    name = f"{folders[1]}/config.json"
    if not (config := files.read_json(name)):
        raise FileNotFoundError(f"{source} lacks {name} of its {MODULES}.")
    # As there: the mean unless it is switched off.
    config = {f"{MODE}mean_tokens": True, **config}
    modes = [n.removeprefix(MODE) for n in config if MODE in n and config[n]]
    modes = "+".join(mode.partition("_token")[0] for mode in modes)
    pooling = config.get("pooling_mode") or modes
    check_option(f"pooling in {name} of {source}", pooling, ("mean", "cls"))
    layer = checkpoint.backbone_arguments("discriminator")["num_layers"]
    is_unit = "Normalize" in names
    return {"pooling": pooling, "normalize": is_unit, "layer": layer}


def embedder_texts(files: Any) -> dict[str, Any]:
    """`length` of rows, and `do_lower_case`, of texts before anything else."""
    config = files.read_json("sentence_bert_config.json")
    limits = files.read_json("tokenizer_config.json")
    length = config.get("max_seq_length") or limits.get("model_max_length")
    check_number(f"max_seq_length of {files.source}", length or 512, above=2)
    return {**config, "length": length}


def write_embedder(task: Any, folder: Any, length: int) -> None:
    """Writes what makes sentence-transformers open a folder with a network."""
    places = ["", "1_Pooling", "2_Normalize"][: 2 + task.normalize]
    steps = [
        {"idx": i, "name": str(i), "path": place, "type": f"{ROOM}.{step}"}
        for i, (place, step) in enumerate(zip(places, STEPS))
    ]
    pooling = {"word_embedding_dimension": task.backbone.hidden_dim}
    for mode, name in (("cls", "cls_token"), ("mean", "mean_tokens")):
        pooling[MODE + name] = task.pooling == mode
    # The tokenizer lowers texts.
    texts = {"max_seq_length": length, "do_lower_case": False}
    (folder / places[1]).mkdir(exist_ok=True)
    write_json(folder / MODULES, steps)
    write_json(folder / places[1] / "config.json", pooling)
    write_json(folder / "sentence_bert_config.json", texts)


class Head(typing.NamedTuple):
    """One head: a class in transformers, and where its weights are here."""

    architecture: str  # in transformers
    parts: dict  # names -> attributes of a task with the weights
    # Of a `Checkpoint`, arguments of the task; of a task, entries of
    # `config.json`, or an error if there is no such head.
    arguments: typing.Callable = lambda checkpoint: {}
    settings: typing.Callable = lambda task: {}
    network: str | None = None  # that it needs, or either

    def is_in(self, checkpoint: Any, network: Any) -> Any:
        """Whether a checkpoint has this head; an error if it only says so."""
        if not self.parts:
            return True
        name = next(iter(self.parts))
        is_there = checkpoint.tensor(f"{name}/kernel", network) is not None
        is_there &= not (name == "classifier" and checkpoint.pooled)
        if checkpoint.architecture == self.architecture and not is_there:
            raise ValueError(
                f"{checkpoint.source} is {self.architecture} by its "
                "config.json, but lacks the weights of its head, such as "
                f"'{name}/kernel'."
            )
        return is_there

    def weights(self, task: Any) -> Any:
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
    return _shifted(kernel, bias, shift), bias.tolist()


def _shifted(kernel, bias, shift):
    taken_off = shift.astype("float64") @ kernel.astype("float64")
    return {
        f"{DENSE}/kernel": np.eye(len(shift), dtype="float32"),
        f"{DENSE}/bias": shift,
        f"{OUT}/kernel": kernel,
        f"{OUT}/bias": (bias - taken_off).astype("float32"),
    }


def google_bias(config: Any, read: Any) -> Any:
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


OF_TOKENS = lambda checkpoint: checkpoint.token_head, _token_settings
OF_LABELS = _label_arguments, _label_settings
OF_ANSWERS = lambda checkpoint: {"head": "simple"}, _answer_settings
OF_TEXTS = {OUT: "output_dense", DENSE: "hidden_dense"}
OF_WORDS = {"classifier": "output_dense"}
OF_SPANS = {"qa_outputs": "span_head.output_dense"}
OF_CHOICES = {CHOICE: "hidden_dense", "classifier": "output_dense"}
HEADS = {
    "ElectraMaskedLM": Head(
        "ElectraForMaskedLM", weights.TOKEN_HEAD, *OF_TOKENS, "generator"
    ),
    "ElectraReplacedTokenDetector": Head(
        "ElectraForPreTraining", weights.REPLACED_HEAD, network="discriminator"
    ),
    "ElectraTextClassifier": Head(
        "ElectraForSequenceClassification", OF_TEXTS, *OF_LABELS
    ),
    "ElectraTokenClassifier": Head(
        "ElectraForTokenClassification", OF_WORDS, *OF_LABELS
    ),
    "ElectraQuestionAnswering": Head(
        "ElectraForQuestionAnswering", OF_SPANS, *OF_ANSWERS
    ),
    "ElectraMultipleChoice": Head(
        "ElectraForMultipleChoice",
        OF_CHOICES,
        _choice_arguments,
        lambda task: {**SUMMARY, "summary_last_dropout": task.dropout},
    ),
    # It has no weights of its own.
    "ElectraTextEmbedder": Head("ElectraModel", {}, _embedder_arguments),
}
HEADS["ElectraPromptClassifier"] = HEADS["ElectraReplacedTokenDetector"]


def head_of(cls: Any) -> Any:
    """The `Head` of a task's class or of a base; `None` if there is none."""
    names = [base.__name__ for base in cls.__mro__]
    return next((HEADS[name] for name in names if name in HEADS), None)
