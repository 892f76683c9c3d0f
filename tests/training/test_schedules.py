"""The schedule against the original's tables and its corner cases."""

import json

import keras
import numpy as np
import pytest

from keras_electra.training.schedules import WarmupPolynomialDecay


@pytest.fixture(scope="module")
def tables(golden):
    return json.loads((golden / "lr_schedule.json").read_text())


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


def test_pretraining_default(tables):
    settings = dict(tables["pretraining_default"])
    table = settings.pop("table")
    schedule = WarmupPolynomialDecay(
        settings["learning_rate"],
        settings["num_train_steps"],
        settings["warmup_steps"],
        settings["lr_decay_power"],
    )
    check(schedule, table)


def test_power(tables):
    schedule = WarmupPolynomialDecay(1e-3, 1000, 20, power=0.5)
    check(schedule, tables["power_0.5_1000_steps_warmup_20"])


def test_fractional_warmup(tables):
    schedule = WarmupPolynomialDecay(1e-4, 77, 7.7)
    check(schedule, tables["finetuning_77_steps_warmup_proportion_0.1_lr_1e-4"])


def test_task_layers_of_the_layerwise_table(tables):
    # The head's factor is 0.8 ** 0 in that table.
    name = "layerwise_0.8_12_layers_100_steps_warmup_proportion_0.1_lr_1e-4"
    table = [
        {"step": row["step"], "lr": row["lr"]["task_specific/"]}
        for row in tables[name]
    ]
    check(WarmupPolynomialDecay(1e-4, 100, 10.0), table)


def test_no_warmup(tables):
    schedule = WarmupPolynomialDecay(1e-3, 10)
    check(schedule, tables["no_warmup_10_steps_lr_1e-3"])


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
def test_bad_arguments_are_named(name, value):
    arguments = {"learning_rate": 1e-3, "num_steps": 10, name: value}
    with pytest.raises(ValueError, match=f"`{name}`.*{name}={value}"):
        WarmupPolynomialDecay(**arguments)
