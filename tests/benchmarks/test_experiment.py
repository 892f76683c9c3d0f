import pytest
from harness import experiment
from harness.options import Options
from harness.recipes import RunRecipe

RECIPE = RunRecipe(epochs=3, sequence_length=16, batch_size=4)


def test_settings_are_the_identity_of_a_run(preset):
    options = Options(epochs=2, optimizer={"layer_decay": 0.5}, limit=7)
    made = experiment.Experiment("some", preset, RECIPE, options, head="x")
    assert made.settings == {
        "preset": preset,
        "weights": made.weights,
        "protocol": "paper",
        "epochs": 2,
        "batch_size": 4,
        "sequence_length": 16,
        "dtype": "float32",
        "limit": 7,
        "layer_decay": 0.5,
        "head": "x",
    }
    other = made.with_options(Options(protocol="google", batch_size=8))
    assert other.settings["protocol"] == "google"
    assert (other.epochs, other.batch_size) == (3, 8)
    # What is made of the data stays.
    assert other.settings["limit"] == 7 and other.settings["head"] == "x"
    assert made.settings["protocol"] == "paper"


def test_precision(preset):
    options = Options(dtype="mixed_bfloat16")
    made = experiment.Experiment("some", preset, RECIPE, options)
    assert made.settings["dtype"] == "mixed_bfloat16"
    made.build_task = lambda backbone: backbone
    assert made.build().compute_dtype == "bfloat16"


def test_what_is_left_to_tasks(preset):
    made = experiment.Experiment("some", preset, RECIPE)
    for call in (made.build_task, made.evaluate):
        with pytest.raises(NotImplementedError):
            call(None)
    assert made.finish(None, 1) is None
