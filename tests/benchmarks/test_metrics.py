import json

import numpy as np
import pytest
from harness.metrics import chance
from harness.metrics import chunk_metrics
from harness.metrics import glue_metrics

pytest.importorskip("sklearn")
pytest.importorskip("seqeval")


@pytest.fixture(scope="module")
def recorded(golden):
    return json.loads((golden / "finetune_metrics.json").read_text())


def test_classes_of_the_original(recorded):
    case = recorded["mcc"]
    found = glue_metrics(
        ("accuracy", "matthews"), case["label_ids"], case["predictions"]
    )
    assert found["matthews"] == pytest.approx(case["results"]["mcc"])
    accuracy = recorded["accuracy"]["results"]["accuracy"]
    assert found["accuracy"] == pytest.approx(accuracy)


def test_f1_counts_the_gold_labels(recorded):
    # The original's has recall equal to precision, and is no F1.
    labels = [1, 1, 1, 0, 0]
    found = glue_metrics(("f1",), labels, [1, 0, 0, 0, 1])
    assert found["f1"] == pytest.approx(100 * 2 * 1 / (2 * 1 + 1 + 2))
    case = recorded["f1_as_written"]
    labels, predictions = case["label_ids"], case["predictions"]
    right = np.logical_and(labels, predictions).sum()
    expected = 200 * right / (sum(labels) + sum(predictions))
    assert glue_metrics(("f1",), labels, predictions)["f1"] == (
        pytest.approx(expected)
    )


def test_scores_of_the_original(recorded):
    case = recorded["regression"]
    names = ("pearson", "spearman")
    found = glue_metrics(names, case["targets"], case["predictions"])
    for name in names:
        assert found[name] == pytest.approx(case["results"][name], rel=1e-5)


def test_constant_scores_have_no_correlation():
    assert glue_metrics(("pearson",), [1.0, 2.0], [3.0, 3.0]) == {"pearson": 0}


def test_chance():
    labels = [1, 1, 0]
    assert chance("accuracy", labels) == pytest.approx(200 / 3)
    assert chance("f1", labels) == pytest.approx(80.0)
    assert chance("matthews", labels) == chance("spearman", labels) == 0.0


def test_bad_predictions():
    with pytest.raises(ValueError, match=r"as long as each other.*\(2,\)"):
        glue_metrics(("accuracy",), [1, 0], [1])
    with pytest.raises(ValueError, match="finite.*diverged"):
        glue_metrics(("pearson",), [1.0, 2.0], [1.0, float("nan")])
    with pytest.raises(ValueError, match="as many words"):
        chunk_metrics([["O"]], [["O", "O"]])


def test_chunks_as_conlleval_counts_them():
    labels = [
        ["B-NP", "I-NP", "O", "B-VP", "B-NP", "I-NP"],
        ["B-NP", "B-NP", "O"],
    ]
    predictions = [
        # An I- after O, and one after another type, begin a chunk: right.
        ["I-NP", "I-NP", "O", "B-VP", "I-NP", "I-NP"],
        # Two chunks in one: wrong. Nor does a chunk go past a sentence.
        ["B-NP", "I-NP", "O"],
    ]
    found = chunk_metrics(labels, predictions)
    assert found["precision"] == pytest.approx(100 * 3 / 4)
    assert found["recall"] == pytest.approx(100 * 3 / 5)
    assert found["f1"] == pytest.approx(100 * 2 * 3 / (4 + 5))
    assert found["accuracy"] == pytest.approx(100 * 6 / 9)


def original_spans(tags):
    """What it takes for a chunk: only B, S and O end one, and begin one.

    So a chunk may change its type midway; then the last counts.
    """
    spans, start = [], None
    for i, tag in enumerate([*tags, "O"]):
        if start is not None and tag[0] in "OBS":
            spans.append((start, i, tags[i - 1][2:]))
            start = None
        if start is None and tag != "O":
            start = i
    return spans


def test_entities_of_the_original(recorded):
    case = recorded["entity_f1"]
    names = {number: name for name, number in case["label_mapping"].items()}
    labels, predictions = (
        [[names[i] for i in row[key][: row["n_words"]]] for row in case["rows"]]
        for key in ("labels", "predictions")
    )
    gold, found = (
        {
            (i, *span)
            for i, row in enumerate(rows)
            for span in original_spans(row)
        }
        for rows in (labels, predictions)
    )
    right = len(gold & found)
    assert 100 * right / len(found) == pytest.approx(
        case["results"]["precision"]
    )
    assert 100 * right / len(gold) == pytest.approx(case["results"]["recall"])
    # conlleval's rules, which are ours, differ on these random labels: a
    # change of type begins a chunk. On well-formed ones they agree.
    ours = chunk_metrics(labels, predictions)
    assert ours["precision"] == pytest.approx(88.0)
    whole = [["B-A", "E-A", "O", "S-B", "B-A", "I-A", "E-A"]]
    mostly = [["B-A", "E-A", "O", "S-B", "B-A", "E-A", "O"]]
    spans = [set(original_spans(rows[0])) for rows in (whole, mostly)]
    assert len(spans[0] & spans[1]) == 2
    assert chunk_metrics(whole, mostly)["recall"] == pytest.approx(200 / 3)
