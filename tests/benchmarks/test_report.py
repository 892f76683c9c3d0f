import pytest
from harness import report


def run(seed, score, weights="pretrained", **kwargs):
    return {
        "task": "rte",
        "weights": weights,
        "seed": seed,
        "main_metric": "accuracy",
        "metrics": {} if score is None else {"accuracy": score},
        "diverged": "NaN" if score is None else None,
        "at_chance": False,
        "chance": 52.7,
        "curve": [[1, 2.0], [2, 1.0]],
        **kwargs,
    }


def test_table():
    lines = report.table([run(1, 60.0), run(2, 62.0)]).splitlines()
    assert lines[2:] == [
        "| rte | pretrained | accuracy | 2 | 61.0 | 61.0 | 1.4 | ± 12.7 |"
    ]
    (only,) = report.table([run(1, 60.0)]).splitlines()[2:]
    assert only == "| rte | pretrained | accuracy | 1 | 60.0 | 60.0 | – | – |"


def test_runs_that_failed_are_named():
    text = report.table(
        [
            run(1, 60.0),
            run(2, 52.0, at_chance=True),
            run(3, None),
            run(1, 50.0, "random", at_chance=True),
        ]
    )
    assert "| rte | pretrained | accuracy | 2 | 56.0 |" in text
    assert "rte, pretrained: diverged and not in the table: seed 3." in text
    assert "no better than a constant guess (52.7): seed 2. Mean of" in text
    assert "the others: 60.0." in text
    assert text.endswith(
        "rte, random: no better than a constant guess (52.7): seed 1."
    )


def test_comparison():
    runs = [
        run(1, 60.0),
        run(2, 62.0),
        run(1, 50.0, "random", at_chance=True),
        run(2, 55.0, "random"),
        {**run(1, 40.0), "task": "other"},
    ]
    lines = report.comparison(runs).splitlines()
    assert lines[2:4] == [
        "| rte | accuracy | 2 | 61.0 ± 12.7 (61.0) | 52.5 ± 31.8 (52.5) "
        "| 52.7 |",
        "| other | accuracy | 1 | 40.0 (40.0) | – | 52.7 |",
    ]
    assert lines[-1].startswith("rte, random: no better than a constant")


def test_end_of_an_example(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    report.finish([run(1, 60.0), run(2, None)], tmp_path, plots=True)
    assert "All results are in" in capsys.readouterr().out
    assert (tmp_path / "rte.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match="Every run diverged"):
        report.finish([run(2, None)], tmp_path)
