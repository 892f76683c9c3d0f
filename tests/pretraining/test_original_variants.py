"""The original's variants of sharing and generator give its numbers."""

import numpy as np
import pytest
from keras import ops

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.pretraining import masking
from keras_electra.pretraining.networks import ElectraTwoTowers
from keras_electra.pretraining.sampling import adjust_logits
from tests import original
from tests import recorded
from tests.pretraining import forced

# What the networks are made of in each variant of the original.
VARIANTS = {
    name: variant["hparams"]
    for name, variant in recorded.read_json("variants.json").items()
}


def arguments(hparams):
    """Arguments of the pre-trainer for a variant."""
    found = {}
    if "temperature" in hparams:
        found["temperature"] = hparams["temperature"]
    if "disallow_correct" in hparams:
        found["disallow_correct"] = hparams["disallow_correct"]
    if hparams.get("untied_generator_embeddings"):
        found["share_embeddings"] = False
    if hparams.get("electric_objective"):
        found["objective"] = "electric"
    if not hparams.get("electra_objective", True):
        found["discriminator_weight"] = 0.0
    return found


def build(hparams):
    """The networks, of the sizes that the original derives."""
    sizes = hparams["model_hparam_overrides"]
    common = dict(
        vocabulary_size=hparams["vocab_size"],
        max_sequence_length=sizes["max_position_embeddings"],
        dropout=0.0,
    )
    width, layers = sizes["hidden_size"], sizes["num_hidden_layers"]
    backbone = ElectraBackbone(
        num_layers=layers,
        num_heads=sizes["num_attention_heads"],
        hidden_dim=width,
        intermediate_dim=sizes["intermediate_size"],
        embedding_dim=hparams["embedding_size"],
        name="discriminator",
        **common,
    )
    untied = hparams.get("untied_generator", True)
    if hparams.get("uniform_generator"):
        generator = None
    elif not untied or not hparams.get("electra_objective", True):
        generator = backbone
    else:
        narrow = int(width * hparams["generator_hidden_size"])
        own = hparams.get("untied_generator_embeddings")
        sizes = dict(
            num_layers=int(layers * hparams.get("generator_layers", 1.0)),
            num_heads=max(1, narrow // 64),
            hidden_dim=narrow,
            intermediate_dim=4 * narrow,
            embedding_dim=narrow if own else hparams["embedding_size"],
            **common,
        )
        if has_towers(hparams):
            if not own:
                sizes["embeddings"] = backbone.embeddings
            generator = ElectraTwoTowers(**sizes)
        else:
            generator = ElectraBackbone(**sizes, name="generator")
    return forced.build(
        backbone, generator, compile=False, **arguments(hparams)
    )


def has_towers(hparams):
    names = ("two_tower_generator", "electric_objective")
    return any(hparams.get(name) for name in names)


@pytest.fixture(scope="module")
def archive(golden):
    description = recorded.read_json("variants.json")
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
    values = variables(arrays, description, name)
    if has_towers(VARIANTS[name]):
        original.load_towers(pretrainer, values)
    else:
        original.load(pretrainer, values)
    expected = forced.section(arrays, f"{name}/out/")
    inputs = forced.section(arrays, "in/")
    inputs["sampled_ids"] = expected["sampled_ids_used"]
    inputs["corrupted_input_ids"] = expected["fake_input_ids"]
    replaced = expected.get("disc_labels", expected["fake_labels"])
    with forced.forced_draws(inputs, replaced):
        x = forced.model_inputs(inputs)
        y = pretrainer(x)
        loss = pretrainer.compute_loss(x=x, y_pred=y)
    pairs = {
        "total_loss": loss,
        "mlm_per_position_loss": y["token_loss"],
        "mlm_logits": pretrainer.sample_tokens.seen_logits,
    }
    if "disc_logits" in expected:
        pairs["disc_logits"] = y["discriminator_logits"]
    for key, ours in pairs.items():
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours), expected[key], atol=1e-4, err_msg=key
        )


def test_electric(golden):
    """What it trained itself, by the names of its checkpoint."""
    arrays = np.load(golden / "electric_forward.npz")
    config = recorded.read_json("electric_ckpt/config.json")
    hparams = config["hparams_passed"]
    pretrainer = build(hparams)
    path = golden / "electric_ckpt" / "model.ckpt-15"
    original.load_towers(pretrainer, original.variables(path))
    inputs = forced.section(arrays, "in/")
    with forced.forced_draws(inputs, arrays["out/disc_labels"]):
        x = forced.model_inputs(inputs)
        y = pretrainer(x)
        loss = pretrainer.compute_loss(x=x, y_pred=y)
    found = {
        "disc_logits": y["discriminator_logits"],
        "total_loss": loss,
        "mlm_per_position_loss": y["token_loss"],
        "cloze_per_position_loss": y["all_token_loss"],
    }
    for key, ours in found.items():
        ours, theirs = ops.convert_to_numpy(ours), arrays[f"out/{key}"]
        if "cloze" in key:
            ours = ours * arrays["out/cloze_weights"]
            theirs = theirs * arrays["out/cloze_weights"]
        np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=key)
    # Of one pass over the text, without what noise adds to it.
    energies = pretrainer.discriminator_head(
        pretrainer.backbone(x)["sequence_output"]
    )
    energies = ops.convert_to_numpy(energies) * arrays["out/cloze_weights"]
    np.testing.assert_allclose(
        pretrainer.score(x), -energies.sum(axis=1), rtol=1e-5
    )


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, hparams in VARIANTS.items()
        if {"temperature", "disallow_correct"} & hparams.keys()
    ],
)
def test_scores_to_draw_from(archive, name):
    """With the original's noise, its draws come from our scores."""
    arrays, _ = archive
    temperature = VARIANTS[name].get("temperature", 1.0)
    forbid = VARIANTS[name].get("disallow_correct", False)
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
def helpers(golden):
    return np.load(golden / "pretrain_helpers.npz")


@pytest.mark.parametrize(
    "name",
    recorded.keys_of(
        recorded.read_arrays("pretrain_helpers.npz"), "num_to_predict/"
    ),
)
def test_number_of_predictions(helpers, name):
    key = f"num_to_predict/{name}/"
    expected = helpers[key + "length_1_to_128"]
    ours = masking.count_predictions(
        ops.arange(1, len(expected) + 1),
        float(name.removeprefix("mask_prob_")),
        int(helpers[key + "max_predictions_per_seq"]),
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(ours), expected)


def test_draws_of_the_original(helpers):
    logits = ops.convert_to_tensor(helpers["sample/in/logits"])
    uniform = helpers["sample/in/uniform"]
    forbidden = helpers["sample/in/disallowed_ids"]
    keys = recorded.keys_of(helpers.files, "sample/out/")
    assert {"ids", "ids_with_disallow"} < set(keys)
    for key in keys:
        divided = key.removeprefix("ids_with_logits_divided_by_")
        temperature = float(divided) if divided != key else 1.0
        correct = forbidden if key == "ids_with_disallow" else None
        scores = adjust_logits(logits, temperature, correct)
        np.testing.assert_array_equal(
            gumbel_draws(scores, uniform), helpers[f"sample/out/{key}"]
        )


def test_masks_where_no_position_repeats(helpers):
    """Given the original's positions, its masked rows come out."""
    arrays = forced.section(helpers, "mask/")
    drawn = arrays["in/drawn_positions"]
    distinct = [len(set(row)) == len(row) for row in drawn.tolist()]
    assert any(distinct)
    ids = arrays["in/input_ids"][distinct]
    weights = arrays["out/masked_lm_weights"][distinct]
    positions = drawn[distinct]
    original = np.take_along_axis(ids, positions, axis=1)
    # Above it the original keeps the token.
    shown = arrays["in/uniform"][distinct] < 0.85
    masked = masking.replace_ids(
        ops.convert_to_tensor(ids),
        ops.convert_to_tensor(positions),
        ops.convert_to_tensor(np.where(shown, mask_token(helpers), original)),
        ops.convert_to_tensor(weights),
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(masked),
        arrays["out/masked_input_ids"][distinct],
    )


def mask_token(helpers):
    changed = helpers["mask/out/masked_input_ids"]
    changed = changed[changed != helpers["mask/in/input_ids"]]
    assert len(set(changed.tolist())) == 1
    return changed[0]


def test_replacements_where_no_position_repeats(helpers):
    """Position 0 is never written; a repeated one is averaged there."""
    arrays = forced.section(helpers, "scatter/")
    positions = arrays["in/positions"]
    once = np.array(
        [
            [row.count(p) == 1 and p > 0 for p in row]
            for row in positions.tolist()
        ]
    )
    replaced = masking.replace_ids(
        ops.convert_to_tensor(arrays["in/ids"]),
        ops.convert_to_tensor(positions),
        ops.convert_to_tensor(arrays["in/update_ids"]),
        ops.convert_to_tensor(once.astype("float32")),
    )
    expected = arrays["out/ids"].copy()
    for row, repeated in enumerate(~once):
        again = positions[row][repeated]
        expected[row][again] = arrays["in/ids"][row][again]
    np.testing.assert_array_equal(ops.convert_to_numpy(replaced), expected)
    assert once.any()
