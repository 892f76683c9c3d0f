"""Questions from files to scores, on a tiny network."""

import json

import keras
import pytest
from harness.options import Options
from harness.squad import SquadExperiment
from harness.squad import squad_metrics

from keras_electra.tasks.answers import Answers

CONTEXT = "the chef ate a meal ."


def write(path, entries):
    """A file of `(question, answer)`; without an answer there is none."""
    qas = [
        {
            "id": f"{path.stem}-{i}",
            "question": question,
            "is_impossible": answer is None,
            "answers": []
            if answer is None
            else [{"text": answer, "answer_start": CONTEXT.index(answer)}],
        }
        for i, (question, answer) in enumerate(entries)
    ]
    paragraph = {"context": CONTEXT, "qas": qas}
    content = {"data": [{"paragraphs": [paragraph]}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_answers_are_learnt(preset, tmp_path):
    pairs = [("the meal", "chef"), ("cook ate", "chef")]
    made = SquadExperiment(
        "qa",
        preset,
        [write(tmp_path / "train.json", pairs * 4)],
        [write(tmp_path / "one.json", pairs)],
        Options(
            epochs=40,
            batch_size=8,
            optimizer={"learning_rate": 0.01, "layer_decay": 1.0},
            jit_compile=keras.config.backend() == "jax",
        ),
        head="simple",
        predictions=tmp_path,
    )
    result = made.run(3, False, "title")
    assert result["metrics"] == {"exact": 100.0, "f1": 100.0}
    assert result["chance"] == 0.0
    written = (tmp_path / "seed-3" / "one.json").read_text()
    assert json.loads(written) == {"one-0": "chef", "one-1": "chef"}


def test_version_2_has_a_part_for_answerability(preset, tmp_path):
    first = write(tmp_path / "a.json", [("the meal", "chef")])
    second = write(tmp_path / "b.json", [("cook", None), ("a", "meal")])
    made = SquadExperiment("qa", preset, [second], [first, second])
    assert made.build().answerability == "span"
    assert SquadExperiment("q", preset, [first], [first]).build() is not None
    task = made.build()
    task.answer = lambda questions, contexts, batch_size: [
        Answers("chef", [], 0.0) for _ in questions
    ]
    metrics, chance = made.evaluate(task)
    assert chance == 0.0
    assert metrics == {
        "exact": 100.0,
        "f1": 100.0,
        "exact b": 50.0,  # none answered
        "f1 b": 50.0,
        "answerable f1 b": 0.0,
    }


def test_best_threshold_by_hand():
    results = [
        Answers("a bee", [], -2.0),  # right but for the article
        Answers("hive", [], 1.0),  # there is none
        Answers("red hive", [], 0.0),  # half right
    ]
    golds = [["The bee!"], [], ["hive", "nest"]]
    found = squad_metrics(results, golds)
    assert found["exact"] == pytest.approx(200 / 3)
    assert found["f1"] == pytest.approx(100 * (1 + 1 + 2 / 3) / 3)
    assert found["answerable f1"] == pytest.approx(100 * (1 + 2 / 3) / 2)
    answered = squad_metrics(results[::2], golds[::2])
    assert answered == {
        "exact": 50.0,
        "f1": pytest.approx(100 * (1 + 2 / 3) / 2),
    }
