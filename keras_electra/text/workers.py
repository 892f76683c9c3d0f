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
import functools, multiprocessing, os, signal, sys, threading, types

def follow():
    multiprocessing.parent_process().join()
    os._exit(1)

def complete(package, name):
    if name.startswith("__") or not package.__dict__.pop("__getattr__", None):
        raise AttributeError(f"{package.__name__} has no {name}")
    path = os.path.join(package.__path__[0], "__init__.py")
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), package.__dict__)
    return getattr(package, name)

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a process a core
if multiprocessing.parent_process():
    threading.Thread(target=follow, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
for name in ("keras_electra.text", "keras_electra"):
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [folder]
    folder = os.path.dirname(folder)
    package.__getattr__ = functools.partial(complete, package)
"""
FOLDER = os.path.dirname(os.path.abspath(__file__))


def tokenize_blocks(blocks, tokenizer, dtype, folder, num_processes=1):
    """Adds to each block what `encode_block` makes of its lines, in order.

    Of several processes, a `RuntimeError` tells if one ends too early.
    """
    how = _without_keras(tokenizer), dtype, folder, tokenizer.fingerprint()
    encode = functools.partial(encode_block, *how)
    if num_processes == 1:
        yield from ((*block, *encode(block[0])) for block in blocks)
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
                with _hidden_script(tokenizer):
                    waiting.append((block, pool.submit(encode, block[0])))
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


def encode_block(encode, dtype, folder, fingerprint, lines):
    """Tokenize lines, or find in `folder` what was made of them before.

    Returns ids `(tokens,)`, numbers of them `(lines,)`, and whether found.
    """
    salt = f"{fingerprint} {dtype}".encode()
    digest = hashlib.blake2b(salt, digest_size=8)
    digest.update(b"\n" + join_lines(lines))
    path = os.path.join(folder, f"{digest.hexdigest()}.npz")
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


def _without_keras(tokenizer):
    """Its `encode_batch`, or of our tokenizer, a Keras layer, the like."""
    if type(tokenizer).__module__ != "keras_electra.text.tokenizer":
        return tokenizer.encode_batch
    special = bool(tokenizer.special_tokens_in_strings)
    return functools.partial(tokenizer.pipeline.encode, special_tokens=special)


@contextlib.contextmanager
def _hidden_script(tokenizer):
    """Keeps processes that start now from running the user's script first.

    They do it to find what it defines, so it stays for a tokenizer from there.
    """
    script = sys.modules["__main__"]
    if type(tokenizer).__module__ != "__main__":
        sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
