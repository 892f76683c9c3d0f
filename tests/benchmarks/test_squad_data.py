import json

import pytest
from harness.files import DataFileError
from harness.squad_data import read_squad

CONTEXT = "A bee sleeps."


def content(**changes):
    entry = {
        "id": "q1",
        "question": "Who sleeps?",
        "answers": [{"text": "bee", "answer_start": 2}],
    }
    entry.update(changes)
    return {"data": [{"paragraphs": [{"context": CONTEXT, "qas": [entry]}]}]}


def write(folder, value, name="some.json"):
    text = value if isinstance(value, str) else json.dumps(value)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_versions_1_and_2(tmp_path):
    first = write(tmp_path, content())
    second = write(
        tmp_path, content(id="q2", answers=[], is_impossible=True), "2.json"
    )
    found = read_squad(first, second)
    assert found.ids == ["q1", "q2"] and len(found) == 2
    assert found.contexts == [CONTEXT] * 2
    assert found.answers == [[("bee", 2)], []]
    assert found.golds == [["bee"], []]
    assert found.first(1).questions == ["Who sleeps?"]


@pytest.mark.parametrize(
    "value, message",
    [
        ('{"data": [\n{"paragraphs": }]}', "some.json, line 2: expected JSON"),
        ([1], "'data' of type list in top"),
        ({"data": [{}]}, r"'paragraphs'.*in data\[0\]"),
        (content(question=" "), r"'question'.*qas\[0\], not empty"),
        (content(answers=[]), "expected answers to question 'q1'"),
        (
            content(answers=[{"text": "bee", "answer_start": 3}]),
            "'q1'.*at character 3.*'bee'.*'ee '",
        ),
        (content(answers=[{"text": "bee"}]), "'answer_start' of type int"),
    ],
)
def test_malformed_files(tmp_path, value, message):
    with pytest.raises(DataFileError, match=message):
        read_squad(write(tmp_path, value))


def test_a_question_twice(tmp_path):
    path = write(tmp_path, content())
    with pytest.raises(DataFileError, match="'q1' is twice"):
        read_squad(path, path)
