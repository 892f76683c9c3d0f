"""The files of a folder of examples, and the record of what they hold.

Examples are records of ArrayRecord files, so that any can be read on its own.
`metadata.json`, written last, has their sizes and checksums and the tokenizer.
"""

import collections
import dataclasses
import hashlib
import itertools
import json
import os
from typing import Any

import numpy as np
from array_record.python import array_record_module

METADATA = "metadata.json"
FORMAT = 1
SPLITS = ("train", "validation")
SPECIAL_TOKENS = ("pad", "unk", "cls", "sep", "mask")
# Settings of every Keras layer or KerasHub tokenizer, without influence on ids.
IRRELEVANT = ("name", "trainable", "config_file", "vocabulary")
SHARD_SIZE = 2**26  # bytes of records after which a new file is begun
SHARDS_OF_ONE_SIZE = 128  # then it doubles: a data set keeps its files open
# One record a chunk: random access reads nothing else. Ids hardly compress.
OPTIONS = "group_size:1,uncompressed"


def record_dtype(vocabulary_size: int, sequence_length: int | None) -> str:
    """The type of the numbers in a record: `"uint16"` or `"uint32"`."""
    is_small = max(vocabulary_size, sequence_length + 1) <= 2**16
    return "uint16" if is_small else "uint32"


def encode_record(example, cls_token_id, sep_token_id, dtype):
    """The length of the first segment, then all ids without padding.

    With `[CLS]` 2 and `[SEP]` 3, `[7]` and `[9]` become `3 | 2 7 3 9 3`.
    """
    first, second = example
    parts = [[len(first) + 2, cls_token_id], first, [sep_token_id]]
    if len(second):
        parts += [second, [sep_token_id]]
    return np.concatenate(parts).astype(dtype).tobytes()


class ExampleWriter:
    """Packs the lines of one split and writes the examples to `folder`."""

    def __init__(self, folder, split, packer, special_token_ids, dtype):
        self.split, self._folder, self._packer = split, folder, packer
        ids = special_token_ids
        self._format = ids["cls"], ids["sep"], dtype
        self._writer = None
        # Of examples, tokens, and positions, which special tokens have, too.
        self.counts: Any = collections.Counter()
        self.shards: list[Any] = []  # dicts, as `metadata.json` has them

    def add(self, ids: Any) -> None:
        """Write what is complete with a line; see `ExamplePacker.add`."""
        for example in self._packer.add(ids):
            if self._writer is None:
                name = f"{self.split}-{len(self.shards):05d}.array_record"
                self.shards.append({"file": name, "examples": 0})
                self._path, self._size = os.path.join(self._folder, name), 0
                make = array_record_module.ArrayRecordWriter
                self._writer = make(self._path, OPTIONS)
            record = encode_record(example, *self._format)
            self._writer.write(record)
            tokens = sum(map(len, example))
            self.counts["examples"] += 1
            self.counts["tokens"] += tokens
            self.counts["positions"] += tokens + 2 + bool(len(example[1]))
            self.shards[-1]["examples"] += 1
            self._size += len(record)  # bytes
            doublings = (len(self.shards) - 1) // SHARDS_OF_ONE_SIZE
            if self._size >= SHARD_SIZE * 2**doublings:
                self.close()

    def close(self) -> None:
        """Finish the current file and note its size and checksum."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self.shards[-1]["bytes"] = os.path.getsize(self._path)
            self.shards[-1]["sha256"] = _checksum(self._path)


@dataclasses.dataclass(frozen=True)
class BuildReport:
    """Counts of a finished build; `print` shows them as a table."""

    output_dir: str
    documents: int  # held-out ones included
    validation_documents: int
    tokens: int  # of the corpus, without special tokens
    unknown_tokens: int  # how many of them are `[UNK]`
    dropped_tokens: int  # how many are in no example; 0 by the default rules
    train_examples: int
    validation_examples: int
    padding_fraction: float  # of the positions of all examples
    shards: int  # files of examples
    seconds: float = 0.0  # of this call; 0 if it found everything done
    reused_tokens: int = 0  # found in an earlier build's leftovers

    @property
    def unknown_fraction(self) -> Any:
        """Share of `[UNK]` among the tokens of the corpus."""
        return self.unknown_tokens / max(self.tokens, 1)

    @property
    def tokens_per_second(self) -> Any:
        """Speed of this call in tokens of the corpus, reused ones not."""
        return (self.tokens - self.reused_tokens) / max(self.seconds, 1e-9)

    def __str__(self) -> str:
        told = "" if self.seconds else " (already built)"
        lines = [f"Examples in {self.output_dir}{told}"]
        names = [*vars(self), "unknown_fraction", "tokens_per_second"]
        for name in names[1:]:
            value, label = getattr(self, name), name.replace("_", " ")
            style = ".2%" if "fraction" in name else ",.0f"
            lines.append(f"  {label:<20} {value:{style}}")
        if self.unknown_fraction > 0.02:
            lines.append("  Many tokens are unknown: does the vocabulary fit?")
        return "\n".join(lines)


def describe_tokenizer(tokenizer: Any) -> dict[str, Any]:
    """What `metadata.json` says of a tokenizer, to know it again later."""
    settings, plain = tokenizer.get_config(), (str, int, float, type(None))
    settings = {k: v for k, v in settings.items() if isinstance(v, plain)}
    ids = {n: int(getattr(tokenizer, f"{n}_token_id")) for n in SPECIAL_TOKENS}
    return {
        "class": type(tokenizer).__name__,
        "fingerprint": tokenizer.fingerprint(),
        "vocabulary_size": int(tokenizer.vocabulary_size()),
        "special_token_ids": ids,
        "settings": {k: settings[k] for k in settings if k not in IRRELEVANT},
    }


def write_metadata(folder: Any, metadata: Any) -> None:
    """Write `metadata.json`; `metadata["shards"]` lists each split's files."""
    metadata = {"format": FORMAT, **metadata}
    metadata["digest"] = _digest(metadata)
    with open(os.path.join(folder, METADATA), "w", encoding="utf-8") as file:
        print(json.dumps(metadata, indent=1), file=file)


def _digest(metadata):
    content = json.dumps(metadata, sort_keys=True).encode()
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def read_metadata(folder: Any) -> Any:
    """Read `metadata.json` (a dict), or say what is wrong with it."""
    path = os.path.join(folder, METADATA)
    try:
        with open(path, encoding="utf-8") as file:
            metadata = json.load(file)
        if metadata["format"] != FORMAT:
            raise ValueError(f"it has format {metadata['format']}")
        digest = metadata.pop("digest", None)  # older ones have none
        if digest not in (None, _digest(metadata)):
            raise ValueError("it is not as it was written")
        for shard in itertools.chain(*metadata["shards"].values()):
            if os.path.basename(shard["file"]) != shard["file"]:
                raise ValueError(f"{shard['file']!r} is outside the folder")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{folder!r} holds no examples: there is no {METADATA} in it. "
            "Make them with `build_examples`."
        ) from None
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path!r} is damaged or of another version ({error!r}); this one "
            f"reads format {FORMAT}. Build the examples again."
        ) from error
    return metadata


def check_shards(folder: Any, metadata: Any, verify: bool = False) -> None:
    """Check that all files are there and whole; `verify` reads them."""
    advice = "Copy it from where the examples were built, or build them again."
    for shard in itertools.chain(*metadata["shards"].values()):
        path = os.path.join(folder, shard["file"])
        if not os.path.exists(path):
            raise FileNotFoundError(f"{path!r} is missing. {advice}")
        size, what = os.path.getsize(path), "another checksum than when written"
        if size != shard["bytes"]:
            what = f"{size} bytes instead of {shard['bytes']}"
        elif not verify or _checksum(path) == shard["sha256"]:
            continue
        raise ValueError(f"{path!r} is damaged: it has {what}. {advice}")


def _checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_same(folder: Any, description: Any) -> Any:
    """What a build of this description counted; `None` if a folder is free."""
    is_folder = os.path.isdir(folder)
    if not (os.listdir(folder) if is_folder else os.path.exists(folder)):
        return None
    what = "something else than examples"
    if os.path.exists(os.path.join(folder, METADATA)):
        found = read_metadata(folder)
        changed = [key for key in description if description[key] != found[key]]
        if not changed:
            check_shards(folder, found)
            return found["report"]
        what = f"examples built with other {' and '.join(changed)}"
    raise FileExistsError(
        f"`output_dir={folder!r}` holds {what}. Nothing in it was touched. "
        "Choose another folder, or remove this one."
    )
