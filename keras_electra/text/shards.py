"""The files of a folder of examples, and the record of what they hold.

Examples are in ArrayRecord files, one record each, so that any of them can be
read on its own. A record is the length of the first segment, then the token ids
with the special tokens in place, without padding; all are unsigned numbers, of
two bytes where vocabulary and length allow it and of four otherwise.
`metadata.json` lists the files with their sizes and checksums, says what was
built with which tokenizer, and is written last.
"""

import dataclasses
import errno
import hashlib
import json
import os

import numpy as np
from array_record.python import array_record_module

METADATA = "metadata.json"
FORMAT = 1
SPLITS = ("train", "validation")
SPECIAL_TOKENS = ("pad", "unk", "cls", "sep", "mask")
# Settings of every Keras layer or KerasHub tokenizer, without influence on ids.
IRRELEVANT = ("name", "trainable", "config_file", "vocabulary")
# Batches are int32, so no id can be beyond it.
LARGEST_VOCABULARY = 2**31

# More unknown tokens than this is a sign of a wrong vocabulary.
MANY_UNKNOWN = 0.02

# Bytes of records after which a new file is begun: one file for a small
# corpus, some hundred for tens of gigabytes of text. After so many files the
# size doubles, because a data set keeps all its files open.
SHARD_SIZE = 2**26
SHARDS_OF_ONE_SIZE = 128
# One record a chunk: random access reads nothing else. Ids hardly compress.
OPTIONS = "group_size:1,uncompressed"


def record_dtype(vocabulary_size, sequence_length):
    """The type of the numbers in a record: `"uint16"` or `"uint32"`."""
    if vocabulary_size > LARGEST_VOCABULARY:
        raise ValueError(
            f"The tokenizer has {vocabulary_size} tokens, but ids are stored "
            f"and fed as 32-bit integers: {LARGEST_VOCABULARY} tokens at "
            "most. Use a smaller vocabulary."
        )
    is_small = max(vocabulary_size, sequence_length + 1) <= 2**16
    return "uint16" if is_small else "uint32"


def encode_record(example, cls_token_id, sep_token_id, dtype):
    """Put special tokens around the segments and make a record of them.

    Worked example with `[CLS]` 2 and `[SEP]` 3: the segments `[7]` and `[9]`
    become the numbers `3 | 2 7 3 9 3`.
    """
    first, second = example
    end = len(first) + 3  # of the first segment, header included
    record = np.empty(end + len(second) + bool(len(second)), dtype)
    record[0] = end - 1
    record[1] = cls_token_id
    record[2 : end - 1] = first
    record[end - 1] = sep_token_id
    if len(second):
        record[end:-1] = second
        record[-1] = sep_token_id
    return record.tobytes()


class ExampleWriter:
    """Packs the lines of one split into examples and writes them to files.

    Args:
        folder: str, an existing folder.
        split: str. Begins the names of the files.
        packer: `ExamplePacker`.
        tokenizer: `ElectraTokenizer`. Knows the special tokens.
        dtype: str. See `record_dtype`.

    Attributes:
        documents: int. Counted by who adds them.
        examples, tokens, positions: int. Examples written, their tokens
            without and with the special ones.
        shards: list of dicts, as `metadata.json` has them.
    """

    def __init__(self, folder, split, packer, tokenizer, dtype):
        self._folder = folder
        self._split = split
        self._packer = packer
        self._arguments = (tokenizer.cls_token_id, tokenizer.sep_token_id)
        self._dtype = dtype
        self._writer = None
        self._size = 0
        self.documents = self.examples = self.tokens = self.positions = 0
        self.shards = []

    def add_line(self, ids):
        """Add the next line of the current document, `(tokens,)`."""
        self._write(self._packer.add_line(ids))

    def end_document(self):
        """End the current document, if there is one."""
        self._write(self._packer.end_document())

    def _write(self, examples):
        for example in examples:
            size = len(example.first) + len(example.second)
            self.tokens += size
            self.positions += size + 2 + bool(len(example.second))
            record = encode_record(example, *self._arguments, self._dtype)
            self._write_record(record)
        self.examples += len(examples)

    def _write_record(self, record):
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
        if self._size >= SHARD_SIZE * 2**doublings:
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


@dataclasses.dataclass(frozen=True)
class BuildReport:
    """Counts of a finished build; `print` shows them as a table.

    Attributes:
        output_dir: str. Where the examples are.
        documents: int. Documents read, held-out ones included.
        validation_documents: int. Documents held out.
        tokens: int. Tokens of the corpus, without special tokens.
        unknown_tokens: int. How many of them are `[UNK]`.
        dropped_tokens: int. How many of them are in no example; 0 by the
            default rules.
        train_examples: int.
        validation_examples: int.
        padding_fraction: float. Share of the positions of all examples that
            a batch fills with padding.
        shards: int. Files of examples.
        seconds: float. Duration of this call; 0 if it found everything done.
        reused_tokens: int. Tokens found in an earlier build's leftovers.
    """

    output_dir: str
    documents: int
    validation_documents: int
    tokens: int
    unknown_tokens: int
    dropped_tokens: int
    train_examples: int
    validation_examples: int
    padding_fraction: float
    shards: int
    seconds: float = 0.0
    reused_tokens: int = 0

    @property
    def unknown_fraction(self):
        """Share of `[UNK]` among the tokens of the corpus."""
        return self.unknown_tokens / max(self.tokens, 1)

    @property
    def tokens_per_second(self):
        """Speed of this call in tokens of the corpus, reused ones not."""
        return (self.tokens - self.reused_tokens) / max(self.seconds, 1e-9)

    def __str__(self):
        held_out = f"({self.validation_documents:,} held out)"
        speed = f"({self.tokens_per_second:,.0f} tokens/s)"
        rows = {
            "documents": f"{self.documents:,} {held_out}",
            "tokens": f"{self.tokens:,}",
            "train examples": f"{self.train_examples:,}",
            "validation examples": f"{self.validation_examples:,}",
            "padding": f"{self.padding_fraction:.2%} of positions",
            "[UNK]": f"{self.unknown_fraction:.2%} of tokens",
            "files of examples": f"{self.shards:,}",
        }
        if self.dropped_tokens:
            share = self.dropped_tokens / self.tokens
            rows["dropped"] = f"{self.dropped_tokens:,} tokens ({share:.2%})"
        if self.reused_tokens:
            reused = f"{self.reused_tokens:,} tokens of a stopped build"
            rows["reused"] = reused
        rows["time"] = (
            f"{self.seconds:.1f} s {speed}"
            if self.seconds
            else "none, already built"
        )
        lines = [f"  {name:<20} {value}" for name, value in rows.items()]
        if self.unknown_fraction > MANY_UNKNOWN:
            lines.append(
                "  Many tokens are unknown: do language and casing of the "
                "vocabulary fit the corpus?"
            )
        return "\n".join([f"Examples in {self.output_dir}", *lines])


def describe_tokenizer(tokenizer):
    """What `metadata.json` says of a tokenizer, to know it again later."""
    plain = (str, int, float, bool, type(None))
    return {
        "class": type(tokenizer).__name__,
        "fingerprint": tokenizer.fingerprint(),
        "vocabulary_size": int(tokenizer.vocabulary_size()),
        "special_token_ids": {
            name: int(getattr(tokenizer, f"{name}_token_id"))
            for name in SPECIAL_TOKENS
        },
        "settings": {
            key: value
            for key, value in tokenizer.get_config().items()
            if isinstance(value, plain) and key not in IRRELEVANT
        },
    }


def write_metadata(folder, metadata):
    """Write `metadata.json`; `metadata["shards"]` lists each split's files."""
    with open(os.path.join(folder, METADATA), "w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, **metadata}, file, indent=1)
        file.write("\n")


def read_metadata(folder):
    """Read `metadata.json` (a dict), or say what is wrong with it."""
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
    """Check that all files are there and whole; `verify` reads them."""
    advice = (
        "Copy it again from where the examples were built, or build them again."
    )
    for shard in sum((metadata["shards"][split] for split in SPLITS), []):
        path = os.path.join(folder, shard["file"])
        if not os.path.exists(path):
            raise FileNotFoundError(f"{path!r} is missing. {advice}")
        size = os.path.getsize(path)
        what = None
        if size != shard["bytes"]:
            what = f"{size} bytes instead of {shard['bytes']}"
        elif verify and _checksum(path) != shard["sha256"]:
            what = "another checksum than when it was written"
        if what:
            raise ValueError(f"{path!r} is damaged: it has {what}. {advice}")


def _checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
