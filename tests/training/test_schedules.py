"""The schedule against the original's tables and its corner cases."""

import json
import re

import keras
import numpy as np
import pytest

from keras_electra.training.schedules import WarmupPolynomialDecay
from tests import recorded

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
def test_bad_arguments_are_named(name, value):
    arguments = {"learning_rate": 1e-3, "num_steps": 10, name: value}
    with pytest.raises(ValueError, match=f"`{name}`.*{name}={value}"):
        WarmupPolynomialDecay(**arguments)
