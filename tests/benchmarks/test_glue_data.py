import numpy as np
import pytest
from harness.files import BadRows
from harness.files import DataFileError
from harness.glue_data import both_orders
from harness.glue_data import read_glue
from harness.recipes import GLUE


def write(folder, *lines):
    (folder / "train.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_pairs_with_names_of_classes(tmp_path):
    write(
        tmp_path,
        "index\tsentence1\tsentence2\tlabel",
        '0\ta "b\tc"\tnot_entailment',  # quotes are text
        "1\td\te\tentailment",
    )
    examples = read_glue(tmp_path, GLUE["rte"], "train")
    assert examples.x == (['a "b', "d"], ['c"', "e"])
    assert examples.labels.tolist() == [1, 0]
    assert examples.labels.dtype == "int32" and len(examples) == 2
    assert examples.first(1).x == (['a "b'], ['c"'])
    without = read_glue(tmp_path, GLUE["rte"], "train", labelled=False)
    assert without.labels is None and without.first(1).labels is None


def test_columns_by_position(tmp_path):
    write(tmp_path, "gj04\t1\t\tGood.", "gj04\t0\t*\tBad the.")
    examples = read_glue(tmp_path, GLUE["cola"], "train")
    assert examples.x == ["Good.", "Bad the."]
    assert examples.labels.tolist() == [1, 0]
    # Files for testing have names.
    write(tmp_path, "index\tsentence", "0\tGood.")
    examples = read_glue(tmp_path, GLUE["cola"], "train", labelled=False)
    assert examples.x == ["Good."]


def test_both_orders(tmp_path):
    write(tmp_path, "sentence1\tsentence2\tscore", "a\tb\t2.5", "c\td\t5.0")
    examples = both_orders(read_glue(tmp_path, GLUE["stsb"], "train"))
    assert examples.x == (["a", "c", "b", "d"], ["b", "d", "a", "c"])
    np.testing.assert_array_equal(examples.labels, [2.5, 5.0] * 2)


NAMES = "sentence\tlabel"


@pytest.mark.parametrize(
    "task, lines, message",
    [
        ("sst2", ["text\tlabel"], "line 1.*Missing: sentence.*'text'"),
        ("sst2", [NAMES, "a\t1", "b"], "line 3: expected 2 columns.*Found 1"),
        ("sst2", [NAMES, "a\tb\t1"], "line 2: expected 2.*Found 3"),
        ("sst2", [NAMES, "a\t2"], "line 2: expected a label out of 0, 1.*'2'"),
        ("sst2", [NAMES, "a\tgood"], "line 2.*label.*'good'"),
        ("sst2", [NAMES, " \t1"], "line 2: expected a text in 'sentence'"),
        ("sst2", [NAMES], "expected examples, found none"),
        ("sst2", [], "line 1.*Missing: sentence, label"),
        ("cola", ["x\t1\t\ta", "x\t1\ta"], "line 2: expected 4.*Found 3"),
        ("cola", ["1\ta"], "line 1: expected 4 columns"),
        (
            "stsb",
            ["sentence1\tsentence2\tscore", "a\tb\t5.5"],
            "line 2.*score from 0.0 to 5.0.*'5.5'",
        ),
        (
            "stsb",
            ["sentence1\tsentence2\tscore", "a\tb\tnan"],
            "line 2.*score.*'nan'",
        ),
    ],
)
def test_malformed_lines(tmp_path, task, lines, message):
    with pytest.raises(DataFileError, match=f"train.tsv.*{message}"):
        read_glue(write(tmp_path, *lines), GLUE[task], "train")


def test_lost_columns_are_reported_at_once_or_skipped(tmp_path):
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
    good = ['1\t2\t3\tWhat is "a?\t"b" or ""c"\xa0d?\t1 ', ""]
    bad_lines = ['4\t5\t6\t"A', 'question?"\tB?\t0', "7\t8\t9\tA?\t\t0"]
    write(tmp_path, header, *good, *bad_lines * 4)
    with pytest.raises(DataFileError, match="12 bad rows") as caught:
        read_glue(tmp_path, GLUE["qqp"], "train")
    assert str(caught.value).count("  " + str(tmp_path)) == 10
    assert "line 4: expected 6 columns" in str(caught.value)
    bad = BadRows(skip=True)
    examples = read_glue(tmp_path, GLUE["qqp"], "train", bad_rows=bad)
    assert examples.x == (['What is "a?'], ['"b" or ""c"\xa0d?'])
    assert examples.labels.tolist() == [1]
    assert bad.settings == {"skipped_rows": 12}
    write(tmp_path, header, *bad_lines)
    with pytest.raises(DataFileError, match="found none"):
        read_glue(tmp_path, GLUE["qqp"], "train", bad_rows=BadRows(skip=True))
