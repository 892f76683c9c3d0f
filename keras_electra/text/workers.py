"""Blocks of lines -> token ids, in this process or in others.

The ids of each block are kept in a folder, so that a stopped build goes on.
Price: the tokens are on disk a second time. Nothing here imports Keras.
"""

import collections
import contextlib
import functools
import hashlib
import itertools
import multiprocessing
import os
import sys
import types
import zipfile
from concurrent.futures import process
from typing import Any

import numpy as np

# The first that a worker runs. It ends with its parent, however that ends. As
# tokenizing needs no Keras, the `__init__` of this package, which imports it,
# is put off until a name is missed: a worker starts in a fraction of a second.
SETUP = """
import importlib, multiprocessing, os, signal, sys, threading, types

def follow():
    multiprocessing.parent_process().join()
    os._exit(1)

def complete(name):
    if name.startswith("__") or not vars(package).pop("__getattr__", None):
        raise AttributeError(name)
    return getattr(importlib.reload(package), name)

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a process a core
if multiprocessing.parent_process():
    threading.Thread(target=follow, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
package = sys.modules["keras_electra"] = types.ModuleType("keras_electra")
package.__path__, package.__getattr__ = [folder], complete
"""
FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def tokenize_blocks(
    blocks, folder, encode, fingerprint, dtype, num_processes=1
):
    """Adds to each block what `encode_block` makes of its lines, in order.

    Of several processes, a `RuntimeError` tells if one ends too early.
    """
    how = encode_block, folder, encode, fingerprint, dtype
    if num_processes == 1:
        yield from ((*b, *functools.partial(*how)(b[0])) for b in blocks)
        return
    waiting = collections.deque()
    try:
        with process.ProcessPoolExecutor(
            num_processes,
            multiprocessing.get_context("spawn"),
            initializer=exec,
            initargs=(SETUP, {"folder": FOLDER}),
        ) as pool:
            for block in blocks:
                with _hidden_script(encode):
                    waiting.append((block, pool.submit(*how, block[0])))
                # Some blocks ahead keep all processes busy and memory small.
                if len(waiting) > 2 * num_processes:
                    block, future = waiting.popleft()
                    yield *block, *future.result()
            for block, future in waiting:
                yield *block, *future.result()
    except process.BrokenProcessPool as error:
        raise RuntimeError(
            "A worker process ended before its work was done. Often memory "
            "ran out: use a smaller `num_processes`."
        ) from error


def encode_block(folder, encode, fingerprint, dtype, lines):
    """Tokenize lines, or find in `folder` what was made of them before.

    Returns ids `(tokens,)`, numbers of them `(lines,)`, and whether found.
    """
    key = f"{fingerprint} {dtype}\n".encode() + join_lines(lines)
    name = hashlib.blake2b(key, digest_size=8).hexdigest()
    path = os.path.join(folder, f"{name}.npz")
    try:
        with np.load(path) as arrays:
            return arrays["ids"], arrays["lengths"], True
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        pass  # not there, or cut short: do it again
    rows = encode(lines)
    lengths = np.array(list(map(len, rows)), "int64")
    ids = np.fromiter(itertools.chain(*rows), dtype, lengths.sum())
    # A name of its own until it is whole, in case the build is stopped.
    partial = f"{path}.{os.getpid()}"
    with open(partial, "wb") as file:
        np.savez(file, ids=ids, lengths=lengths)
    os.replace(partial, path)
    return ids, lengths, False


def join_lines(lines: Any) -> Any:
    """Lines, which hold no line ends, as bytes to hash."""
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@contextlib.contextmanager
def _hidden_script(encode):
    """Keeps processes that start now from running the user's script first.

    They do it to find what it defines, so it stays for a tokenizer from there.
    """
    script = sys.modules["__main__"]
    owner = getattr(encode, "__self__", encode)
    if type(owner).__module__ != "__main__":
        sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
