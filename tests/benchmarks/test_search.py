import math

import pytest
from harness.options import Options
from harness.search import results_table
from harness.search import search

pytest.importorskip("optuna")


class Fake:
    """Best at a rate of 0.01 and 3 epochs; diverges at a rate of 1."""

    name, main_metric = "fake", "f1"

    def __init__(self, options, calls):
        self.options, self.calls = options, calls
        self.settings = vars(options) | {"stream": None}

    def with_options(self, options):
        return Fake(options, self.calls)

    def run(self, seed, random_weights, title):
        rate, epochs = self.options.optimizer["learning_rate"], self.epochs
        self.calls.append((rate, epochs, seed))
        if rate == 1.0:
            raise FloatingPointError("The loss is nan.")
        score = 50 - 5 * abs(math.log10(rate) + 2) - abs(epochs - 3) + seed
        return {"metrics": {"f1": score}, "chance": 0.0}

    @property
    def epochs(self):
        return self.options.epochs


SPACE = {"learning_rate": [0.001, 0.01, 1.0], "epochs": [2, 3]}


def fake():
    options = Options(protocol="google", optimizer={"weight_decay": 0.5})
    return Fake(options, [])


def test_the_grid_is_tried_once_and_resumed(tmp_path):
    first = fake()
    part = search(first, tmp_path, SPACE, trials=2, seeds=(1, 2))
    assert len(part) == 2 and len(first.calls) == 4
    second = fake()
    found = search(second, tmp_path, SPACE, seeds=(1, 2))
    assert len(second.calls) == 8
    assert len(set(first.calls + second.calls)) == 12
    assert found[0] == (51.5, {"learning_rate": 0.01, "epochs": 3})
    assert [score for score, _ in found[-2:]] == [None, None]
    assert found[-1][1]["learning_rate"] == 1.0
    third = fake()
    assert search(third, tmp_path, SPACE) == found
    assert not third.calls
    text = results_table(found, "f1")
    assert text.splitlines()[0] == "| f1 | learning_rate | epochs |"
    assert text.splitlines()[2] == "| 51.5 | 0.01 | 3 |"
    assert text.splitlines()[-1].startswith("| diverged | 1 |")


def test_at_random(tmp_path):
    made = fake()
    found = search(made, tmp_path, SPACE, "random", trials=4)
    assert len(found) == 4
    assert {call[0] for call in made.calls} <= set(SPACE["learning_rate"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"sampler": "tpe"}, "sampler.*'grid', 'random'.*'tpe'"),
        ({"space": {"dropout": [0.1]}}, "space.*dropout"),
        ({"space": {"epochs": []}}, "space.*epochs"),
        ({"trials": 0}, "trials.*0"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        search(fake(), tmp_path, **arguments)
