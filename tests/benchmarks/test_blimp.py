import json
import tarfile

import numpy as np
import pytest
from harness import blimp


def rows(uid, term, *pairs):
    return "\n".join(
        json.dumps(
            {
                "sentence_good": good,
                "sentence_bad": bad,
                "linguistics_term": term,
                "UID": uid,
            }
        )
        for good, bad in pairs
    )


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "blimp"
    folder.mkdir()
    (folder / "one.jsonl").write_text(
        rows("one", "agreement", ("aaa", "b"), ("aa", "bbb"), ("a", "b"))
    )
    (folder / "two.jsonl").write_text(rows("two", "agreement", ("aa", "a")))
    (folder / "three.jsonl").write_text(rows("three", "island", ("a", "aa")))
    return folder


def test_folder_and_archive_are_read_alike(folder, tmp_path):
    with tarfile.open(tmp_path / "blimp.tar.xz", "w:xz") as archive:
        archive.add(folder, "blimp")
    pairs = blimp.read_pairs(folder)
    assert len(pairs) == 5
    assert pairs[0] == {
        "set": "one",
        "phenomenon": "agreement",
        "good": "aaa",
        "bad": "b",
    }
    assert blimp.read_pairs(tmp_path / "blimp.tar.xz") == pairs
    assert len(blimp.read_pairs(folder, limit=1)) == 3


def test_accuracy_of_sets_and_phenomena(folder):
    pairs = blimp.read_pairs(folder)

    def by_length(task, texts, scale):
        assert task is None and len(set(texts)) == len(texts)
        return [scale * len(text) for text in texts]

    scores = blimp.score_pairs(by_length, None, pairs, scale=2.0)
    assert scores[0].tolist() == [6.0, 2.0]
    found = blimp.accuracies(pairs, scores)
    # Right, wrong and a tie; right; wrong.
    assert found["sets"] == {"one": 50.0, "two": 100.0, "three": 0.0}
    assert found["phenomena"] == {"agreement": 75.0, "island": 0.0}
    assert found["overall"] == pytest.approx(50.0)
    assert blimp.accuracies(pairs, -scores)["sets"]["two"] == 0.0
    assert np.isfinite(scores).all()


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="jsonl.*Found none"):
        blimp.read_pairs(tmp_path)


def test_all_lines_that_are_no_pairs_at_once(folder):
    path = folder / "one.jsonl"
    path.write_text(path.read_text() + '\n{"UID": "one"}\n\n[]\n{"UID"')
    with pytest.raises(ValueError, match="3 bad rows") as caught:
        blimp.read_pairs(folder)
    for number in (4, 6, 7):
        assert f"one.jsonl, line {number}: expected" in str(caught.value)
