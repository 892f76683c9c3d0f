"""Text files -> a folder of pre-training examples.

The text streams through: read, tokenize (in several processes if asked to),
pack, write. A fixed seed gives the same files to the byte, whatever the number
of processes. Everything is made in a folder next to the goal, `NAME.partial`,
and moved to its place when it is complete; a build that was stopped goes on
when it is called again with the same arguments.
"""

import os
import random
import shutil
import time

from keras_electra.text.assembly import Assembly
from keras_electra.text.blocks import HASH_RANGE
from keras_electra.text.blocks import make_blocks
from keras_electra.text.corpus import list_files
from keras_electra.text.corpus import read_documents
from keras_electra.text.description import describe_file
from keras_electra.text.packing import make_packer
from keras_electra.text.partial_folder import partial_folder
from keras_electra.text.report import BuildReport
from keras_electra.text.shards import METADATA
from keras_electra.text.shards import check_shards
from keras_electra.text.shards import describe_tokenizer
from keras_electra.text.shards import read_metadata
from keras_electra.text.shards import record_dtype
from keras_electra.text.shards import write_metadata
from keras_electra.text.tokenizing import tokenize_blocks

PROGRESS_INTERVAL = 30  # seconds


def build_examples(
    files,
    output_dir,
    tokenizer,
    sequence_length=128,
    validation_fraction=0.0,
    seed=0,
    num_processes=1,
    text_field="text",
    rules="default",
    blank_lines_separate_documents=True,
    verbose=True,
):
    """Make pre-training examples of text files.

    Args:
        files: str, path, or list of them. Files or patterns, plain text
            (a blank line between documents) or JSON lines, possibly
            compressed; see `list_files` and `read_lines`.
        output_dir: str or path. The folder to make. It must not exist, or be
            empty, or hold the result of the same call, which is then left
            as it is and reported.
        tokenizer: `ElectraTokenizer`.
        sequence_length: int, tokens of the longest examples, special tokens
            included. Defaults to 128.
        validation_fraction: float in `[0, 1)`. Fraction of the documents to
            hold out, chosen by their content and the seed. Above 0, at least
            one is held out and one is not. Defaults to 0.
        seed: int. Seed of all random choices. Defaults to 0.
        num_processes: int. With more than 1, as many further processes
            tokenize, while this one reads, packs and writes. Has no
            influence on the result. Defaults to 1.
        text_field: str. Field of JSON objects that holds the text. Defaults
            to `"text"`.
        rules: str. How documents become examples: `"default"` or
            `"original"`, see `packing.py`. The original reads its files in
            a random order. Defaults to `"default"`.
        blank_lines_separate_documents: bool. If `False`, each file is one
            document. Defaults to `True`.
        verbose: bool. Whether to print progress and the report. Defaults to
            `True`.

    Returns:
        `BuildReport`.

    Raises:
        FileExistsError: if `output_dir` holds something else.
        FileNotFoundError: if no file matches.
        OSError: if a file cannot be read or written; if the disk is full,
            the same call goes on once there is space.
        ValueError: if an argument is out of range, if a file is not text, or
            if there is no text in them.
    """
    start = time.perf_counter()
    files = list_files(files)
    settings = {
        "sequence_length": int(sequence_length),
        "validation_fraction": float(validation_fraction),
        "seed": int(seed),
        "text_field": text_field,
        "rules": rules,
        "blank_lines_separate_documents": blank_lines_separate_documents,
    }
    _check(settings, num_processes)
    description = {
        "tokenizer": describe_tokenizer(tokenizer),
        "settings": settings,
        "dtype": record_dtype(tokenizer.vocabulary_size(), sequence_length),
        "inputs": [describe_file(path) for path in files],
    }
    output_dir = os.path.abspath(os.fspath(output_dir))
    counts = _counts_of_same_build(output_dir, description)
    if counts is not None:
        report = BuildReport(output_dir, **counts)
    else:
        with partial_folder(output_dir) as folder:
            counts, reused = _build(
                folder, files, tokenizer, description, num_processes, verbose
            )
        report = BuildReport(
            output_dir,
            **counts,
            seconds=time.perf_counter() - start,
            reused_tokens=reused,
        )
    if verbose:
        print(report)
    return report


def _check(settings, num_processes):
    # Made only to check its arguments, before anything is read.
    make_packer(settings["rules"], settings["sequence_length"])
    fraction = settings["validation_fraction"]
    if not 0 <= fraction < 1:
        raise ValueError(
            "`validation_fraction` must be in [0, 1), the fraction of the "
            f"documents to hold out. Received: validation_fraction={fraction}"
        )
    if num_processes < 1:
        raise ValueError(
            "`num_processes` must be at least 1. Received: "
            f"num_processes={num_processes}"
        )


def _counts_of_same_build(output_dir, description):
    """Counts if `output_dir` is done already, `None` if it is free."""
    if not os.path.exists(output_dir):
        return None
    if os.path.isdir(output_dir) and not os.listdir(output_dir):
        return None
    what = "holds something else than examples"
    if os.path.exists(os.path.join(output_dir, METADATA)):
        metadata = read_metadata(output_dir)
        changed = [
            key for key in description if description[key] != metadata[key]
        ]
        if not changed:
            check_shards(output_dir, metadata)
            return metadata["report"]
        what = f"holds examples built with other {' and '.join(changed)}"
    raise FileExistsError(
        f"`output_dir={output_dir!r}` {what}. Nothing in it was touched. "
        "Choose another folder, or remove this one."
    )


def _build(folder, files, tokenizer, description, num_processes, verbose):
    """Make the examples in `folder.result`; returns counts for the report."""
    fraction = description["settings"]["validation_fraction"]
    threshold = int(fraction * HASH_RANGE)
    arguments = (folder, files, tokenizer, description, num_processes, verbose)
    assembly, shards = _assemble(threshold, *arguments)
    reused = assembly.reused_tokens
    if assembly.tokens == 0:
        raise ValueError(
            f"There is no text in {files[0]!r}"
            + (f" and {len(files) - 1} more files" if files[1:] else "")
            + ". Check `files`, and `text_field` if they are JSON lines."
        )
    if fraction and 0 in assembly.documents:
        # Happens with few documents only. All tokens are kept: it is quick.
        threshold = _fair_threshold(assembly)
        assembly, shards = _assemble(threshold, *arguments)
    counts = assembly.counts()
    write_metadata(
        folder.result, {**description, "report": counts, "shards": shards}
    )
    return counts, reused


def _fair_threshold(assembly):
    """The threshold that leaves at least one document on either side."""
    if assembly.lowest == assembly.highest:
        raise ValueError(
            "`validation_fraction` above 0 needs at least two different "
            f"documents. Found: {sum(assembly.documents)}, all alike. A "
            "document ends at a blank line (or with its file), or is one "
            "record of JSON lines."
        )
    if assembly.documents[1] == 0:
        return assembly.lowest + 1
    return assembly.highest


def _assemble(
    threshold, folder, files, tokenizer, description, num_processes, verbose
):
    """Read, tokenize, pack, write: all of a build but its bookkeeping."""
    settings = description["settings"]
    dtype = description["dtype"]
    generator = random.Random(settings["seed"])
    if settings["rules"] == "original":
        files = list(files)
        generator.shuffle(files)
    shutil.rmtree(folder.result, ignore_errors=True)
    os.makedirs(folder.result)
    assembly = Assembly(
        folder.result,
        tokenizer,
        settings["sequence_length"],
        settings["rules"],
        dtype,
        settings["seed"],
        generator,
        threshold,
    )
    pieces = read_documents(
        files,
        settings["text_field"],
        settings["blank_lines_separate_documents"],
    )
    blocks = make_blocks(pieces, settings["seed"])
    told = time.perf_counter()
    for tokens in tokenize_blocks(
        blocks, tokenizer, dtype, folder.tokens, num_processes
    ):
        assembly.add(tokens)
        if verbose and time.perf_counter() > told + PROGRESS_INTERVAL:
            told = time.perf_counter()
            documents = sum(assembly.documents)
            print(f"{documents:,} documents, {assembly.tokens:,} tokens")
    return assembly, assembly.finish()
