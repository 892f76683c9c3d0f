"""Blocks of text -> blocks of token ids, in one or more processes.

What is tokenized is kept in a folder by its content, so that a build that was
stopped goes on where it was. Blocks come out in their order, whatever process
did them. Price: while a build runs, its tokens are on disk a second time.
"""

import collections
import functools
import itertools
import os
import zipfile
from typing import NamedTuple

import numpy as np

from keras_electra.text.blocks import Block
from keras_electra.text.blocks import block_digest
from keras_electra.text.word_pieces import WordPieceEncoder
from keras_electra.text.worker_pool import WorkerPool


class TokenBlock(NamedTuple):
    """The token ids of a block.

    Attributes:
        block: `Block`. The text they came from.
        ids: array `(tokens,)`. Those of all lines, in order.
        lengths: array `(lines,)`. Tokens of each line.
        is_reused: bool. Whether they were found in the folder.
    """

    block: Block
    ids: np.ndarray
    lengths: np.ndarray
    is_reused: bool


def tokenize_blocks(blocks, tokenizer, dtype, folder, num_processes=1):
    """Tokenize blocks of text.

    Args:
        blocks: iterable of `Block`. Read some blocks ahead.
        tokenizer: `ElectraTokenizer`, or anything with its `encode_batch`
            and `fingerprint` that can be pickled.
        dtype: str. Type of the ids, as `record_dtype` returns it.
        folder: str, an existing folder. Where tokenized blocks are kept.
        num_processes: int. With 1, this process does the work; otherwise as
            many others do. Defaults to 1.

    Yields:
        `TokenBlock`s, in order.

    Raises:
        RuntimeError: if a process fails.
    """
    salt = f"{tokenizer.fingerprint()} {dtype}"
    if num_processes == 1:
        for block in blocks:
            path = _path(folder, block, salt)
            arrays = _load(path)
            is_reused = arrays is not None
            if not is_reused:
                arrays = encode_lines(
                    block.lines, tokenizer.encode_batch, dtype
                )
                _save(path, arrays)
            yield TokenBlock(block, *arrays, is_reused)
        return
    function = functools.partial(
        encode_lines, encode_batch=_without_keras(tokenizer), dtype=dtype
    )
    with WorkerPool(function, num_processes) as pool:
        waiting = collections.deque()
        for block in blocks:
            path = _path(folder, block, salt)
            arrays = _load(path)
            future = pool.submit(block.lines) if arrays is None else None
            waiting.append((block, path, arrays, future))
            # Some blocks ahead keep all processes busy and memory small.
            if len(waiting) > 2 * num_processes:
                yield _finish(*waiting.popleft())
        while waiting:
            yield _finish(*waiting.popleft())


def _finish(block, path, arrays, future):
    if future is None:
        return TokenBlock(block, *arrays, True)
    arrays = future.result()
    _save(path, arrays)
    return TokenBlock(block, *arrays, False)


def encode_lines(lines, encode_batch, dtype):
    """Encode lines and put their ids into one array.

    Args:
        lines: list of str.
        encode_batch: callable, list of str -> list of lists of int.
        dtype: str. Type of the ids.

    Returns:
        Tuple of the ids `(tokens,)` and the lengths `(lines,)`, int64.
    """
    rows = encode_batch(lines)
    lengths = np.array([len(row) for row in rows], "int64")
    ids = itertools.chain.from_iterable(rows)
    return np.fromiter(ids, dtype, lengths.sum()), lengths


def _without_keras(tokenizer):
    """Its `encode_batch`, of our tokenizer as a function without Keras.

    The tokenizer is a Keras layer; sent as it is, each process would import
    Keras and a backend.
    """
    encoder = getattr(tokenizer, "_encoder", None)
    is_ours = type(tokenizer).__module__ == "keras_electra.text.tokenizer"
    if is_ours and isinstance(encoder, WordPieceEncoder):
        special_tokens = tokenizer.special_tokens_in_strings
        return functools.partial(_encode, encoder, special_tokens)
    return tokenizer.encode_batch


def _encode(encoder, special_tokens, texts):
    return [encoder.encode(text, special_tokens) for text in texts]


def _path(folder, block, salt):
    return os.path.join(folder, f"{block_digest(block, salt)}.npz")


def _load(path):
    try:
        with np.load(path) as arrays:
            return arrays["ids"], arrays["lengths"]
    except (FileNotFoundError, EOFError, ValueError, zipfile.BadZipFile):
        return None  # not there, or cut short: do it again


def _save(path, arrays):
    ids, lengths = arrays
    # A name of its own until it is whole, in case the build is stopped.
    with open(f"{path}.new", "wb") as file:
        np.savez(file, ids=ids, lengths=lengths)
    os.replace(f"{path}.new", path)
