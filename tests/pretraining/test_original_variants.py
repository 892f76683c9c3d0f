"""The original's variants of sharing and generator give its numbers."""

import json

import numpy as np
import pytest
from keras import ops

from keras_electra.conversion import google
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.pretraining import masking
from keras_electra.pretraining.sampling import adjust_logits
from tests.pretraining import forced

COMMON = dict(vocabulary_size=160, max_sequence_length=32, dropout=0.0)
DISCRIMINATOR = dict(
    num_layers=2,
    num_heads=2,
    hidden_dim=32,
    intermediate_dim=64,
    embedding_dim=24,
)
GENERATOR = dict(
    num_layers=2,
    num_heads=1,
    hidden_dim=16,
    intermediate_dim=64,
    embedding_dim=24,
)
# What differs from the default in each variant of the original.
VARIANTS = {
    "default": {},
    "untied_generator_false": {"generator": "backbone"},
    "untied_generator_embeddings": {
        "generator": {**GENERATOR, "embedding_dim": 16},
        "arguments": {"share_embeddings": False},
    },
    "uniform_generator": {"generator": None},
    "electra_objective_false": {
        "generator": "backbone",
        "arguments": {"discriminator_weight": 0.0},
    },
    "disallow_correct": {"arguments": {"forbid_correct": True}},
    "temperature_0.5": {"arguments": {"temperature": 0.5}},
    "generator_layers_0.5_no_projection": {
        "discriminator": {**DISCRIMINATOR, "embedding_dim": 32},
        "generator": dict(
            num_layers=1, num_heads=1, hidden_dim=32, intermediate_dim=128
        ),
    },
}


def build(variant):
    backbone = ElectraBackbone(
        **variant.get("discriminator", DISCRIMINATOR),
        **COMMON,
        name="discriminator",
    )
    generator = variant.get("generator", GENERATOR)
    if generator == "backbone":
        generator = backbone
    elif generator is not None:
        generator = ElectraBackbone(**generator, **COMMON, name="generator")
    return forced.build(
        backbone, generator, compile=False, **variant.get("arguments", {})
    )


@pytest.fixture(scope="module")
def archive(request):
    golden = request.getfixturevalue("golden")
    description = json.loads((golden / "variants.json").read_text())
    return np.load(golden / "variants.npz"), description


def variables(archive, description, name):
    found = {}
    for variable, shape in description[name]["variables"]:
        folder = "x".join(str(n) for n in shape)
        found[variable] = archive[f"var/{folder}/{variable}"]
    return found


@pytest.mark.parametrize("name", VARIANTS)
def test_outputs(archive, name):
    arrays, description = archive
    pretrainer = build(VARIANTS[name])
    google.assign(pretrainer, variables(arrays, description, name))
    recorded = forced.section(arrays, f"{name}/out/")
    inputs = forced.section(arrays, "in/")
    inputs["sampled_ids"] = recorded["sampled_ids_used"]
    inputs["corrupted_input_ids"] = recorded["fake_input_ids"]
    replaced = recorded.get("disc_labels", recorded["fake_labels"])
    with forced.forced_draws(inputs, replaced):
        x = forced.model_inputs(inputs)
        y = pretrainer(x)
        loss = pretrainer.compute_loss(x=x, y_pred=y)
    pairs = {
        "total_loss": loss,
        "mlm_per_position_loss": y["token_loss"],
        "mlm_logits": pretrainer.sample_tokens.seen_logits,
    }
    if "disc_logits" in recorded:
        pairs["disc_logits"] = y["discriminator_logits"]
    for key, ours in pairs.items():
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours), recorded[key], atol=1e-4, err_msg=key
        )


@pytest.mark.parametrize("name", ["disallow_correct", "temperature_0.5"])
def test_scores_to_draw_from(archive, name):
    """With the original's noise, its draws come from our scores."""
    arrays, _ = archive
    temperature = VARIANTS[name]["arguments"].get("temperature", 1.0)
    forbid = VARIANTS[name]["arguments"].get("forbid_correct", False)
    scores = adjust_logits(
        ops.convert_to_tensor(arrays[f"{name}/out/mlm_logits"]),
        temperature,
        arrays["in/masked_lm_ids"] if forbid else None,
    )
    draws = gumbel_draws(scores, arrays["in/uniform_noise"])
    np.testing.assert_array_equal(draws, arrays[f"{name}/out/sampled_ids_used"])


def gumbel_draws(scores, uniform):
    noise = -np.log(-np.log(uniform.astype("float64") + 1e-9) + 1e-9)
    return (ops.convert_to_numpy(scores) + noise).argmax(-1)


@pytest.fixture(scope="module")
def helpers(request):
    golden = request.getfixturevalue("golden")
    return np.load(golden / "pretrain_helpers.npz")


@pytest.mark.parametrize("fraction", ["0.15", "0.2", "0.25"])
def test_number_of_predictions(helpers, fraction):
    key = f"num_to_predict/mask_prob_{fraction}/"
    ours = masking.count_predictions(
        ops.arange(1, 129),
        float(fraction),
        int(helpers[key + "max_predictions_per_seq"]),
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ours), helpers[key + "length_1_to_128"]
    )


def test_draws_of_the_original(helpers):
    logits = ops.convert_to_tensor(helpers["sample/in/logits"])
    uniform = helpers["sample/in/uniform"]
    forbidden = helpers["sample/in/disallowed_ids"]
    for key, scores in (
        ("ids", adjust_logits(logits)),
        ("ids_with_disallow", adjust_logits(logits, 1.0, forbidden)),
        ("ids_with_logits_divided_by_0.5", adjust_logits(logits, 0.5)),
    ):
        np.testing.assert_array_equal(
            gumbel_draws(scores, uniform), helpers[f"sample/out/{key}"]
        )


def test_masks_where_no_position_repeats(helpers):
    """Given the original's positions, its masked rows come out."""
    recorded = forced.section(helpers, "mask/")
    drawn = recorded["in/drawn_positions"]
    distinct = [len(set(row)) == len(row) for row in drawn.tolist()]
    assert sum(distinct) >= 2
    ids = recorded["in/input_ids"][distinct]
    weights = recorded["out/masked_lm_weights"][distinct]
    positions = drawn[distinct]
    original = np.take_along_axis(ids, positions, axis=1)
    shown = recorded["in/uniform"][distinct] < 0.85
    masked = masking.replace_ids(
        ops.convert_to_tensor(ids),
        ops.convert_to_tensor(positions),
        ops.convert_to_tensor(np.where(shown, mask_token(helpers), original)),
        ops.convert_to_tensor(weights),
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(masked),
        recorded["out/masked_input_ids"][distinct],
    )


def mask_token(helpers):
    changed = helpers["mask/out/masked_input_ids"]
    changed = changed[changed != helpers["mask/in/input_ids"]]
    assert len(set(changed.tolist())) == 1
    return changed[0]


def test_replacements_where_no_position_repeats(helpers):
    """Position 0 is never written; a repeated one is averaged there."""
    recorded = forced.section(helpers, "scatter/")
    positions = recorded["in/positions"]
    once = np.array(
        [
            [row.count(p) == 1 and p > 0 for p in row]
            for row in positions.tolist()
        ]
    )
    replaced = masking.replace_ids(
        ops.convert_to_tensor(recorded["in/ids"]),
        ops.convert_to_tensor(positions),
        ops.convert_to_tensor(recorded["in/update_ids"]),
        ops.convert_to_tensor(once.astype("float32")),
    )
    expected = recorded["out/ids"].copy()
    for row, repeated in enumerate(~once):
        again = positions[row][repeated]
        expected[row][again] = recorded["in/ids"][row][again]
    np.testing.assert_array_equal(ops.convert_to_numpy(replaced), expected)
    assert (expected == recorded["out/ids"]).mean() > 0.9
