import pytest
from harness.statistics import summarize


def test_by_hand():
    found = summarize([1.0, 2.0, 6.0])
    assert (found["count"], found["median"], found["mean"]) == (3, 2.0, 3.0)
    assert found["sd"] == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2
    # 97.5 % of Student's t with two degrees of freedom, from a table.
    assert found["ci"] == pytest.approx(4.3027 * (7 / 3) ** 0.5, rel=1e-4)


def test_too_few_runs():
    one = summarize([4.0])
    assert one["mean"] == 4.0 and one["sd"] is one["ci"] is None
    assert summarize([]) == {
        "count": 0,
        "median": None,
        "mean": None,
        "sd": None,
        "ci": None,
    }
