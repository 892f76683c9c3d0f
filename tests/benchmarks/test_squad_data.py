import json

import pytest
from harness.files import BadRows
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
            content(answers=[{"text": "e", "answer_start": 2}]),
            "'q1'.*at character 2.*once anywhere.*'e', the context has 'b'",
        ),
        (content(answers=[{"text": "bees", "answer_start": -1}]), "at char"),
        (content(is_impossible=True), "expected answers to.*Found both"),
        (content(is_impossible="maybe"), "'is_impossible' to be true or"),
        (content(id=None), "'id' of type str"),
        ("[" * 10**5, "some.json: expected JSON"),
        ('{"data": ' + "1" * 5000 + "}", "some.json: expected JSON"),
    ],
)
def test_malformed_files(tmp_path, value, message):
    with pytest.raises(DataFileError, match=message):
        read_squad(write(tmp_path, value))


def test_a_question_twice(tmp_path):
    path = write(tmp_path, content())
    with pytest.raises(DataFileError, match="'q1' is twice"):
        read_squad(path, path)


@pytest.mark.parametrize("start", [2, 2.0, "2", 1, -1, None, "", True, "x"])
@pytest.mark.parametrize("flag", [False, "false", "False", 0, None])
def test_a_unique_text_repairs_its_place(tmp_path, start, flag):
    answer = {"text": "bee", "answer_start": start}
    bad = BadRows()
    found = read_squad(
        write(tmp_path, content(answers=[answer], is_impossible=flag, id=7)),
        bad_rows=bad,
    )
    assert found.answers == [[("bee", 2)]] and found.ids == ["7"]
    repaired = {} if start in (2, "2") else {"repaired_answers": 1}
    assert bad.settings == repaired


@pytest.mark.parametrize("flag", [True, "true", 1])
def test_impossible_in_other_words(tmp_path, flag):
    changes = {"answers": [{"text": "", "answer_start": -1}]}
    path = write(tmp_path, content(id="1e3", is_impossible=flag, **changes))
    found = read_squad(path)
    assert found.answers == [[]] and found.ids == ["1e3"]


def test_all_that_is_wrong_at_once(tmp_path, capsys):
    value = content()
    entries = value["data"][0]["paragraphs"][0]["qas"]
    entries += [{**entries[0], "id": i, "question": ""} for i in range(12)]
    value["data"] += [{"paragraphs": 3}, 5]
    path = write(tmp_path, value)
    with pytest.raises(DataFileError, match="14 bad rows") as caught:
        read_squad(path)
    assert str(caught.value).count("some.json: expected") == 10
    bad = BadRows(skip=True)
    assert read_squad(path, bad_rows=bad).ids == ["q1"]
    bad.check()
    assert "Skipped 14 bad rows" in capsys.readouterr().err
    assert bad.settings == {"skipped_rows": 14}
