"""Millions of rows as few: formats, parts, resumption and bad rows."""

import gzip
import json
import os
import pathlib
import subprocess
import sys

import predict_many
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

TEXTS = ["one", "two", "refused", "four", "five"]


def length(texts):
    """A task's method that refuses a text."""
    if "refused" in texts:
        raise ValueError("a text is refused")
    return [len(text) for text in texts]


@pytest.fixture
def files(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_bytes("\n".join(TEXTS).encode() + b"\n\xff\n\n")
    with gzip.open(folder / "b.jsonl.gz", "wt") as file:
        for text in TEXTS:
            print(json.dumps({"id": 1, "text": text}), file=file)
        print('{"text": 3}\n{"other": "x"}\n{broken', file=file)
    rows = "".join(f'{i},"{text}"\n' for i, text in enumerate(TEXTS))
    (folder / "c.csv").write_text("id,text\n" + rows + "9\n")
    table = pyarrow.table({"text": [*TEXTS, None], "id": range(6)})
    parquet.write_table(table, folder / "d.parquet")
    return [str(folder / "*")]


def read(folder):
    lines = []
    for path in sorted(folder.glob("*.jsonl")):
        lines += map(json.loads, path.read_text().splitlines())
    return lines


def test_all_formats_and_bad_rows(files, tmp_path):
    given = files, str(tmp_path / "out"), ["text"]
    total, bad = predict_many.predict_many(length, *given, chunk_size=3)
    rows = read(tmp_path / "out")
    # In each file one is refused; not Unicode, empty; no text, no field, no
    # JSON; no field; missing.
    assert (total, bad) == (len(rows), 4 + 2 + 3 + 1 + 1) == (27, 11)
    for name in ("a.txt", "b.jsonl.gz", "c.csv", "d.parquet"):
        own = [row for row in rows if row["file"].endswith(name)]
        assert [row["row"] for row in own] == list(range(len(own)))
        found = [row.get("prediction") for row in own[:5]]
        assert found == [3, 3, None, 4, 4]
        assert "refused" in own[2]["error"]


def test_parts_and_resumption(files, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    counts = predict_many.predict_many(
        length, files, str(whole), ["text"], chunk_size=4
    )
    found = [
        predict_many.predict_many(
            length, files, str(parts), ["text"], (i, 3), chunk_size=4
        )
        for i in range(3)
    ]
    assert tuple(map(sum, zip(*found))) == counts
    assert read(whole) == read(parts)
    # One that is missing is made again, the others are not.
    path = sorted(whole.glob("*.jsonl"))[1]
    before = path.read_bytes()
    path.unlink()
    seen = []
    again = predict_many.predict_many(
        lambda texts: seen.append(texts) or length(texts),
        *(files, str(whole), ["text"]),
        chunk_size=4,
    )
    assert again == counts and path.read_bytes() == before
    assert max(map(len, seen)) <= 4
    with pytest.raises(SystemExit, match="another folder"):
        predict_many.predict_many(length, files, str(whole), ["text"])


def test_a_preset(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("The chef.\nA day.\n")
    given = "electra_tiny_en", "detect", str(tmp_path / "a.txt")
    predict_many.main([*given, str(tmp_path / "out")])
    assert "2 rows, 0 of them bad" in capsys.readouterr().out
    first = read(tmp_path / "out")[0]["prediction"][0]
    assert first[:3] == ["the", 0, 3]


def test_on_ray(tmp_path):
    """The same rows with the same predictions, from a process of Ray."""
    pytest.importorskip("ray")
    pandas = pytest.importorskip("pandas")
    rows = "text,id\nThe chef.,0\n,1\nA day.,2\n"
    (tmp_path / "a.csv").write_text(rows)
    subprocess.run(
        [sys.executable, str(ROOT / "examples/predict_on_ray.py")]
        + ["electra_tiny_en", "detect", "a.csv", "out"],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_worker_niceness": "0"},
    )
    found = pandas.read_parquet(tmp_path / "out").sort_values("id")
    predictions = [json.loads(row) for row in found["prediction"]]
    assert predictions[0][0][:3] == ["the", 0, 3]
    assert "no text" in predictions[1]["error"]
    assert predictions[2][0][:3] == ["a", 0, 1]
