"""Parts of a build, made by many workers -> a folder of examples."""

import glob
import json
import time
import types
import typing

from keras_electra.arguments import local_folder
from keras_electra.text import shards
from keras_electra.text.build import PART
from keras_electra.text.build import finish_build


def merge_examples(output_dir: object, verbose: bool = True) -> typing.Any:
    """Make the examples that all parts of `build_examples` have prepared.

    The files are those of one call, to the byte. It reads all text once more,
    and packs and writes alone: half as long as a call of one process.

    Args:
        output_dir: str or path, as it was given to `build_examples`.
        verbose: bool. Whether to print progress and the report.

    Returns a `BuildReport`. Raises a `FileNotFoundError` if a part is missing,
    a `ValueError` if parts were made of different files or settings.
    """
    start = time.perf_counter()
    output_dir = str(local_folder("output_dir", output_dir))
    paths = glob.glob(glob.escape(output_dir) + ".partial/part-*-of-*.json")
    if not paths:  # merged before, or never begun
        counts = shards.read_metadata(output_dir)["report"]
        return shards.BuildReport(output_dir, **counts)
    count, found = int(paths[0][-10:-5]), {path[-24:] for path in paths}
    needed = [PART.format(index, count) for index in range(count)]
    missing = [i for i, name in enumerate(needed) if name not in found]
    if missing:
        raise FileNotFoundError(
            f"Of the {count} parts for {output_dir!r} {missing} are missing: "
            f"`build_examples(..., part=({missing[0]}, {count}))`."
        )
    texts = set()
    for path in paths:
        with open(path, encoding="utf-8") as file:
            texts.add(file.read())
    if len(found) > count or len(texts) > 1:
        raise ValueError(
            f"The parts for {output_dir!r} are of different numbers, files or "
            f"settings. Remove {output_dir + '.partial'!r}; make all again."
        )
    description = json.loads(texts.pop())
    known = description["tokenizer"]
    tokenizer = types.SimpleNamespace(
        encode_batch=_refuse,
        fingerprint=lambda: known["fingerprint"],
        **{f"{k}_token_id": v for k, v in known["special_token_ids"].items()},
    )
    files = [file["file"] for file in description["inputs"]]
    given = files, tokenizer, description, 1, verbose
    return finish_build(output_dir, start, *given)


def _refuse(lines):
    raise ValueError(
        f"No part has the tokens of the text that begins {lines[0][:60]!r}: "
        "have its files changed since? Make all parts again."
    )
