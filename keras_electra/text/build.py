"""Text files -> a folder of pre-training examples.

A fixed seed gives the same files to the byte, whatever the number of processes.
All is made in `NAME.partial` beside the goal and moved when it is complete; a
build that was stopped goes on when it is called again.
"""

import collections
import contextlib
import errno
import functools
import hashlib
import itertools
import json
import os
import pathlib
import random
import shutil
import time
import typing

import filelock
import keras
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import check_number
from keras_electra.arguments import local_folder
from keras_electra.arguments import shows_progress
from keras_electra.text import corpus
from keras_electra.text import shards
from keras_electra.text import workers
from keras_electra.text.packing import ExamplePacker

HASH_RANGE = 2**64  # of the places of documents
PROGRESS_INTERVAL = 30  # seconds
PARTS = "parts.json"  # in the partial folder: what the parts are of


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
    output_dir = str(local_folder("output_dir", output_dir))
    ExamplePacker(rules, sequence_length)  # checks its arguments
    check_count("num_processes", num_processes)
    check_number(
        "validation_fraction", validation_fraction, at_least=0, below=1
    )
    if part is not None and not 0 <= part[0] < part[1]:
        raise ValueError(
            "`part` must be `(index, count)`, the index from 0 to `count - 1`. "
            f"Received: part={part!r}."
        )
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
        "inputs": list(map(corpus.describe_file, corpus.list_files(files))),
    }
    encode = tokenizer.encode_batch
    if type(tokenizer).__module__ == "keras_electra.text.tokenizer":
        # The same, but for Keras, which processes need not import.
        special = bool(tokenizer.special_tokens_in_strings)
        encode = functools.partial(
            tokenizer.pipeline.encode, special_tokens=special
        )
    build = _Build(output_dir, description, encode, num_processes, verbose)
    if part is None or shards.find_same(build.output_dir, description):
        return build.finish()
    return build.make_part(*part)


def merge_examples(output_dir: object, verbose: bool = True) -> typing.Any:
    """Make the examples that all parts of `build_examples` have prepared.

    The files are those of one call, to the byte. It reads all text once more,
    and packs and writes alone: half as long as a call of one process.

    Args:
        output_dir, verbose: as of `build_examples`.

    Returns a `BuildReport`. Raises a `FileNotFoundError` if a part is missing,
    a `ValueError` if parts were made of different files or settings.
    """
    output_dir = str(local_folder("output_dir", output_dir))
    folder = pathlib.Path(output_dir + ".partial")
    if not (folder / PARTS).exists():  # merged before, or never begun
        report = shards.read_metadata(output_dir)["report"]
        return shards.BuildReport(output_dir, **report)
    count, description = json.loads((folder / PARTS).read_text())
    for i in range(count):
        if not (folder / f"part-{i}").exists():
            raise FileNotFoundError(
                f"Of the {count} parts for {output_dir!r} part {i} is missing: "
                f"`build_examples(..., part=({i}, {count}))`."
            )
    return _Build(output_dir, description, _refuse, 1, verbose).finish()


def _refuse(lines):
    raise ValueError(
        f"No part has the tokens of the text that begins {lines[0][:60]!r}: "
        "have its files changed since? Make all parts again."
    )


class _Build:
    """A build of what `description`, as in `metadata.json`, says."""

    def __init__(self, output_dir, description, encode, processes, verbose):
        self.start, self.output_dir = time.perf_counter(), output_dir
        self.verbose, self.shows = verbose, verbose and shows_progress()
        self.partial = pathlib.Path(self.output_dir + ".partial")
        self.description, self.settings = description, description["settings"]
        known, self.dtype = description["tokenizer"], description["dtype"]
        self.special = known["special_token_ids"]
        self.how = encode, known["fingerprint"], self.dtype, processes

    def blocks(self, draws, *some):
        """Blocks of lines with their tokens; `some` are as of `islice`."""
        files = [file["file"] for file in self.description["inputs"]]
        if self.settings["rules"] == "original":
            draws.shuffle(files)
        names = "text_field", "blank_lines_separate_documents"
        how = (self.settings[name] for name in names)
        blocks = itertools.islice(corpus.read_blocks(files, *how), *some)
        (folder := self.partial / "tokens").mkdir(exist_ok=True)
        return workers.tokenize_blocks(blocks, folder, *self.how)

    def make_part(self, index, count):
        """Keeps the tokens of every `count`-th block."""
        path, content = self.partial / PARTS, [count, self.description]
        self.partial.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            own = path.with_suffix(f".{index}")
            own.write_text(json.dumps(content))
            own.replace(path)  # whole
        if json.loads(path.read_text()) != content:
            raise ValueError(
                f"{path} is of parts of another number, files or settings. "
                "Remove its folder, and make all parts again."
            )
        draws = random.Random(self.settings["seed"])
        blocks = self.blocks(draws, index, None, count)
        tokens = sum(len(ids) for _, _, ids, *_ in blocks)
        (self.partial / f"part-{index}").touch()
        if self.verbose:
            print(f"Part {index} of {count}: {tokens:,} tokens")

    def finish(self):
        """Builds what is not built yet; returns the report, and prints it."""
        counts = shards.find_same(self.output_dir, self.description)
        if counts is None:
            with self._moving_result():
                counts = self._make()
            counts["seconds"] = time.perf_counter() - self.start
        report = shards.BuildReport(self.output_dir, **counts)
        if self.verbose and keras.config.is_interactive_logging_enabled():
            print(report)
        return report

    @contextlib.contextmanager
    def _moving_result(self):
        """Moves the `result` to its place, for one build at a time."""
        root = self.partial
        try:
            root.mkdir(parents=True, exist_ok=True)
            # The lock ends with the process that holds it, however that ends.
            with filelock.FileLock(root / "lock", timeout=0):
                yield
                if os.path.exists(self.output_dir):
                    os.rmdir(self.output_dir)  # fails unless it is empty
                os.rename(root / "result", self.output_dir)
            shutil.rmtree(root, ignore_errors=True)
        except filelock.Timeout:
            raise FileExistsError(
                f"Another build is writing to {root}. Wait for it, or choose "
                "another `output_dir`."
            ) from None
        except (OSError, RuntimeError) as error:  # ArrayRecord's are the latter
            full = map(os.strerror, (errno.ENOSPC, errno.EDQUOT))
            if not any(message in str(error) for message in full):
                raise
            advice = "Make space and do the same call again to go on, or remove"
            message = f"{error}. {advice} {root}, which holds what is finished."
            raise OSError(errno.ENOSPC, message) from error

    def _make(self, threshold=None):
        """Makes the `result`; returns the counts of a `BuildReport`.

        Documents with a place below the threshold are held out.
        """
        length, rules, seed, fraction = (
            self.settings[name]
            for name in (
                "sequence_length",
                "rules",
                "seed",
                "validation_fraction",
            )
        )
        if threshold is None:
            threshold = int(fraction * HASH_RANGE)
        shutil.rmtree(result := self.partial / "result", ignore_errors=True)
        result.mkdir()
        # Draws of their own: holding out one more document changes little.
        draws = random.Random(seed), random.Random(f"validation {seed}")
        writers, how = [], (self.special, self.dtype)
        for split, source in zip(shards.SPLITS, draws):
            packer = ExamplePacker(rules, length, source)
            writers.append(shards.ExampleWriter(result, split, packer, *how))
        blocks = self.blocks(draws[0], None)
        tally, places = self._write(blocks, writers, threshold)
        if not tally["tokens"]:
            files = self.description["inputs"]
            raise ValueError(
                f"There is no text in {files[0]['file']!r} and {len(files) - 1}"
                " more files. Check `files`, and `text_field` if they are JSON."
            )
        first, last = places
        if fraction and not first < threshold <= last:
            if first == last:
                raise ValueError(
                    "`validation_fraction` above 0 needs at least two "
                    f"different documents. Found: {tally['documents']}."
                )
            # With few documents only; tokens are kept.
            again = self._make(min(max(threshold, first + 1), last))
            return {**again, "reused_tokens": tally["reused_tokens"]}
        train, held_out = (writer.counts for writer in writers)
        both, reused = train + held_out, tally.pop("reused_tokens")
        used = both["positions"] / (both["examples"] * length)
        counts = {
            **tally,
            "validation_documents": held_out["documents"],
            "dropped_tokens": tally["tokens"] - both["tokens"],
            "train_examples": train["examples"],
            "validation_examples": held_out["examples"],
            "padding_fraction": 1 - used,
            "shards": sum(len(writer.shards) for writer in writers),
        }
        made = {writer.split: writer.shards for writer in writers}
        metadata = {**self.description, "report": counts, "shards": made}
        shards.write_metadata(result, metadata)
        return {**counts, "reused_tokens": reused}

    def _write(self, blocks, writers, threshold):
        """Hand all documents to the writers; counts, first and last place.

        A place is a hash of what the first block has of a document.
        """
        tally, places, told = collections.Counter(), [], time.perf_counter()
        key = str(self.settings["seed"]).encode()[:64]
        for lines, starts, ids, lengths, is_reused in blocks:
            tally["tokens"] += len(ids)
            tally["unknown_tokens"] += int((ids == self.special["unk"]).sum())
            tally["reused_tokens"] += len(ids) * is_reused
            ends = dict(zip(starts, [*starts[1:], len(lines)]))
            for i, row in enumerate(np.split(ids, np.cumsum(lengths))):
                if i in ends:
                    text = workers.join_lines(lines[i : ends[i]])
                    digest = hashlib.blake2b(text, digest_size=8, key=key)
                    place = int.from_bytes(digest.digest(), "big")
                    places = [min([place, *places]), max([place, *places])]
                    writer = writers[place < threshold]
                    writer.add(None)  # ends the one before
                    writer.counts["documents"] += 1
                    tally["documents"] += 1
                writer.add(row)
            if self.shows and time.perf_counter() > told + PROGRESS_INTERVAL:
                told = time.perf_counter()
                print(f"{tally['tokens']:,} tokens so far")
        for writer in writers:
            writer.add(None)
            writer.close()
        return tally, places
