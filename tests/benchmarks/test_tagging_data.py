import json

import pytest
from harness.files import DataFileError
from harness.tagging_data import are_chunks
from harness.tagging_data import read_conll
from harness.tagging_data import to_bioes


def write(folder, text):
    (folder / "some.txt").write_text(text, encoding="utf-8")
    return folder / "some.txt"


def test_sentences(tmp_path):
    path = write(
        tmp_path,
        "-DOCSTART- O\n\nA DT B-NP\nbee NN I-NP\n\n\n\nGo\tVB\tB-VP\n",
    )
    assert read_conll(path) == (
        [["A", "bee"], ["Go"]],
        [["B-NP", "I-NP"], ["B-VP"]],
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("a X B-NP\nb B-NP\n", "line 2: expected 3 columns.*Found 2: 'b B-NP'"),
        ("a X B-NP\n\nb\n", "line 3: expected 3 columns.*Found 1"),
        ("a\n", "line 1: expected 2 columns"),
        ("\n\n", "expected sentences, found none"),
    ],
)
def test_malformed_lines(tmp_path, text, message):
    with pytest.raises(DataFileError, match=f"some.txt.*{message}"):
        read_conll(write(tmp_path, text))


def test_ends_of_chunks_as_in_the_original(golden):
    path = golden / "finetune_features.json"
    sets = json.loads(path.read_text(encoding="utf-8"))["tagging"]["sets"]
    pairs = [
        (tags, marked)
        for examples in sets.values()
        for (_, tags), marked in zip(
            examples["sentences"], examples["bioes"], strict=True
        )
    ]
    # There a chunk may change its type midway; here, as in conlleval, a
    # change of type begins another.
    sound = [pair for pair in pairs if not changes_midway(pair[0])]
    assert sound
    for tags, marked in sound:
        assert to_bioes(tags) == marked


def changes_midway(tags):
    """Whether an `I-` follows a tag of another type, or none."""
    return any(
        tag.startswith("I-") and before[2:] != tag[2:]
        for before, tag in zip(["O", *tags], tags)
    )


def test_a_change_of_type_begins_another():
    tags = ["I-NP", "I-NP", "I-VP"]
    assert to_bioes(tags) == ["B-NP", "E-NP", "S-VP"]


def test_kinds_of_labels():
    assert are_chunks([["O", "B-NP"], ["S-A-B"]])
    assert not are_chunks([["NN", "O"]])
