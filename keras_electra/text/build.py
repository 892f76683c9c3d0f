"""Text files -> a folder of pre-training examples.

A fixed seed gives the same files to the byte, whatever the number of processes.
All is made in `NAME.partial` beside the goal and moved when it is complete; a
build that was stopped goes on when it is called again.
"""

import collections
import contextlib
import errno
import hashlib
import itertools
import json
import os
import random
import shutil
import time
import typing
from typing import Any

import filelock
import fsspec
import keras
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_number
from keras_electra.arguments import local_folder
from keras_electra.text import corpus
from keras_electra.text import shards
from keras_electra.text import workers
from keras_electra.text.packing import ExamplePacker

HASH_RANGE = 2**64  # of the places of documents
SAMPLE_SIZE = 2**16  # bytes, at either end of a file
PROGRESS_INTERVAL = 30  # seconds
PART = "part-{:05}-of-{:05}.json"  # says that it is done


def build_examples(
    files: str | list[str],
    output_dir: object,
    tokenizer: object,
    sequence_length: int = 128,
    validation_fraction: float = 0.0,
    seed: int = 0,
    num_processes: int = 1,
    text_field: str = "text",
    rules: str = "default",
    blank_lines_separate_documents: bool = True,
    verbose: bool = True,
    part: tuple[int, int] | None = None,
) -> typing.Any:
    """Make pre-training examples of text files.

    Args:
        files: str, path, or list of them. Files or patterns, plain text
            (a blank line between documents) or JSON lines, see `corpus.py`.
        output_dir: str or path. The folder to make; must be new, or empty, or
            hold the result of the same call, which is then reported.
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Most tokens of an example, special ones included.
        validation_fraction: float in `[0, 1)`. Fraction of the documents to
            hold out, at least one, chosen by content and seed.
        seed: int, of all random choices.
        num_processes: int. Processes that tokenize; the result is the same.
        text_field: str. Field of JSON objects that holds the text.
        rules: str. `"default"` or `"original"` (random order): `packing.py`.
        blank_lines_separate_documents: bool. If `False`, each file is one.
        verbose: bool. Whether to print progress and the report.
        part: `None`, or `(index, count)` for one of many workers, which share
            a disk and have all else alike. It tokenizes what is its part, and
            returns `None`; then `merge_examples` makes the same files.

    Returns a `BuildReport`. Raises a `FileExistsError` if `output_dir` holds
    something else, an `OSError` if a file cannot be read or written (after a
    full disk the same call goes on), a `ValueError` if there is no text.
    """
    start = time.perf_counter()
    ExamplePacker(rules, sequence_length)  # checks its arguments
    check_count("num_processes", num_processes)
    limits = {"at_least": 0, "below": 1}
    check_number("validation_fraction", validation_fraction, **limits)
    if part is not None and not 0 <= part[0] < part[1]:
        raise ValueError(
            "`part` must be `(index, count)`, the index from 0 to `count - 1`. "
            f"Received: part={part!r}."
        )
    output_dir = str(local_folder("output_dir", output_dir))
    files = corpus.list_files(files)
    size = tokenizer.vocabulary_size()
    description = {
        "tokenizer": shards.describe_tokenizer(tokenizer),
        "settings": {
            "sequence_length": int(sequence_length),
            "validation_fraction": float(validation_fraction),
            "seed": int(seed),
            "text_field": text_field,
            "rules": rules,
            "blank_lines_separate_documents": blank_lines_separate_documents,
        },
        "dtype": shards.record_dtype(size, sequence_length),
        "inputs": list(map(_describe_file, files)),
    }
    given = files, tokenizer, description, num_processes, verbose
    if part is None or _counts_of_same_build(output_dir, description):
        return finish_build(output_dir, start, *given)
    return _build_part(output_dir + ".partial", *part, *given)


def finish_build(output_dir: Any, start: Any, *given: Any) -> Any:
    """Builds what is not built yet; returns the report, and prints it."""
    counts = _counts_of_same_build(output_dir, given[2])
    if counts is None:
        with _partial_folder(output_dir) as folder:
            counts = _build(folder, *given)
        counts["seconds"] = time.perf_counter() - start
    report = shards.BuildReport(output_dir, **counts)
    if given[-1] and keras.config.is_interactive_logging_enabled():
        print(report)
    return report


def _build_part(
    folder, index, count, files, tokenizer, description, processes, verbose
):
    """Keeps the tokens of every `count`-th block; then says so by a file."""
    how = os.path.join(folder, "tokens"), processes
    os.makedirs(how[0], exist_ok=True)
    settings = description["settings"]
    blocks = _read_blocks(files, settings, random.Random(settings["seed"]))
    blocks = itertools.islice(blocks, index, None, count)
    dtype = description["dtype"]
    blocks = workers.tokenize_blocks(blocks, tokenizer, dtype, *how)
    tokens = sum(len(ids) for _, _, ids, *_ in blocks)
    path = os.path.join(folder, PART.format(index, count))
    with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
        json.dump(description, file)
    os.replace(file.name, path)  # whole, or not there
    if verbose:
        print(f"Part {index} of {count}: {tokens:,} tokens")


def _read_blocks(files, settings, generator):
    order = list(files)
    if settings["rules"] == "original":
        generator.shuffle(order)
    ends = settings["blank_lines_separate_documents"]
    return corpus.read_blocks(order, settings["text_field"], ends)


def _describe_file(path):
    """Name, size, and digest of both ends: to read all would take too long."""
    filesystem, name = fsspec.core.url_to_fs(path)
    size = filesystem.size(name) or 0  # some servers do not tell
    starts = 0, max(0, size - SAMPLE_SIZE)
    ends = [filesystem.read_block(name, at, SAMPLE_SIZE) for at in starts]
    digest = hashlib.blake2b(b"".join(ends), digest_size=8).hexdigest()
    return {"file": path, "bytes": size, "digest": digest}


def _counts_of_same_build(folder, description):
    """Counts if `folder` is done already, `None` if it is free."""
    is_folder = os.path.isdir(folder)
    if not (os.listdir(folder) if is_folder else os.path.exists(folder)):
        return None
    what = "something else than examples"
    if os.path.exists(os.path.join(folder, shards.METADATA)):
        found = shards.read_metadata(folder)
        changed = [key for key in description if description[key] != found[key]]
        if not changed:
            shards.check_shards(folder, found)
            return found["report"]
        what = f"examples built with other {' and '.join(changed)}"
    raise FileExistsError(
        f"`output_dir={folder!r}` holds {what}. Nothing in it was touched. "
        "Choose another folder, or remove this one."
    )


@contextlib.contextmanager
def _partial_folder(output_dir):
    """A folder whose `result` becomes `output_dir`, for one build at a time."""
    root = output_dir + ".partial"
    try:
        os.makedirs(os.path.join(root, "tokens"), exist_ok=True)
        # The lock ends with the process that holds it, however that ends.
        with filelock.FileLock(os.path.join(root, "lock"), timeout=0):
            yield root
            if os.path.exists(output_dir):
                os.rmdir(output_dir)  # fails unless it is empty
            os.rename(os.path.join(root, "result"), output_dir)
        shutil.rmtree(root, ignore_errors=True)
    except filelock.Timeout:
        raise FileExistsError(
            f"Another build is writing to {root!r}. Wait for it, or choose "
            "another `output_dir`."
        ) from None
    except (OSError, RuntimeError) as error:  # ArrayRecord's are the latter
        full = map(os.strerror, (errno.ENOSPC, errno.EDQUOT))
        if not any(message in str(error) for message in full):
            raise
        advice = "Make space and do the same call again to go on, or remove"
        message = f"{error}. {advice} {root!r}, which holds what is finished."
        raise OSError(errno.ENOSPC, message) from error


def _build(folder, files, tokenizer, description, num_processes, verbose):
    """Make `folder/result`; returns the counts of a `BuildReport`."""
    settings, dtype = description["settings"], description["dtype"]
    seed, length = settings["seed"], settings["sequence_length"]
    rules, fraction = settings["rules"], settings["validation_fraction"]
    result = os.path.join(folder, "result")
    how = os.path.join(folder, "tokens"), num_processes
    threshold, reused = int(fraction * HASH_RANGE), []
    while True:
        shutil.rmtree(result, ignore_errors=True)
        os.makedirs(result)
        # Draws of their own: holding out one more document changes little.
        draws = random.Random(seed), random.Random(f"validation {seed}")
        blocks = _read_blocks(files, settings, draws[0])
        packers = [ExamplePacker(rules, length, source) for source in draws]
        writers = [
            shards.ExampleWriter(result, *pair, tokenizer, dtype)
            for pair in zip(shards.SPLITS, packers)
        ]
        blocks = workers.tokenize_blocks(blocks, tokenizer, dtype, *how)
        counted = seed, tokenizer.unk_token_id, verbose
        tally, places = _write(blocks, writers, threshold, *counted)
        reused.append(tally.pop("reused_tokens", 0))
        if not tally["tokens"]:
            raise ValueError(
                f"There is no text in {files[0]!r} and {len(files) - 1} more "
                "files. Check `files`, and `text_field` if they are JSON lines."
            )
        first, last = places
        if not fraction or first < threshold <= last:
            break
        if first == last:
            raise ValueError(
                "`validation_fraction` above 0 needs at least two different "
                f"documents. Found: {tally['documents']}."
            )
        # Happens with few documents only. All tokens are kept: it is quick.
        threshold = min(max(threshold, first + 1), last)
    train, held_out = (writer.counts for writer in writers)
    both = train + held_out
    counts = {
        **tally,
        "validation_documents": held_out["documents"],
        "dropped_tokens": tally["tokens"] - both["tokens"],
        "train_examples": train["examples"],
        "validation_examples": held_out["examples"],
        "padding_fraction": 1 - both["positions"] / (both["examples"] * length),
        "shards": sum(len(writer.shards) for writer in writers),
    }
    files = {writer.split: writer.shards for writer in writers}
    metadata = {**description, "report": counts, "shards": files}
    shards.write_metadata(result, metadata)
    return {**counts, "reused_tokens": reused[0]}


def _write(blocks, writers, threshold, seed, unk_token_id, verbose):
    """Hand all documents to the writers; counts, and first and last place.

    A place is a hash of what the first block has of a document. Those below the
    threshold are held out.
    """
    tally, places, told = collections.Counter(), [], time.perf_counter()
    key = str(seed).encode()[:64]
    for lines, starts, ids, lengths, is_reused in blocks:
        tally["tokens"] += len(ids)
        tally["unknown_tokens"] += int((ids == unk_token_id).sum())
        tally["reused_tokens"] += len(ids) * is_reused
        ends = dict(zip(starts, [*starts[1:], len(lines)]))
        for i, row in enumerate(np.split(ids, np.cumsum(lengths))):
            if i in ends:
                text = workers.join_lines(lines[i : ends[i]])
                digest = hashlib.blake2b(text, digest_size=8, key=key).digest()
                place = int.from_bytes(digest, "big")
                places = [min([place, *places]), max([place, *places])]
                writer = writers[place < threshold]
                writer.add(None)  # ends the one before
                writer.counts["documents"] += 1
                tally["documents"] += 1
            writer.add(row)
        if verbose and time.perf_counter() > told + PROGRESS_INTERVAL:
            told = time.perf_counter()
            if keras.config.is_interactive_logging_enabled():
                print(f"{tally['tokens']:,} tokens so far")
    for writer in writers:
        writer.add(None)
        writer.close()
    return tally, places
