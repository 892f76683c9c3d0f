import json

import pytest
from harness.runs import describe
from harness.runs import read_runs
from harness.runs import run_all
from harness.runs import summary


class Fake:
    """Scores 10 x seed, but seed 3 diverges; random weights score 5."""

    name, main_metric, settings = "fake", "f1", {"rate": (1, 2)}

    def __init__(self):
        self.calls = []

    def run(self, seed, random_weights, title):
        self.calls.append((seed, random_weights, title))
        if seed == 3:
            raise FloatingPointError("The loss is nan.")
        score = 5.0 if random_weights else 10.0 * seed
        return {"metrics": {"f1": score, "exact": 1.0}, "chance": 10.0}


def test_runs_once_and_remembers(tmp_path):
    fake = Fake()
    runs = run_all(fake, [1, 2, 3], tmp_path, True)
    assert [call[:2] for call in fake.calls] == [
        (seed, random) for random in (False, True) for seed in (1, 2, 3)
    ]
    assert fake.calls[4][2] == "fake, random, seed 2"
    assert [run["at_chance"] for run in runs] == [True, False] + [False] + [
        True,
        True,
        False,
    ]
    assert runs[2]["diverged"] == "The loss is nan."
    # The same again from the files.
    again = run_all(fake, [1, 2, 3], tmp_path, True)
    assert len(fake.calls) == 6 and json.dumps(again) == json.dumps(runs)
    (tmp_path / "some-other-1.json").write_text("[]")
    assert read_runs(tmp_path) == again
    # Half a file is no result, nor are those of other settings.
    (tmp_path / "fake-pretrained-1.json").write_text('{"task": ')
    run_all(fake, [1], tmp_path)
    assert len(fake.calls) == 7
    fake.settings = {"rate": 3}
    run_all(fake, [1, 2], tmp_path)
    assert len(fake.calls) == 9
    whole = json.loads((tmp_path / "fake.json").read_text())
    assert whole["summary"][0]["metrics"]["f1"]["mean"] == 15.0


def test_summary_names_what_is_not_averaged(tmp_path):
    runs = run_all(Fake(), [1, 2, 3], tmp_path)
    found = summary(runs, "pretrained")
    assert found["metrics"]["f1"]["count"] == 2
    assert found["metrics"]["f1"]["median"] == 15.0
    assert (found["diverged"], found["at_chance"]) == ([3], [1])
    assert found["without_chance"]["mean"] == 20.0
    assert describe(runs[0]) == (
        "f1 10.00, exact 1.00 (at chance: a constant guess has 10.00)"
    )
    assert describe(runs[2]) == "diverged: The loss is nan."


def test_other_errors_end_the_runs(tmp_path):
    fake = Fake()
    fake.run = lambda *args: {}["x"]
    with pytest.raises(KeyError):
        run_all(fake, [1], tmp_path)
    assert not list(tmp_path.iterdir())
