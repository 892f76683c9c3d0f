"""ElectraTokenizer: text <-> ids, with the ids of the original program.

A pipeline of the `tokenizers` package does the work, on every backend; inside
a `tf.data` pipeline TensorFlow calls back into it. Price: such a graph runs
only in the process that made it and cannot be exported.
"""

import os

import keras
import keras_hub
import numpy as np

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import OpensPresets
from keras_electra.text.original import SPECIAL_TOKENS
from keras_electra.text.original import original
from keras_electra.text.pipeline import SETTINGS
from keras_electra.text.pipeline import Pipeline
from keras_electra.text.vocabulary import load_vocabulary
from keras_electra.text.vocabulary import read_text
from keras_electra.text.vocabulary import write_text
from keras_electra.text.vocabulary import write_vocabulary

VOCABULARY_FILE = "vocabulary.txt"
PIPELINE_FILE = "tokenizer.json"


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTokenizer(OpensPresets, keras_hub.tokenizers.Tokenizer):
    """Tokenizer of ELECTRA: WordPiece, or what a `tokenizer.json` says.

    Called on a string it returns a 1-d integer array, called on a list of
    strings a list of lists of integers; with `sequence_length` dense arrays,
    `(sequence_length,)` and `(batch, sequence_length)`; in a graph of
    TensorFlow tensors, ragged ones in place of lists. It adds no `[CLS]` and
    `[SEP]`; preprocessors do.

    Args:
        vocabulary: list of str or path of a file with one token a line; it
            must have `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`. Or the
            path of a `tokenizer.json` of any kind, which is obeyed and saved
            as it is; settings that are given take the place of what its
            `BertNormalizer` says. `None`: it is loaded from a preset later.
        lowercase: bool. Whether to lower the text. Defaults to `False`, or
            what the `tokenizer.json` says.
        strip_accents: bool. Whether to take accents off. Defaults to `None`,
            the same as `lowercase`, as in BERT.
        split_on_cjk: bool. Whether each CJK character is a word. Defaults to
            `True`, or what the `tokenizer.json` says.
        special_tokens_in_strings: bool. Whether `"[MASK]"` and the like in a
            text become the special token. Defaults to `False`, as in the
            original: they are brackets and letters.
        sequence_length: int. Tokens to which sequences are cut or padded with
            `[PAD]`. Defaults to `None`, neither.
        dtype: str. An integer type, `"int32"` by default, or `"string"` for
            tokens in place of ids.

    Raises:
        ValueError: if the vocabulary lacks a special token or has an entry
            twice, if its file is damaged, or if a setting cannot be obeyed.
    """

    backbone_cls = ElectraBackbone

    def __init__(
        self,
        vocabulary=None,
        lowercase=None,
        strip_accents=None,
        split_on_cjk=None,
        special_tokens_in_strings=False,
        sequence_length=None,
        dtype="int32",
        **kwargs,
    ):
        self._name_special_tokens(SPECIAL_TOKENS)
        super().__init__(dtype=dtype, **kwargs)
        self._is_string = self.compute_dtype == "string"
        if not self._is_string and "int" not in self.compute_dtype:
            raise ValueError(
                '`dtype` must be an integer type or "string". '
                f"Received: dtype={dtype!r}."
            )
        self.lowercase = lowercase
        self.strip_accents, self.split_on_cjk = strip_accents, split_on_cjk
        self.special_tokens_in_strings = special_tokens_in_strings
        self.sequence_length = sequence_length
        self.file_assets = [VOCABULARY_FILE]
        # It has no weights; `quantize` of a task refuses unbuilt layers.
        self.built = True
        self.set_vocabulary(vocabulary)

    def set_vocabulary(self, vocabulary):
        """Set the vocabulary: see the class; or a `Pipeline`."""
        self.pipeline = None
        if vocabulary is None:
            return
        settings = {name: getattr(self, name) for name in SETTINGS}
        if str(vocabulary).endswith(".json"):
            vocabulary = Pipeline(read_text(vocabulary))
        if isinstance(vocabulary, Pipeline):
            pipeline = vocabulary.adjust(**settings)
        else:
            tokens = load_vocabulary(vocabulary)
            given = {k: v for k, v in settings.items() if v is not None}
            pipeline = Pipeline(original(tokens, **given))
        self._name_special_tokens(pipeline.special_tokens())
        for name, value in pipeline.settings.items():
            setattr(self, name, value)
        is_plain = pipeline.is_original
        self.file_assets = [VOCABULARY_FILE if is_plain else PIPELINE_FILE]
        self.pipeline = pipeline
        self._update_special_token_ids()

    def _name_special_tokens(self, tokens):
        self._special_token_attrs = []
        for name, token in zip(("pad", "unk", "cls", "sep", "mask"), tokens):
            self._add_special_token(token, f"{name}_token")
        # Names that other KerasHub tokenizers use for the same.
        self._add_special_token(self.cls_token, "start_token")
        self._add_special_token(self.sep_token, "end_token")

    def tokenize(self, inputs):
        """Tokenize a string or any nesting, array or tensor of strings.

        The nesting stays. Bytes are read as UTF-8, skipping what is none, as
        the original does; another type is a `TypeError`.
        """
        self._require_pipeline()
        from keras_electra.backend import graph_text

        if graph_text.is_in_graph():
            return graph_text.numpy_function(
                self._tokenize_flat,
                inputs,
                dtype=self.compute_dtype,
                sequence_length=self.sequence_length,
            )
        nested = _to_lists(inputs, str)
        tokens = keras.tree.pack_sequence_as(
            nested, self._tokenize_flat(keras.tree.flatten(nested))
        )
        is_dense = isinstance(nested, str) or self.sequence_length
        if self._is_string or not is_dense:
            return tokens
        tokens = np.array(tokens, dtype=self.compute_dtype)
        return tokens if nested != [] else tokens.reshape(0, is_dense)

    def encode_batch(self, texts, special_tokens=None):
        """Ids of texts (list of str): list of lists of int, the fast way.

        With `special_tokens`, those written in a text become their ids; it
        defaults to `special_tokens_in_strings`.
        """
        return self._encode("encode", texts, special_tokens)

    def encode_with_offsets(self, texts, special_tokens=None):
        """As `encode_batch`, and `(start, end)` in its text of each token.

        Returns `(ids, offsets)`. Accents taken off belong to their letter.
        """
        return self._encode("encode_with_offsets", texts, special_tokens)

    def detokenize(self, inputs):
        """Join ids of a sequence or of a batch to a str or a list of str.

        No exact inverse: case, accents and spaces at punctuation are gone.
        """
        ids = _to_lists(inputs, int)
        if isinstance(ids, list) and any(isinstance(i, list) for i in ids):
            return [self.detokenize(row) for row in ids]
        tokens = map(self.id_to_token, ids if isinstance(ids, list) else [ids])
        return self._require_pipeline().join(list(tokens))

    def get_vocabulary(self):
        """The vocabulary as a list of str, by id."""
        return list(self._require_pipeline().tokens)

    def vocabulary_size(self):
        """Number of tokens in the vocabulary."""
        return len(self.get_vocabulary())

    def id_to_token(self, id):
        """The token (str) of an id (int); `ValueError` if out of range."""
        tokens = self._require_pipeline().tokens
        if 0 <= id < len(tokens):
            return tokens[id]
        raise ValueError(
            f"`id` must be in range [0, {len(tokens) - 1}]. Received: id={id}."
        )

    def token_to_id(self, token):
        """The id (int) of a token (str); `ValueError` if it has none."""
        ids = self._require_pipeline().ids
        if token in ids:
            return ids[token]
        raise ValueError(f"The vocabulary has no token {token!r}.")

    def fingerprint(self):
        """16 hex digits; tokenizers that have the same give the same ids."""
        pipeline = self._require_pipeline()
        return pipeline.fingerprint(self.special_tokens_in_strings)

    def save_assets(self, dir_path):
        path = os.path.join(dir_path, self.file_assets[0])
        if self.file_assets == [PIPELINE_FILE]:
            write_text(path, self._require_pipeline().content)
        else:
            write_vocabulary(path, self.get_vocabulary())

    def load_assets(self, dir_path):
        self.set_vocabulary(os.path.join(dir_path, self.file_assets[0]))

    def call(self, inputs, *args, training=None, **kwargs):
        return self.tokenize(inputs)

    def get_config(self):
        config = super().get_config()
        names = (*SETTINGS, "special_tokens_in_strings", "sequence_length")
        config.update({name: getattr(self, name) for name in names})
        config["vocabulary"] = None  # saved as an asset
        if self.file_assets == [PIPELINE_FILE]:
            config["has_pipeline"] = True
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config.get("vocabulary"), str):
            raise ValueError(  # it could read any file
                "The config of a saved tokenizer must not name a vocabulary "
                f"file. Received: vocabulary={config['vocabulary']!r}."
            )
        has_pipeline = config.pop("has_pipeline", False)
        tokenizer = super().from_config(config)
        if has_pipeline:
            tokenizer.file_assets = [PIPELINE_FILE]
        return tokenizer

    def _require_pipeline(self):
        if getattr(self, "pipeline", None) is None:
            raise ValueError(
                "The tokenizer has no vocabulary yet. Pass `vocabulary`, or "
                "load it with `from_preset`."
            )
        return self.pipeline

    def _encode(self, method, texts, special_tokens):
        encode = getattr(self._require_pipeline(), method)
        is_one = isinstance(texts, (str, bytes))
        for text in [texts] if is_one else texts:
            if is_one or not isinstance(text, str):
                raise TypeError(
                    "`texts` must be a list of strings; if it is one, put it "
                    f"in a list. Received type {type(text).__name__}: {text!r}."
                )
        if special_tokens is None:
            special_tokens = self.special_tokens_in_strings
        return encode(texts, bool(special_tokens))

    def _tokenize_flat(self, texts):
        rows, pad = self.encode_batch(texts), self.pad_token_id
        if self._is_string:
            tokens, pad = self.pipeline.tokens, self.pad_token
            rows = [[tokens[id] for id in row] for row in rows]
        length = self.sequence_length
        if length:
            rows = [(row + [pad] * length)[:length] for row in rows]
        return rows


def _to_lists(inputs, kind):
    """Arrays and tensors, also within lists, -> lists of str or int."""
    if isinstance(inputs, (list, tuple)):
        return [_to_lists(item, kind) for item in inputs]
    if hasattr(inputs, "to_list"):  # a ragged tensor
        return _to_lists(inputs.to_list(), kind)
    if keras.ops.is_tensor(inputs):
        inputs = keras.ops.convert_to_numpy(inputs)
    if hasattr(inputs, "__array__"):
        return _to_lists(np.asarray(inputs).tolist(), kind)
    if kind is str and isinstance(inputs, bytes):
        inputs = inputs.decode("utf-8", errors="ignore")
    if isinstance(inputs, kind):
        return inputs
    what = "strings" if kind is str else "integer token ids"
    raise TypeError(
        f"`inputs` must be {what}, also in lists, arrays or tensors. "
        f"Received an item of type {type(inputs).__name__}: {inputs!r}."
    )
