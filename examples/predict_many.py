"""Predicts for files of millions of lines, in parts, with resumption.

    python examples/predict_many.py my_classifier classify "texts/*.jsonl" out/
    python examples/predict_many.py my_reader answer s3://bucket/q.parquet out/
        --fields question context --part 3 16

Reads text, CSV, TSV, JSON lines and Parquet, compressed or not, at any address
of fsspec. Rows are taken in chunks, so memory does not grow; each chunk becomes
one file of JSON lines, with the file and number of each row. The same command
given again makes only the chunks that are missing. `--part i n` makes every
n-th chunk, for one of n processes or machines. Rows that cannot be read or
predicted are counted, and are in the result with an `error`.
"""

import argparse
import csv
import io
import itertools
import json
import pathlib
import sys
import time

import fsspec
import keras

import keras_electra

# Method -> the class that has it.
CLASSES = {
    "detect": "ElectraReplacedTokenDetector",
    "fill_mask": "ElectraMaskedLM",
    "classify": "ElectraTextClassifier",
    "tag": "ElectraTokenClassifier",
    "find_entities": "ElectraTokenClassifier",
    "answer": "ElectraQuestionAnswering",
    "choose": "ElectraMultipleChoice",
    "embed": "ElectraTextEmbedder",
    "generate": "ElectraTextGenerator",
}


def predict_many(method, files, output, fields, part=(0, 1), chunk_size=8192):
    """Writes what `method`, of a task, gives for the `fields` of each row.

    Returns the numbers of rows and of bad ones of this part, old and new.
    """
    fs, folder = fsspec.core.url_to_fs(output)
    fs.makedirs(folder, exist_ok=True)
    opened = fsspec.open_files(files, "rb", compression="infer")
    given = {file.full_name: file.fs.size(file.path) for file in opened}
    check_same(fs, f"{folder}/settings.json", [given, fields, chunk_size])
    places = [pathlib.Path(place).stem for place in fs.ls(folder, detail=False)]
    places = {place[:8]: place for place in places if place[8:9] == "-"}
    bar = keras.utils.Progbar(None) if sys.stdout.isatty() else None
    start, total, bad = time.monotonic(), 0, 0
    for number, chunk in enumerate(read_chunks(opened, fields, chunk_size)):
        if number % part[1] != part[0]:
            continue
        place = places.get(f"{number:08}")
        if place is None:
            rows = predict(method, parse(*chunk, fields))
            errors = sum("error" in row for row in rows)
            place = f"{number:08}-{len(rows)}-{errors}"
            # Under its name only when it is whole.
            with fs.open(f"{folder}/{number:08}", "w") as file:
                for row in rows:
                    file.write(json.dumps(row, default=plain) + "\n")
            fs.mv(f"{folder}/{number:08}", f"{folder}/{place}.jsonl")
        counts = place.split("-")[1:]
        total, bad = total + int(counts[0]), bad + int(counts[1])
        if bar and time.monotonic() > start + 3:
            bar.update(total)
    return total, bad


def check_same(fs, place, settings):
    """Ends the program where chunks would not be those that are there."""
    if not settings[0]:
        raise SystemExit("There are no such files.")
    if not fs.exists(place):
        fs.pipe(place, json.dumps(settings).encode())
    if json.loads(fs.cat(place)) != settings:
        raise SystemExit(f"{place} has other files: give another folder.")


def read_chunks(opened, fields, size):
    """Yields a file's name and kind, number of the first row, and raw rows."""
    for file in opened:
        name, suffixes = file.full_name, pathlib.Path(file.path).suffixes
        kind = next((s for s in suffixes[::-1] if s in READERS), ".txt")
        if kind == ".txt" and len(fields) > 1:
            raise SystemExit(f"{name} is text, which has one field.")
        with file as stream:
            rows, first = READERS[kind](stream, fields), 0
            while chunk := list(itertools.islice(whole(rows), size)):
                yield name, kind, first, chunk
                first += len(chunk)


def whole(rows):
    """Yields rows, and for one that is no CSV the error."""
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield error


def read_csv(stream, fields, delimiter=","):
    text = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="")
    return csv.DictReader(text, delimiter=delimiter)


def read_parquet(stream, fields):
    import pyarrow.parquet

    for batch in pyarrow.parquet.ParquetFile(stream).iter_batches(
        batch_size=1024, columns=fields
    ):
        yield from batch.to_pylist()


READERS = {
    ".txt": lambda stream, fields: iter(stream),
    ".jsonl": lambda stream, fields: iter(stream),
    ".csv": read_csv,
    ".tsv": lambda stream, fields: read_csv(stream, fields, "\t"),
    ".parquet": read_parquet,
}


def parse(name, kind, first, chunk, fields):
    """Dicts with `file`, `row`, and `x`, a list of values, or `error`."""
    rows = []
    for number, row in enumerate(chunk, first):
        rows.append({"file": name, "row": number})
        try:
            if isinstance(row, Exception):
                raise row
            if kind == ".jsonl":
                row = json.loads(row)
            elif kind == ".txt":
                row = {fields[0]: row.decode().rstrip("\r\n")}
            x = [row[field] for field in fields]
            if not all(x) or any(not isinstance(v, str | list) for v in x):
                raise ValueError(f"no text: {x!r:.80}")
            json.dumps(x, ensure_ascii=False).encode()  # raises if not Unicode
            rows[-1]["x"] = x
        except (ValueError, LookupError, TypeError, csv.Error) as error:
            rows[-1]["error"] = f"{type(error).__name__}: {error}"
    return rows


def predict(method, rows):
    """The rows with `prediction` in place of `x`; bad ones are searched for."""
    good = [row for row in rows if "x" in row]
    try:
        columns = tuple(map(list, zip(*(row["x"] for row in good))))
        found = method(columns if columns[1:] else columns[0]) if good else []
        for row, prediction in zip(good, found, strict=True):
            row["prediction"] = prediction
            del row["x"]
    except (ValueError, TypeError) as error:
        if len(good) > 1:
            middle = len(good) // 2
            predict(method, good[:middle])
            predict(method, good[middle:])
        else:
            del good[0]["x"]
            good[0]["error"] = f"{type(error).__name__}: {error}"
    return rows


def plain(value):
    """Arrays, numbers of numpy and objects as JSON has them."""
    return value.tolist() if hasattr(value, "tolist") else vars(value)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("method", choices=CLASSES)
    parser.add_argument("files", nargs="+", help="or patterns of them")
    parser.add_argument("output", help="a folder, or an address of one")
    parser.add_argument("--fields", nargs="+", default=["text"])
    parser.add_argument("--part", nargs=2, type=int, default=(0, 1))
    parser.add_argument("--chunk-size", type=int, default=8192, help="rows")
    args = parser.parse_args(arguments)
    cls = getattr(keras_electra, CLASSES[args.method])
    method = getattr(cls.from_preset(args.preset), args.method)
    given = args.files, args.output, args.fields, args.part, args.chunk_size
    total, bad = predict_many(method, *given)
    print(f"{total:,} rows, {bad:,} of them bad; in {args.output}")


if __name__ == "__main__":
    main()
