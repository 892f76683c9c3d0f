"""Files of examples, and the record of what a folder of them holds.

Examples are in ArrayRecord files, one record each, so that any of them can be
read on its own. `metadata.json` lists the files with their sizes and
checksums, says what was built with which tokenizer, and is written last.
"""

import errno
import hashlib
import json
import os

from array_record.python import array_record_module

METADATA = "metadata.json"
FORMAT = 1
SPLITS = ("train", "validation")

# Bytes of records after which a new file is begun: one file for a small
# corpus, some hundred for tens of gigabytes of text. After so many files the
# size doubles, because a data set keeps all its files open.
SHARD_SIZE = 2**26
SHARDS_OF_ONE_SIZE = 128
# One record a chunk: random access reads nothing else. Ids hardly compress.
OPTIONS = "group_size:1,uncompressed"


class ShardWriter:
    """Writes the records of one split to as many files as they need.

    Args:
        folder: str, an existing folder.
        split: str. Begins the names of the files.
        shard_size: int, bytes. See `SHARD_SIZE`.
    """

    def __init__(self, folder, split, shard_size=None):
        self._folder = folder
        self._split = split
        self._shard_size = shard_size or SHARD_SIZE
        self._writer = None
        self._size = 0
        self.shards = []

    def write(self, record):
        """Write a record (bytes)."""
        if self._writer is None:
            name = f"{self._split}-{len(self.shards):05d}.array_record"
            self.shards.append({"file": name, "examples": 0})
            self._size = 0
            self._writer = array_record_module.ArrayRecordWriter(
                os.path.join(self._folder, name), OPTIONS
            )
        self._do(self._writer.write, record)
        self.shards[-1]["examples"] += 1
        self._size += len(record)
        doublings = (len(self.shards) - 1) // SHARDS_OF_ONE_SIZE
        if self._size >= self._shard_size * 2**doublings:
            self.close()

    def close(self):
        """Finish the current file and note its size and checksum."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        self._do(writer.close)
        shard = self.shards[-1]
        path = os.path.join(self._folder, shard["file"])
        shard["bytes"] = os.path.getsize(path)
        shard["sha256"] = _checksum(path)

    def _do(self, function, *args):
        try:
            function(*args)
        except RuntimeError as error:
            # How ArrayRecord reports a full disk and the like.
            is_full = os.strerror(errno.ENOSPC) in str(error)
            code = errno.ENOSPC if is_full else errno.EIO
            path = os.path.join(self._folder, self.shards[-1]["file"])
            raise OSError(code, str(error), path) from error


def write_metadata(folder, metadata):
    """Write `metadata.json`.

    Args:
        folder: str.
        metadata: dict. Must have `"shards"`, a dict of the splits with the
            `shards` of their `ShardWriter`.
    """
    with open(os.path.join(folder, METADATA), "w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, **metadata}, file, indent=1)
        file.write("\n")


def read_metadata(folder):
    """Read `metadata.json`.

    Args:
        folder: str, as `build_examples` made it.

    Returns:
        Dict.

    Raises:
        FileNotFoundError: if the folder has none.
        ValueError: if it is damaged or of a later version.
    """
    path = os.path.join(folder, METADATA)
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"{folder!r} holds no examples: there is no {METADATA} in it. "
            "Make them with `build_examples`."
        )
    try:
        with open(path, encoding="utf-8") as file:
            metadata = json.load(file)
        version = metadata["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path!r} is damaged ({error!r}). Build the examples again."
        ) from error
    if version != FORMAT:
        raise ValueError(
            f"{path!r} has format {version}, but this version of "
            f"keras_electra reads format {FORMAT}. Build the examples again."
        )
    return metadata


def check_shards(folder, metadata, verify=False):
    """Check that all files are there and whole.

    Args:
        folder: str.
        metadata: dict, of `read_metadata`.
        verify: bool. Whether to compare checksums too, which reads every
            file. Defaults to `False`: sizes only.

    Raises:
        FileNotFoundError: naming a file that is missing.
        ValueError: naming a file that differs.
    """
    for split in SPLITS:
        for shard in metadata["shards"][split]:
            path = os.path.join(folder, shard["file"])
            if not os.path.exists(path):
                raise FileNotFoundError(
                    f"{path!r} is missing. Copy it again from where the "
                    "examples were built, or build them again."
                )
            size = os.path.getsize(path)
            what = None
            if size != shard["bytes"]:
                what = f"{size} bytes instead of {shard['bytes']}"
            elif verify and _checksum(path) != shard["sha256"]:
                what = "another checksum than when it was written"
            if what:
                raise ValueError(
                    f"{path!r} is damaged: it has {what}. Copy it again from "
                    "where the examples were built, or build them again."
                )


def _checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
