import json

import pytest
from harness.files import BadRows
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
        ("a\tO\nb\t\n", "line 2: expected 2 columns.*Found 2"),
        ("a b O\n\tc\tO\n", "line 2: expected 3 columns.*Found 3"),
        ("a B-X\nb I-X\nc Y\n", "line 3: expected `O` or a label.*'Y'"),
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


@pytest.mark.parametrize(
    "text, words",
    [
        ("10\xa0000\tO\nb\u3000c\tO\n", ["10\xa0000", "b\u3000c"]),
        ("10\xa0000 O\nb\u3000c O\n", ["10\xa0000", "b\u3000c"]),
        ("New York\tO\nis O\n", ["New York", "is"]),
        ("# id 5-a\tdomain=en\na _ _ O\nb _ _ O\n", ["a", "b"]),
        ("# sent_id = 1\n# text = a b\n1 a _ O\n2 b _ O\n", ["a", "b"]),
        ("#\tn-tv.de [2005]\n1\ta\tO\tO\n2\tb\tO\tO\n", ["a", "b"]),
        ("## klue-00 b\ta b\n#\tO\nb\tO\n", ["#", "b"]),
        ("# O\n#b O\n", ["#", "#b"]),
        ("-DOCSTART-\n\ufeffa O\r\nb O\r\n", ["\ufeffa", "b"]),
    ],
)
def test_columns_comments_and_spaces(tmp_path, text, words):
    path = write(tmp_path, text)
    assert read_conll(path)[0] == [words]


@pytest.mark.parametrize(
    "labels, expected",
    [
        ("B-X L-X U-Y O I-X", "B-X E-X S-Y O I-X"),
        ("B-X M-X E-X S-Y O", "B-X I-X E-X S-Y O"),
        ("B-X M-X E-X W-Y O", "B-X I-X E-X S-Y O"),
        ("X-B X-I O Y-B", "B-X I-X O B-Y"),
        ("X_B X_I - Y-Z_B", "B-X I-X O B-Y-Z"),
        ("b-x i-x o B-Y", "B-x I-x O B-Y"),
        ("B_X I_X O", "B-X I-X O"),
        ("B I O", "B-chunk I-chunk O"),
        ("B-X-Y I-X-Y O", "B-X-Y I-X-Y O"),
        ("NN VB O -", "NN VB O -"),
        ("O O", "O O"),
    ],
)
def test_labels_of_all_schemes(tmp_path, labels, expected):
    text = "".join(f"w {label}\n" for label in labels.split())
    assert read_conll(write(tmp_path, text))[1] == [expected.split()]


def test_bad_sentences_are_left_out(tmp_path, capsys):
    text = "a O\n\nb\n\n" + "c O\n\nd e f\nd O\n\n" * 11
    bad = BadRows(skip=True)
    sentences, labels = read_conll(write(tmp_path, text), bad)
    assert sentences == [["a"]] + [["c"]] * 11 and len(labels) == 12
    bad.check()
    shown = capsys.readouterr().err
    assert "Skipped 12 bad rows" in shown and shown.count("expected 2") == 10
