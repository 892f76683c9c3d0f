"""What a teacher says of texts: computed without gradients, kept on disk.

Tokenizers that differ meet at the words of a text, runs of letters and digits
or single other signs: what a word gets is the mean over its pieces.
"""

import bisect
import hashlib
import os
import re

import filelock
import keras
import numpy as np

from keras_electra.arguments import local_folder
from keras_electra.backend.numerics import on_accelerator
from keras_electra.data.batches import round_length
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.tasks.text_embedder import ElectraTextEmbedder
from keras_electra.tasks.text_embedder import ElectraTextEmbedderPreprocessor

WORD = re.compile(r"\w+|[^\w\s]")
# float16 in memory and on disk: of a unit vector it is right to 5e-4.
STORED = np.dtype("float16")
# A text's digest, where its numbers begin in the file, and how many they are.
ENTRY = np.dtype([("digest", "V16"), ("start", "<i8"), ("size", "<i8")])


def outputs(embedder, names, layer=None):
    """Symbolic outputs of an `ElectraTextEmbedder`'s network, by name.

    `"vectors"`, as it is told to pool them, `(B, D)`; of a layer, by default
    the last, `"states"`, `(B, L, D)`, and `"relations"`, its queries, keys and
    values of all heads, one after another, `(B, L, 3D)`.
    """
    backbone = embedder.backbone
    layer = backbone.transformer_layers[(layer or backbone.num_layers) - 1]
    makers = {
        "vectors": lambda: embedder.output,
        "states": lambda: layer.output,
        # Computed again from the layer's input: fast layers do not keep them.
        "relations": lambda: layer.queries_keys_values(layer.input[0]),
    }
    return {name: makers[name]() for name in names}


def open_teacher(source, preprocessor):
    """An `ElectraTextEmbedder` of a model of ours, or of where one is."""
    if isinstance(source, (str, os.PathLike)):
        # Where torch is slow at bfloat16 its layers compute in float32.
        is_fast = keras.config.backend() == "torch" or on_accelerator()
        dtype = "mixed_bfloat16" if is_fast else "float32"
        return ElectraTextEmbedder.from_preset(source, dtype=dtype)
    if isinstance(source, ElectraTextEmbedder):
        return source
    backbone = getattr(source, "backbone", source)
    if not isinstance(backbone, ElectraBackbone):
        raise TypeError(
            "`teacher` must be a model of this package, or the folder or name "
            f"of a checkpoint. Received type {type(source).__name__}."
        )
    own = getattr(source, "preprocessor", None)
    if own is None and backbone.vocabulary_size != (
        preprocessor.tokenizer.vocabulary_size()
    ):
        raise ValueError(
            f"`teacher` has no tokenizer, and {backbone.vocabulary_size} token "
            "ids, not the student's. Give the task or the folder it is from."
        )
    own = own or preprocessor
    length = min(own.sequence_length, backbone.max_sequence_length)
    own = ElectraTextEmbedderPreprocessor(own.tokenizer, length)
    return ElectraTextEmbedder(backbone, own, layer=backbone.num_layers)


def piece_weights(texts, preprocessor, length, width=None):
    """Weights `(texts, width, length)` to take the means of words by.

    Of rows of texts, `length` tokens long, and their first `width` words, by
    default `length`. A word without a token, or one of a special token, has 0.
    """
    tokenizer, most = preprocessor.tokenizer, preprocessor.sequence_length - 2
    weights = np.zeros((len(texts), width or length, length), "float32")
    _, offsets = tokenizer.encode_with_offsets(texts)
    for text, places, row in zip(texts, offsets, weights):
        starts = [match.start() for match in WORD.finditer(text)]
        for token, (start, _) in enumerate(places[:most], 1):
            word = max(0, bisect.bisect(starts, start) - 1)
            if word < len(row):
                row[word, token] = 1.0
    return weights / np.maximum(weights.sum(-1, keepdims=True), 1.0)


class Teacher:
    """Says for texts what `names` of `outputs` names, float16 arrays.

    Those of tokens are `(texts, L, ...)`, L the length of the student's rows:
    of its tokens where both encode alike, else of words, 0 where none is.
    """

    def __init__(self, source, names, preprocessor, cache=None):
        self.embedder = open_teacher(source, preprocessor)
        own, student = self.embedder.preprocessor, preprocessor
        ids = {p.tokenizer.fingerprint() for p in (own, student)}
        is_shorter = own.sequence_length < student.sequence_length
        self.by_words = is_shorter or len(ids) > 1
        given = self.embedder.backbone.input, outputs(self.embedder, names)
        self._network = keras.Model(*given)
        self.widths = {n: self._network.output[n].shape[-1] for n in names}
        self._cache = None
        if cache is not None:
            name = self._fingerprint(student.sequence_length)
            self._cache = Cache(local_folder("cache", cache) / name)

    def _fingerprint(self, *settings):
        """16 hex digits of weights, tokenizer and what is asked for."""
        own = self.embedder.preprocessor
        config = self.embedder.get_config()
        settings += own.tokenizer.fingerprint(), own.sequence_length
        settings += self.by_words, self.widths
        settings += (*(config[n] for n in ("pooling", "layer", "normalize")),)
        digest = hashlib.sha256(repr(settings).encode())
        for weight in self.embedder.backbone.weights:
            digest.update(keras.ops.convert_to_numpy(weight).tobytes())
        return digest.hexdigest()[:16]

    def __call__(self, rows, texts=None):
        """Of rows, or of what is in the `texts` of these rows."""
        if self._cache is None or texts is None:
            return self._compute(rows, texts)
        found = [self._cache.get(text) for text in texts]
        new = [i for i, record in enumerate(found) if record is None]
        if new:
            some = {name: array[new] for name, array in rows.items()}
            made = self._compute(some, [texts[i] for i in new])
            for i, *arrays in zip(new, *made.values()):
                states = [a for a in arrays if a.ndim > 1][:1]
                used = [np.flatnonzero(a.any(axis=-1)) for a in states]
                end = max((u.max(initial=-1) + 1 for u in used), default=0)
                parts = (a if a.ndim == 1 else a[:end] for a in arrays)
                found[i] = np.concatenate([part.ravel() for part in parts])
                self._cache.put(texts[i], found[i])
        return self._unpack(found, rows["token_ids"].shape[1])

    def _unpack(self, records, length):
        """The arrays of texts of which each has one flat record."""
        made, start = {}, 0
        fixed = self.widths.get("vectors", 0)
        each = max(1, sum(self.widths.values()) - fixed)
        for name, width in self.widths.items():
            if name == "vectors":  # the first
                made[name] = np.stack([r[:fixed] for r in records])
                start = fixed
                continue
            made[name] = np.zeros((len(records), length, width), STORED)
            for row, record in zip(made[name], records):
                count = (len(record) - fixed) // each
                first = fixed + (start - fixed) * count
                part = record[first : first + count * width]
                part = part.reshape(count, width)[:length]
                row[: len(part)] = part
            start += width
        return made

    def _compute(self, rows, texts):
        own, width = self.embedder.preprocessor, rows["token_ids"].shape[1]
        if self.by_words:
            rows = own.rows(texts)
            most = own.sequence_length
            length = round_length(rows["token_ids"].shape[1], most)
            rows = own.rows(texts, length=length)
        tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, rows)
        made = self._network.predict_on_batch(tensors)
        made = {n: np.asarray(made[n], "float32") for n in self.widths}
        if names := made.keys() - {"vectors"}:
            weights = rows["padding_mask"][:, :, None]
            if self.by_words:
                weights = piece_weights(texts, own, length, width)
            join = np.matmul if self.by_words else np.multiply
            made |= {name: join(weights, made[name]) for name in names}
        return {name: a.astype(STORED) for name, a in made.items()}


class Cache:
    """Arrays of numbers by text, in a file that only grows.

    It is mapped to memory; an index beside it is written after the numbers.
    """

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(folder / "lock", timeout=0)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise FileExistsError(
                f"Another process writes to the cache {folder}. Stop it, or "
                "give another one."
            ) from None
        self._data = open(folder / "outputs.bin", "ab")
        self._index = open(folder / "index.bin", "ab")
        entries = np.fromfile(folder / "index.bin", ENTRY)
        end = self._data.seek(0, os.SEEK_END) // STORED.itemsize
        # What a killed process did not write to its end is made again.
        self._places = {
            bytes(digest): (start, size)
            for digest, start, size in entries.tolist()
            if start + size <= end
        }
        self._end, self._mapped = end, None

    def get(self, text):
        """The numbers of a text, or `None`."""
        start, size = self._places.get(_digest(text), (0, None))
        if size is None:
            return None
        if self._mapped is None or start + size > len(self._mapped):
            self._data.flush()
            self._mapped = np.memmap(self._data.name, STORED, mode="r")
        return self._mapped[start : start + size]

    def put(self, text, numbers):
        """Keeps the numbers of a text."""
        place = self._end, len(numbers)
        self._data.write(numbers.tobytes())
        self._data.flush()
        self._end += len(numbers)
        entry = np.array([(_digest(text), *place)], ENTRY)
        self._index.write(entry.tobytes())
        self._index.flush()
        self._places[_digest(text)] = place


def _digest(text):
    return hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=16
    ).digest()
