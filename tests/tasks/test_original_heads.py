"""Heads and losses of the fine-tuning tasks equal the original program's.

On the encoder of its recorded checkpoint, dropout off; `pytest -s` shows the
differences.
"""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.tasks.question_answering import ElectraQuestionAnswering
from keras_electra.tasks.text_classifier import ElectraTextClassifier
from keras_electra.tasks.token_classifier import ElectraTokenClassifier
from tests import original
from tests import recorded
from tests.pretraining import forced

TOLERANCE = 1e-4
HEADS = recorded.read_json("finetune_heads.json")["heads"]


@pytest.fixture(scope="module")
def backbone(golden):
    path = str(golden / "tiny_ckpt")
    backbone, generator = original.backbones(
        path, **recorded.heads(), dropout=0.0
    )
    pretrainer = forced.build(backbone, generator, compile=False)
    original.load(pretrainer, original.variables(path))
    return pretrainer.backbone


@pytest.fixture(scope="module")
def archives():
    return (
        recorded.read_arrays("finetune_heads.npz"),
        recorded.read_arrays("finetune_features.npz"),
    )


def cases(kind):
    return [name for name in HEADS if name.startswith(kind)]


def is_joint(name):
    return HEADS[name]["options"].get("joint_prediction", True)


def case(archives, name):
    """Features, head variables in their order, and outputs of a case."""
    arrays, features = archives
    head = HEADS[name]
    key, rows = head["features_from"], head["rows"]
    prefix = f"{head['task']}_"
    chosen = {
        feature.split("/")[-1].removeprefix(prefix): values[rows]
        for feature, values in features.items()
        if feature.startswith(f"{key}/")
    }
    x = {
        "token_ids": chosen["input_ids"],
        "segment_ids": chosen["segment_ids"],
        "padding_mask": chosen["input_mask"],
    }
    x = {k: ops.convert_to_tensor(v) for k, v in x.items()}
    variables = [
        arrays[f"{name}/var/{variable}"]
        for variable, _ in head["task_variables"]
    ]
    outputs = {
        output.removeprefix(f"{name}/"): values
        for output, values in arrays.items()
        if output.startswith(f"{name}/") and "/var/" not in output
    }
    return x, chosen, variables, outputs


def check(name, ours, theirs):
    ours = np.asarray(ops.convert_to_numpy(ours))
    assert ours.shape == theirs.shape, name
    difference = float(np.abs(ours - theirs).max())
    print(f"  {keras.config.backend()}: {name}: {difference:.1e}")
    assert difference < TOLERANCE, name


def per_example(loss, y, outputs, weights=None):
    """The loss of each row, from the loss of batches of one."""
    count = len(y)
    losses = []
    for i in range(count):
        row = keras.tree.map_structure(lambda a: a[i : i + 1], (y, outputs))
        weight = None if weights is None else weights[i : i + 1]
        value = loss(*row, sample_weight=weight)
        losses.append(float(ops.convert_to_numpy(value)))
    return np.array(losses, "float32")


@pytest.mark.parametrize("name", cases("classification"))
def test_classification(name, backbone, archives):
    x, features, variables, outputs = case(archives, name)
    model = ElectraTextClassifier(backbone, len(variables[1]), dropout=0.0)
    model.output_dense.set_weights(variables)
    logits = model(x)
    check(f"{name} logits", logits, outputs["predict/logits"])
    losses = per_example(model.loss, features["label_ids"], logits)
    check(f"{name} loss", losses, outputs["predict/loss"])


@pytest.mark.parametrize("name", cases("regression"))
def test_regression(name, backbone, archives):
    x, features, variables, outputs = case(archives, name)
    model = ElectraTextClassifier(backbone, 1, dropout=0.0)
    model.output_dense.set_weights(variables)
    predictions = model(x)[:, 0]
    check("regression", predictions, outputs["predict/predictions"])
    losses = per_example(model.loss, features["targets"], predictions)
    check("regression loss", losses, outputs["predict/loss"])


@pytest.mark.parametrize("name", cases("tagging"))
def test_tagging(name, backbone, archives):
    x, features, variables, outputs = case(archives, name)
    model = ElectraTokenClassifier(backbone, len(variables[1]))
    model.output_dense.set_weights(variables)
    logits = ops.convert_to_numpy(model(x))
    positions = features["labeled_positions"]
    rows = np.arange(len(positions))[:, None]
    check("tagging logits", logits[rows, positions], outputs["predict/logits"])
    counts = features["labels_mask"].sum(axis=1).astype(int)
    y = np.zeros(positions.shape, "int32")
    weights = np.zeros(positions.shape, "float32")
    for i, count in enumerate(counts):
        y[i, positions[i, :count]] = features["labels"][i, :count]
        np.add.at(weights[i], positions[i, :count], 1.0)
    # A word without pieces shares position and label with the next, and has
    # a weight of 2 then.
    assert weights.sum() == counts.sum()
    config = {**model.loss.get_config(), "reduction": "sum"}
    loss = type(model.loss).from_config(config)
    losses = per_example(loss, y, ops.convert_to_tensor(logits), weights)
    check("tagging loss", losses / 10, outputs["train/loss"] / 10)
    mean = model.loss(y, logits, sample_weight=weights)
    mean = float(ops.convert_to_numpy(mean))
    assert mean == pytest.approx(losses.sum() / counts.sum(), rel=1e-5)


def set_answerability(model, variables):
    head = model.answerability_head
    if head.use_span:
        head.hidden_dense.set_weights(variables[:2])
        variables = variables[2:]
    head.output_dense.set_weights(variables)


def answerability_of(name):
    """Our name for what the original decides by that there is no answer."""
    options = HEADS[name]["options"]
    if not options.get("answerable_classifier", True):
        return None
    joined = options.get("answerable_uses_start_logits", True)
    return "span" if joined else "first_token"


def joint_model(name, backbone, variables):
    answerability = answerability_of(name)
    model = ElectraQuestionAnswering(
        backbone,
        answerability=answerability,
        beam_size=HEADS[name]["options"]["beam_size"],
    )
    head = model.span_head
    head.start_dense.set_weights(variables[:2])
    kernel, bias = variables[2:4]
    width = backbone.hidden_dim
    head.start_hidden.set_weights([kernel[:width]])
    head.end_hidden.set_weights([kernel[width:], bias])
    head.end_dense.set_weights(variables[4:6])
    if answerability:
        set_answerability(model, variables[6:])
    return model


def truths(features):
    names = ("start_positions", "end_positions", "is_impossible")
    return np.stack([features[name] for name in names], axis=-1)


def check_beams(ours, theirs):
    """Scores within the document; behind it ties may come in any order."""
    for axis in ("start", "end"):
        scores = theirs[f"predict/{axis}_top_log_probs"]
        allowed = scores > -500
        assert allowed.any()
        check(
            f"{axis} beam",
            np.where(allowed, ours[f"{axis}_top_log_probs"], 0),
            np.where(allowed, scores, 0),
        )
        index = ops.convert_to_numpy(ours[f"{axis}_top_index"])
        np.testing.assert_array_equal(
            index[allowed], theirs[f"predict/{axis}_top_index"][allowed]
        )


@pytest.mark.parametrize("name", filter(is_joint, cases("qa")))
def test_joint_answers(name, backbone, archives):
    x, features, variables, outputs = case(archives, name)
    model = joint_model(name, backbone, variables)
    answerability = answerability_of(name)
    y = truths(features)
    ours = model({**x, "start_positions": ops.convert_to_tensor(y[:, 0])})
    ours = keras.tree.map_structure(ops.convert_to_numpy, ours)
    check("start", ours["start_logits"], outputs["predict/start_logits"])
    check("end", ours["end_logits"], outputs["train/end_logits"])
    check_beams(ours, outputs)
    if answerability:
        logit = ours["answerable_logit"]
        check("answerable", logit, outputs["predict/answerable_logit"])
    losses = per_example(model.loss, y, ours)
    # Masked scores of -1000 are in the loss where the question is cut.
    theirs = outputs["train/loss"]
    scale = max(1.0, np.abs(theirs).max())
    check(f"{name} loss", losses / scale, theirs / scale)
    # Without a start the end belongs to the best one.
    alone = model(x)["end_logits"]
    best = ops.convert_to_tensor(ours["start_logits"].argmax(axis=-1))
    given = model({**x, "start_positions": best})["end_logits"]
    check("end of the best start", alone, ops.convert_to_numpy(given))


@pytest.mark.parametrize("name", itertools.filterfalse(is_joint, cases("qa")))
def test_independent_answers(name, backbone, archives):
    x, features, variables, outputs = case(archives, name)
    answerability = answerability_of(name)
    model = ElectraQuestionAnswering(
        backbone, head="simple", answerability=answerability
    )
    kernel = np.concatenate([variables[0], variables[2]], axis=1)
    bias = np.concatenate([variables[1], variables[3]])
    model.span_head.output_dense.set_weights([kernel, bias])
    if answerability:
        set_answerability(model, variables[4:])
    ours = keras.tree.map_structure(ops.convert_to_numpy, model(x))
    allowed = ours["answer_mask"] == 1
    for axis in ("start", "end"):
        theirs = outputs[f"predict/{axis}_logits"]
        np.testing.assert_array_equal(allowed, theirs > -500)
        logits = ours[f"{axis}_logits"]
        check(axis, logits[allowed], theirs[allowed])
    if answerability:
        logit = ours["answerable_logit"]
        check("answerable", logit, outputs["predict/answerable_logit"])
    losses = per_example(model.loss, truths(features), ours)
    check(f"{name} loss", losses, outputs["train/loss"])
