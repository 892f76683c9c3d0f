"""Training under a protocol: against two steps of the original, and ours."""

import keras
import numpy as np
import pytest
from harness import training
from harness.glue import GlueExperiment
from harness.options import Options
from keras import ops

from keras_electra.conversion import weights
from keras_electra.tasks.text_classifier import ElectraTextClassifier
from keras_electra.tasks.text_classifier import (
    ElectraTextClassifierPreprocessor,
)
from keras_electra.tasks.token_classifier import ElectraTokenClassifier
from keras_electra.training.recipes import finetuning_optimizer
from tests import checks
from tests import original
from tests import recorded

HEADS = recorded.read_json("finetune_heads.json")
STEP = HEADS["step"]
# The recorded case of the task that the steps were made on.
CASE, HEAD = next(
    (name, name_of_head)
    for name, case in HEADS["heads"].items()
    for name_of_head in [f"task_specific/{case['task']}/dense"]
    if name.startswith("tagging")
    and f"{name_of_head}/kernel" in STEP["lr_key_of_variable"]
)
TASK = HEADS["heads"][CASE]["task"]
FEATURES = HEADS["heads"][CASE]["features_from"]


def weight_table(task):
    """The original's names for the weights of a token classifier."""
    return {
        **weights.network(task.backbone),
        **weights.of_parts(task, {HEAD: "output_dense"}),
    }


def original_tagger(golden):
    """The original's network with the head of its recorded step."""
    path = golden / "tiny_ckpt"
    backbone, _ = original.backbones(path, dropout=0.0)
    heads = np.load(golden / "finetune_heads.npz")
    kernel = heads[f"{CASE}/var/{HEAD}/kernel"]
    task = ElectraTokenClassifier(backbone, num_classes=kernel.shape[1])
    arrays = original.variables(path)
    for name in heads.files:
        arrays[name.removeprefix(f"{CASE}/var/")] = heads[name]
    weights.fill(weight_table(task), arrays.get)
    return task


def reading_positions(task):
    """The tagger with the vectors of given positions, as in the original.

    Two words may share one there: a word of control characters has no piece.
    """
    positions = keras.Input((None,), dtype="int32", name="positions")
    vectors = task.backbone(task.backbone.input)["sequence_output"]
    chosen = ops.take_along_axis(vectors, positions[:, :, None], axis=1)
    return keras.Model(
        {**task.backbone.input, "positions": positions},
        task.output_dense(chosen),
    )


def batch_of_the_original(golden, rows):
    features = np.load(golden / "finetune_features.npz")
    features = {
        name.removeprefix(f"{FEATURES}/"): features[name][rows]
        for name in features.files
        if name.startswith(f"{FEATURES}/")
    }
    x = {
        "token_ids": features["input_ids"],
        "segment_ids": features["segment_ids"],
        "padding_mask": features["input_mask"],
        "positions": features[f"{TASK}_labeled_positions"],
    }
    return x, features[f"{TASK}_labels"], features[f"{TASK}_labels_mask"]


def test_two_steps_of_the_original(golden):
    recorded = np.load(golden / "finetune_step.npz")
    chosen = STEP["optimizer"]
    task = original_tagger(golden)
    optimizer = finetuning_optimizer(
        task.backbone,
        chosen["num_train_steps"],
        protocol="google",
        learning_rate=chosen["learning_rate"],
    )
    assert optimizer.weight_decay == chosen["weight_decay_rate"]
    loss = training.with_reduction(task.loss, "sum")
    model = reading_positions(task)
    is_jax = keras.config.backend() == "jax"  # slow without compilation
    model.compile(optimizer, loss, run_eagerly=not is_jax)
    optimizer.build(model.trainable_variables)
    optimizer.iterations.assign(chosen["start_global_step"])
    batch = batch_of_the_original(golden, chosen["rows"])
    expected = STEP["embedding_paths"]["one_hot"]
    for before in expected["loss_before_step_1_and_2"]:
        assert model.train_on_batch(*batch) == pytest.approx(before, rel=1e-5)
    arrays = weights.arrays_of(weight_table(task))
    prefix = "one_hot/after2/"
    names = [n for n in recorded.files if n.startswith(prefix)]
    assert {n.removeprefix(prefix) for n in names} == set(arrays)
    worst = {}
    for name, ours in arrays.items():
        worst[name] = np.abs(ours - recorded[prefix + name]).max()
    noise = {n for n in worst if n.endswith("self/key/bias")}
    assert max(worst[n] for n in worst if n not in noise) < 1e-5
    # Their gradient is zero but for rounding, of which Adam keeps the sign.
    assert max(worst[n] for n in noise) < 2e-3


def classifier(**kwargs):
    return ElectraTextClassifier(
        checks.tiny_backbone(dropout=0.0),
        num_classes=2,
        dropout=0.0,
        preprocessor=ElectraTextClassifierPreprocessor(
            checks.tiny_tokenizer(), sequence_length=16
        ),
        **kwargs,
    )


TEXTS = ["the chef", "a meal. a meal. a meal.", "the cook ate", "a meal."] * 4
LABELS = np.array([0, 1, 0, 1] * 4, "int32")


@pytest.mark.parametrize(
    "protocol, reduction", [("paper", "sum_over_batch_size"), ("google", "sum")]
)
def test_the_protocol_reduces_the_loss(protocol, reduction):
    task = classifier(compile=True)
    steps = training.num_steps((TEXTS, LABELS), batch_size=5, epochs=3)
    training.prepare(task, steps, protocol, weight_decay=0.125)
    assert task.loss.reduction == reduction
    assert task.loss.from_logits
    assert task.optimizer.weight_decay == 0.125
    schedule = task.optimizer.get_config()["learning_rate"]["config"]
    assert schedule["num_steps"] == steps == 12


def test_reduction_of_several_losses():
    losses = {"a": keras.losses.MeanSquaredError(), "b": [keras.losses.Huber()]}
    found = training.with_reduction(losses, "sum")
    assert found["a"].reduction == found["b"][0].reduction == "sum"
    assert type(found["b"][0]) is keras.losses.Huber


def test_comparison_of_padding(preset, glue):
    made = GlueExperiment(
        "sst2", preset, glue, Options(batch_size=8, jit_compile=False)
    )
    report = training.compare_padding(made, steps=2, repeats=1)
    assert report.startswith("sst2: ") and "padded to 16" in report
    assert report.endswith("times as many")
