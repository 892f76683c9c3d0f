"""Networks, losses, gradients and steps equal the original program's.

The numbers were recorded from google-research/electra on TensorFlow 1.15. The
differences reached are printed; `pytest -s` shows them.
"""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.conversion import weights
from keras_electra.pretraining import losses
from keras_electra.training.optimizers import ElectraAdamW
from keras_electra.training.optimizers import global_norm
from keras_electra.training.recipes import WarmupPolynomialDecay
from tests import original
from tests import recorded
from tests.pretraining import forced


def show(name, difference):
    print(f"  {keras.config.backend()}: {name}: {difference:.1e}")
    return difference


def largest(ours, theirs):
    ours = ops.convert_to_numpy(ours)
    return float(np.abs(ours - theirs).max())


def load_tiny(golden, **kwargs):
    path = str(golden / "tiny_ckpt")
    backbone, generator = original.backbones(
        path, **recorded.heads(), dropout=0.0
    )
    pretrainer = forced.build(
        backbone, generator, compile=False, **recorded.objective()
    )
    original.load(pretrainer, original.variables(path))
    return pretrainer


@pytest.fixture(scope="module")
def forward(golden):
    return np.load(golden / "tiny_forward.npz")


@pytest.fixture(scope="module")
def outputs(golden, forward):
    pretrainer = load_tiny(golden)
    inputs = forced.section(forward, "in/")
    with forced.forced_draws(inputs, forward["out/disc_labels"]):
        x = forced.model_inputs(inputs)
        gradients = forced.gradients(pretrainer, x)
        y = pretrainer(x)
        loss = pretrainer.compute_loss(x=x, y_pred=y)
    return pretrainer, x, y, loss, gradients


def test_hidden_states(outputs, forward):
    pretrainer, x, _, _, _ = outputs
    for name, network, ids in (
        ("gen", pretrainer.generator, "in/masked_input_ids"),
        ("disc", pretrainer.backbone, "in/corrupted_input_ids"),
    ):
        inputs = {**x, "token_ids": forward[ids]}
        hidden = network(inputs)["sequence_output"]
        difference = largest(hidden, forward[f"out/{name}_sequence_output"])
        assert show(f"{name} hidden states", difference) < 1e-4


def test_every_layer(outputs, forward):
    pretrainer, x, _, _, _ = outputs
    network = pretrainer.backbone
    layers = keras.Model(
        network.inputs,
        [layer.output for layer in network.transformer_layers],
    )
    inputs = {**x, "token_ids": forward["in/corrupted_input_ids"]}
    ordered = [inputs[tensor.name] for tensor in network.inputs]
    for ours, theirs in zip(
        layers(ordered), forward["out/disc_all_layer_outputs"]
    ):
        assert largest(ours, theirs) < 1e-4


def test_logits_and_losses(outputs, forward):
    pretrainer, x, y, loss, _ = outputs
    logits = pretrainer.sample_tokens.seen_logits
    assert (
        show("generator logits", largest(logits, forward["out/mlm_logits"]))
        < 1e-4
    )
    assert (
        show(
            "discriminator logits",
            largest(y["discriminator_logits"], forward["out/disc_logits"]),
        )
        < 1e-4
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(y["predicted_ids"]), forward["out/mlm_preds"]
    )
    assert largest(y["token_loss"], forward["out/mlm_per_position_loss"]) < (
        1e-4
    )
    generator_loss = losses.weighted_mean(y["token_loss"], y["mask_weights"])
    assert largest(generator_loss, forward["out/mlm_loss"]) < 1e-4
    discriminator_loss = losses.weighted_mean(
        losses.replaced_token_loss(y["discriminator_logits"], y["replaced"]),
        x["padding_mask"],
    )
    assert largest(discriminator_loss, forward["out/disc_loss"]) < 1e-4
    assert show("total loss", largest(loss, forward["out/total_loss"])) < 1e-4


def test_gradients(outputs, golden):
    gradients_there = forced.section(
        np.load(golden / "tiny_grads.npz"), "grad/"
    )
    settings = json.loads((golden / "tiny_grads.json").read_text())
    pretrainer, _, _, _, gradients = outputs
    table = weights.pretrainer(pretrainer)
    gradients_here = weights.arrays_of(
        {names: gradients[id(v)] for names, v in table.items()}
    )
    assert set(gradients_here) == set(gradients_there)
    total = settings["global_norm_before_clipping_at_step_1_2_3_and_after_3"][0]
    worst = 0.0
    for name, ours in gradients_here.items():
        size = np.linalg.norm(gradients_there[name])
        if name.endswith("self/key/bias"):
            # Zero but for rounding: it adds the same to all scores of a row.
            assert np.linalg.norm(ours) < 1e-5 * total
            continue
        worst = max(worst, np.linalg.norm(ours - gradients_there[name]) / size)
    assert show("gradients, relative", worst) < 1e-4
    norm = global_norm([ops.convert_to_tensor(g) for g in gradients.values()])
    assert abs(float(norm) / total - 1) < 1e-5


def test_three_optimizer_steps(golden, forward):
    steps = np.load(golden / "tiny_grads.npz")
    settings = json.loads((golden / "tiny_grads.json").read_text())
    pretrainer = load_tiny(golden)
    chosen = settings["optimizer"]
    optimizer = ElectraAdamW(
        WarmupPolynomialDecay(
            chosen["learning_rate"],
            chosen["num_train_steps"],
            chosen["warmup_steps"],
            chosen["lr_decay_power"],
        ),
        weight_decay=chosen["weight_decay_rate"],
        beta_1=chosen["beta_1"],
        beta_2=chosen["beta_2"],
        epsilon=chosen["epsilon"],
        global_clipnorm=chosen["clip_norm"],
    )
    pretrainer.compile(optimizer=optimizer)  # with XLA on TensorFlow
    optimizer.build(pretrainer.trainable_variables)
    optimizer.iterations.assign(settings["start_global_step"])
    inputs = forced.section(forward, "in/")
    x = forced.model_inputs(inputs)
    worst = {}
    with forced.forced_draws(inputs, forward["out/disc_labels"]):
        for step in range(3):
            logs = pretrainer.train_on_batch(x, return_dict=True)
            expected = settings["total_loss_before_step_1_2_3_and_after_3"]
            assert abs(float(logs["loss"]) - expected[step]) < 1e-3
            if step in (0, 2):
                worst[step + 1] = _largest_variable(
                    pretrainer, forced.section(steps, f"after{step + 1}/")
                )
    norms = settings["global_norm_before_clipping_at_step_1_2_3_and_after_3"]
    assert abs(float(logs["gradient_norm"]) / norms[2] - 1) < 1e-4
    assert show("variables after one step", worst[1]) < 1e-5
    assert show("variables after three steps", worst[3]) < 1e-5


def _largest_variable(pretrainer, expected):
    worst = 0.0
    arrays = weights.arrays_of(weights.pretrainer(pretrainer))
    for name, ours in arrays.items():
        worst = max(worst, largest(ours, expected[name]))
    return worst
