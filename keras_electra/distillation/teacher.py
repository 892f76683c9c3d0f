"""What a teacher says of texts: computed without gradients, kept on disk.

Tokenizers that differ meet at the words of a text, runs of letters and digits
or single other signs: what a word gets is the mean over its pieces.
"""

import bisect
import hashlib
import math
import os
import re
import sqlite3
from typing import Any

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


def outputs(embedder: Any, names: Any, layer: Any = None) -> dict[str, Any]:
    """Symbolic outputs of an `ElectraTextEmbedder`'s network, by name.

    `"vectors"`, as it is told to pool them, `(B, D)`; of a layer, by default
    the last, `"states"`, `(B, L, D)`, and `"relations"`, its queries, keys and
    values of all heads, one after another, `(B, L, 3D)`.
    """
    backbone = embedder.backbone
    layer = backbone.transformer_layers[(layer or backbone.num_layers) - 1]
    found = {"vectors": embedder.output, "states": layer.output}
    if "relations" in names:
        # Computed again from the layer's input: fast layers do not keep them.
        found["relations"] = layer.attention.query_key_value(layer.input[0])
    return {name: found[name] for name in names}


def open_teacher(source: Any, preprocessor: Any) -> Any:
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
        self.embedder: Any = open_teacher(source, preprocessor)
        own, student = self.embedder.preprocessor, preprocessor
        ids = {p.tokenizer.fingerprint() for p in (own, student)}
        is_shorter = own.sequence_length < student.sequence_length
        self.by_words: Any = is_shorter or len(ids) > 1
        given = self.embedder.backbone.input, outputs(self.embedder, names)
        self._network = keras.Model(*given)
        self.widths: Any = {n: self._network.output[n].shape[-1] for n in names}
        self._cache = None
        if cache is not None:
            name = self._fingerprint(student.sequence_length)
            folder = local_folder("cache", cache) / name
            self._cache = Cache(folder, self.widths)

    def _fingerprint(self, *settings):
        """16 hex digits of weights, tokenizer and settings."""
        own, config = self.embedder.preprocessor, self.embedder.get_config()
        settings += own.tokenizer.fingerprint(), own.sequence_length
        settings += self.by_words, self.widths
        settings += (*(config[n] for n in ("pooling", "layer", "normalize")),)
        digest = hashlib.sha256(repr(settings).encode())
        for weight in self.embedder.backbone.weights:
            digest.update(keras.ops.convert_to_numpy(weight).tobytes())
        return digest.hexdigest()[:16]

    def __call__(self, rows: Any, texts: Any = None) -> Any:
        """Of rows, or of what is in the `texts` of these rows."""
        if self._cache is None or texts is None:
            return self._compute(rows, texts)
        places = {text: i for i, text in enumerate(texts)}
        known = self._cache.read(places)
        if new := [text for text in places if text not in known]:
            some = [places[text] for text in new]
            made = self._compute({n: a[some] for n, a in rows.items()}, new)
            known |= self._cache.write(dict(zip(new, zip(*made.values()))))
        length, found = rows["token_ids"].shape[1], {}
        for place, (name, width) in enumerate(self.widths.items()):
            shape = (width,) if name == "vectors" else (length, width)
            size = STORED.itemsize * math.prod(shape)
            parts = (known[text][place][:size] for text in texts)
            whole = bytearray().join(part.ljust(size, b"\0") for part in parts)
            array = np.frombuffer(whole, STORED)
            found[name] = array.reshape(len(texts), *shape)
        return found

    def _compute(self, rows, texts):
        own, width = self.embedder.preprocessor, rows["token_ids"].shape[1]
        if self.by_words:
            longest = own.rows(texts)["token_ids"].shape[1]
            length = round_length(longest, own.sequence_length)
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
    """Arrays of texts as bytes, without zeros at the end, in a database.

    It is mapped to memory. Several processes may use it.
    """

    def __init__(self, folder: Any, widths: Any):
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "outputs.sqlite"
        # Made by the batches of a thread of TensorFlow's, read by those, too.
        self._base = sqlite3.connect(self._path, check_same_thread=False)
        columns = "digest BLOB PRIMARY KEY, " + ", ".join(widths)
        for setting in (
            "journal_mode=WAL",
            "synchronous=1",
            f"mmap_size={2**40}",
        ):
            self._run(f"PRAGMA {setting}")
        self._run(f"CREATE TABLE IF NOT EXISTS outputs ({columns})")

    def _run(self, command, *arguments):
        try:
            return self._base.execute(command, *arguments).fetchall()
        except sqlite3.Error as error:
            raise ValueError(
                f"The cache {self._path} cannot be used: {error}. Delete it, "
                "or give another one."
            ) from error

    def read(self, texts: Any) -> dict[str, Any]:
        """Of those texts that are known: lists of bytes, by text."""
        digests = {_digest(text): text for text in texts}
        marks = ", ".join("?" * len(digests))
        command = f"SELECT * FROM outputs WHERE digest IN ({marks})"
        found = self._run(command, [*digests])
        return {digests[digest]: parts for digest, *parts in found}

    def write(self, made: Any) -> Any:
        """Keeps arrays by text; returns what `read` would."""
        for text, arrays in made.items():
            made[text] = [a.tobytes().rstrip(b"\0") for a in arrays]
        rows = [(_digest(text), *parts) for text, parts in made.items()]
        marks = ", ".join("?" * len(rows[0]))
        with self._base:
            command = f"INSERT OR REPLACE INTO outputs VALUES ({marks})"
            self._base.executemany(command, rows)
        return made


def _digest(text):
    text = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest()
