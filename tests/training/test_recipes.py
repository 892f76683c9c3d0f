"""The recipes are the paper's and the original program's."""

import json
import re
import types

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.training.optimizers import ElectraAdamW
from keras_electra.training.recipes import PROTOCOLS
from keras_electra.training.recipes import RECIPES
from keras_electra.training.recipes import WarmupPolynomialDecay
from keras_electra.training.recipes import finetuning_optimizer
from keras_electra.training.recipes import finetuning_rate
from keras_electra.training.recipes import layer_rates
from keras_electra.training.recipes import pretraining_optimizer
from tests import recorded
from tests.training.test_optimizers import LoopAdamW
from tests.training.test_optimizers import apply
from tests.training.test_optimizers import make_variable
from tests.training.test_optimizers import values


@pytest.mark.parametrize(
    "size, rate, steps, batch, length, masked",
    [
        ("small", 5e-4, 1_000_000, 128, 128, 0.15),
        ("base", 2e-4, 766_000, 256, 512, 0.15),
        ("large", 2e-4, 400_000, 2048, 512, 0.25),
    ],
)
def test_table_6_of_the_paper(size, rate, steps, batch, length, masked):
    recipe = RECIPES[size]
    assert recipe.learning_rate == rate
    assert recipe.num_steps == steps
    assert recipe.warmup_steps == 10_000
    assert recipe.batch_size == batch
    assert recipe.sequence_length == length
    assert recipe.mask_fraction == masked


def test_all_sizes_in_order():
    assert list(RECIPES) == ["tiny", "mini", "small", "base", "large"]
    rates = [recipe.learning_rate for recipe in RECIPES.values()]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    "num_steps, warmup",
    [
        (None, 10_000),
        (2_000_000, 10_000),
        (100_000, 10_000),
        (50_000, 5_000),
        (99, 9),
        (5, 0),
    ],
)
def test_warmup_of_a_short_run(num_steps, warmup):
    optimizer = pretraining_optimizer("small", num_steps=num_steps)
    schedule = optimizer.get_config()["learning_rate"]["config"]
    assert schedule["warmup_steps"] == warmup


def test_unknown_size_is_named():
    with pytest.raises(ValueError, match="'tiny', 'mini'.*size='medium'"):
        pretraining_optimizer("medium")


# Fine-tuning.


def network(num_layers, hidden_dim=64, projects=True):
    """What the optimizer needs to know of a backbone."""
    named = types.SimpleNamespace
    return named(
        hidden_dim=hidden_dim,
        transformer_layers=[
            named(name=f"transformer_layer_{i}") for i in range(num_layers)
        ],
        embeddings=named(name="embeddings"),
        embeddings_projection=named(name="embeddings_projection")
        if projects
        else None,
    )


def original_key(name):
    """The original's name for a layer of ours."""
    if name.startswith("transformer_layer_"):
        return f"encoder/layer_{name.rsplit('_', 1)[1]}/"
    ends = {"embeddings_projection": "embeddings_project"}
    return f"/{ends.get(name, name)}/"


RATES = recorded.read_json("finetune_heads.json")["layer_lrs_lr_1"]


@pytest.mark.golden
@pytest.mark.parametrize("case", RATES)
def test_rates_of_the_original(case):
    layers, decay = case.split("_layers_decay_")
    expected = dict(RATES[case])
    assert expected.pop("task_specific/") == 1.0
    skipped = PROTOCOLS["google"]["skipped_steps"]
    projects = "/embeddings_project/" in expected
    ours = layer_rates(
        network(int(layers), projects=projects), float(decay), skipped
    )
    ours = {original_key(name): rate for name, rate in ours.items()}
    assert ours == pytest.approx(expected, rel=1e-12)


def test_correct_rates():
    assert layer_rates(network(2, projects=False), 0.5) == {
        "transformer_layer_1": 0.5,
        "transformer_layer_0": 0.25,
        "embeddings": 0.125,
    }


@pytest.mark.parametrize(
    "width, paper, google, decay",
    [(128, 3e-4, 1e-4, 0.8), (288, 3e-4, 1e-4, 0.8), (768, 1e-4, 1e-4, 0.8)]
    + [(1024, 5e-5, 5e-5, 0.9)],
)
def test_protocols(width, paper, google, decay):
    assert finetuning_rate(width) == paper
    assert finetuning_rate(width, "google") == google
    # Of few steps, and of small networks, a larger one.
    few = 6e-4 if paper == 3e-4 else paper
    assert finetuning_rate(width, num_steps=500) == pytest.approx(few)
    most = 1e-3 if paper == 3e-4 else paper
    assert finetuning_rate(width, num_steps=1) == most
    for name, rate, weight_decay in (
        ("paper", paper, 0.0),
        ("google", google, 0.01),
    ):
        optimizer = finetuning_optimizer(network(2, width), 50, protocol=name)
        schedule = optimizer.get_config()["learning_rate"]["config"]
        assert schedule["learning_rate"] == rate
        assert (schedule["num_steps"], schedule["warmup_steps"]) == (50, 5)
        assert optimizer.weight_decay == weight_decay
        top = decay if name == "paper" else decay**2
        rates = optimizer.layer_rates
        assert rates["transformer_layer_1"] == pytest.approx(top)
        assert optimizer.global_clipnorm == 1.0
        assert not optimizer.bias_correction


def test_arguments_take_the_place_of_the_protocol():
    optimizer = finetuning_optimizer(
        network(1),
        10,
        learning_rate=0.5,
        layer_decay=1.0,
        weight_decay=0.25,
        warmup_fraction=0.0,
        gradient_accumulation_steps=2,
    )
    assert set(optimizer.layer_rates.values()) == {1.0}
    assert optimizer.weight_decay == 0.25
    assert float(ops.convert_to_numpy(optimizer.learning_rate)) == 0.5
    assert optimizer.get_config()["learning_rate"]["config"]["num_steps"] == 20


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"protocol": "bert"}, "'paper', 'google'.*'bert'"),
        ({"layer_decay": 0.0}, "layer_decay.*> 0 and <= 1.*0.0"),
        ({"layer_decay": 1.5}, "layer_decay.*1.5"),
        ({"warmup_fraction": 2}, "warmup_fraction.*>= 0 and <= 1.*2"),
        ({"num_steps": 0}, "num_steps.*> 0.*0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        finetuning_optimizer(network(1), **{"num_steps": 10, **arguments})


def test_each_layer_moves_at_its_rate():
    rates = {"embeddings": 0.25, "layer_1": 0.5}
    steps = {}
    for cls in (LoopAdamW, ElectraAdamW):
        optimizer = cls(
            0.1, weight_decay=0.0, layer_rates=rates, global_clipnorm=None
        )
        optimizer = cls.from_config(optimizer.get_config())
        variables = [
            make_variable([1.0], "net/embeddings/token/embeddings"),
            make_variable([1.0], "net/layer_1/dense/kernel"),
            make_variable([1.0], "net/layer_10/dense/kernel"),
            # A variable is in a layer, whatever its own name is.
            make_variable([1.0], "logits/layer_1"),
        ]
        apply(optimizer, [[1.0]] * 4, variables)
        steps[cls] = 1 - np.concatenate(values(variables))
        whole = 0.1 * 0.1 / (np.sqrt(0.001) + 1e-6)
        np.testing.assert_allclose(
            steps[cls], whole * np.array([0.25, 0.5, 1, 1]), rtol=1e-5
        )


def test_rates_hold_for_the_decay_of_weights():
    optimizer = ElectraAdamW(0.5, weight_decay=0.5, layer_rates={"low": 0.5})
    variables = [make_variable([8.0], "low/kernel")]
    apply(optimizer, [[0.0]], variables)
    assert values(variables)[0] == 8 - 0.5 * 0.5 * 0.5 * 8


def test_saved_with_a_model(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = finetuning_optimizer(network(1), 10)
    model.compile(optimizer=optimizer, loss="mse")
    optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").optimizer
    assert loaded.layer_rates == optimizer.layer_rates


# The schedule against the original's tables and its corner cases.

TABLES = recorded.read_json("lr_schedule.json")


def rates(schedule, steps):
    return [float(schedule(keras.ops.convert_to_tensor(s))) for s in steps]


def check(schedule, table):
    expected = [row["lr"] for row in table]
    got = rates(schedule, [row["step"] for row in table])
    # The recorded run multiplied by 1 / num_steps, where the schedule divides:
    # a float32 rounding of the progress, 6e-8 before the root of a power 0.5.
    np.testing.assert_allclose(
        got, expected, rtol=3e-7, atol=1e-6 * schedule.learning_rate
    )


@pytest.mark.golden
@pytest.mark.parametrize("name", TABLES)
def test_tables_of_the_original(name):
    table, arguments = TABLES[name], settings_of(name)
    if isinstance(table, dict):
        table = table["table"]
    if isinstance(table[0]["lr"], dict):
        # By layer; the factor of the task's own layers is 1.
        table = [{**row, "lr": row["lr"]["task_specific/"]} for row in table]
    check(WarmupPolynomialDecay(**arguments), table)


def settings_of(name):
    """Arguments of the schedule of a table, by its entries or its name."""
    found = TABLES[name]
    if isinstance(found, dict):
        return {
            "learning_rate": found["learning_rate"],
            "num_steps": found["num_train_steps"],
            "warmup_steps": found["warmup_steps"],
            "power": found["lr_decay_power"],
        }

    def number(pattern, default):
        match = re.search(pattern, name)
        return float(match[1]) if match else default

    steps = number(r"(\d+)_steps", None)
    share = number(r"warmup_proportion_([\d.]+)", 0.0)
    return {
        "learning_rate": number(r"lr_([\d.e-]+)", 1e-3),
        "num_steps": int(steps),
        "warmup_steps": number(r"steps_warmup_(\d+)", steps * share),
        "power": number(r"power_([\d.]+)", 1.0),
    }


def test_result_is_float32_also_in_half_precision():
    keras.config.set_floatx("bfloat16")
    try:
        rate = WarmupPolynomialDecay(1e-3, 1000, 10)(
            keras.ops.convert_to_tensor(999)
        )
        assert keras.backend.standardize_dtype(rate.dtype) == "float32"
        np.testing.assert_allclose(float(rate), 1e-6, rtol=1e-4)
    finally:
        keras.config.set_floatx("float32")


def test_never_negative_after_the_end():
    assert rates(WarmupPolynomialDecay(1e-3, 10, 2), [10, 11, 500]) == [0] * 3


def test_round_trip():
    schedule = WarmupPolynomialDecay(1e-4, 77, 7.7, power=2.0)
    config = keras.saving.serialize_keras_object(schedule)
    again = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(config))
    )
    assert isinstance(again, WarmupPolynomialDecay)
    assert again.get_config() == schedule.get_config()


@pytest.mark.parametrize(
    "name, value",
    [
        ("learning_rate", -1e-3),
        ("learning_rate", float("nan")),
        ("num_steps", 0),
        ("warmup_steps", -1),
        ("power", 0.0),
    ],
)
def test_bad_arguments_of_the_schedule(name, value):
    arguments = {"learning_rate": 1e-3, "num_steps": 10, name: value}
    with pytest.raises(ValueError, match=f"`{name}`.*{name}={value}"):
        WarmupPolynomialDecay(**arguments)
