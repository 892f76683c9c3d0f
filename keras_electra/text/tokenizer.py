"""ElectraTokenizer: text <-> ids, with the ids of the original program.

A pipeline of the `tokenizers` package does the work, on every backend. Price:
a `tf.data` pipeline, where TensorFlow calls back into it, cannot be exported.
"""

import os
from typing import Any

import keras
import keras_hub
import numpy as np

from keras_electra.backend import graph_text
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets_saving import SavesParts
from keras_electra.text import vocabulary as vocabularies
from keras_electra.text.pipeline import SETTINGS
from keras_electra.text.pipeline import SPECIAL_TOKENS
from keras_electra.text.pipeline import Pipeline
from keras_electra.text.pipeline import original_tokenizer

VOCABULARY_FILE, PIPELINE_FILE = "vocabulary.txt", "tokenizer.json"


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTokenizer(SavesParts, keras_hub.tokenizers.Tokenizer):
    """Tokenizer of ELECTRA: WordPiece, or what a `tokenizer.json` says.

    Called on a str it returns a 1-d array of int, on a list of str a list of
    lists of int or, with `sequence_length`, an array `(batch,
    sequence_length)`; in graphs of TensorFlow, tensors. It adds no `[CLS]`.

    Args:
        vocabulary: list of str or path of a file with one token a line; it
            must have `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`. Or the
            path of any `tokenizer.json`, obeyed and saved as it is but for
            settings given here, which its `BertNormalizer` then follows.
            `None`: it is loaded from a preset later.
        lowercase: bool. Whether to lower the text. Defaults to `False`.
        strip_accents: bool. Whether accents go, by default as `lowercase`.
        split_on_cjk: bool. Whether each CJK character is a word. Defaults to
            `True`. These three default to what a `tokenizer.json` says.
        special_tokens_in_strings: bool. Whether `"[MASK]"` and the like in a
            text become the special token. Defaults to `False`, as there.
        sequence_length: int. Tokens to cut or pad to. Defaults to `None`.
        dtype: str. An integer type, by default `"int32"`, or `"string"`.

    A `ValueError` for a damaged vocabulary or a setting that cannot be obeyed.
    """

    backbone_cls = ElectraBackbone
    _pipeline = None

    def __init__(
        self,
        vocabulary: object = None,
        lowercase: bool | None = None,
        strip_accents: bool | None = None,
        split_on_cjk: bool | None = None,
        special_tokens_in_strings: bool = False,
        sequence_length: int | None = None,
        dtype: object = "int32",
        **kwargs: object,
    ) -> None:
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

    def set_vocabulary(self, vocabulary: object) -> None:
        """Set the vocabulary: see the class; or a `Pipeline`."""
        self._pipeline = None
        if vocabulary is None:
            return
        settings = {name: getattr(self, name) for name in SETTINGS}
        if str(vocabulary).endswith(".json"):
            vocabulary = vocabularies.read_pipeline(vocabulary)
        elif not isinstance(vocabulary, Pipeline):
            tokens = vocabularies.load_vocabulary(vocabulary)
            made = original_tokenizer(tokens, **settings)
            vocabulary = Pipeline(made.to_str())
        pipeline = vocabulary.adjust(**settings)
        self._name_special_tokens(pipeline.special_tokens())
        for name, value in pipeline.settings.items():
            setattr(self, name, value)
        is_plain = pipeline.is_original
        self.file_assets = [VOCABULARY_FILE if is_plain else PIPELINE_FILE]
        self._pipeline = pipeline
        self._update_special_token_ids()

    def _name_special_tokens(self, tokens):
        self._special_token_attrs = []
        for name, token in zip(("pad", "unk", "cls", "sep", "mask"), tokens):
            self._add_special_token(token, f"{name}_token")
        # Names that other KerasHub tokenizers use for the same.
        self._add_special_token(self.cls_token, "start_token")
        self._add_special_token(self.sep_token, "end_token")

    @property
    def pipeline(self) -> object:
        """The `Pipeline` at work; a `ValueError` if there is none yet."""
        if self._pipeline is None:
            raise ValueError(
                "The tokenizer has no vocabulary yet: pass `vocabulary`, or "
                "load it by `from_preset`."
            )
        return self._pipeline

    def tokenize(self, inputs: object) -> object:
        """Tokenize a string or any nesting, array or tensor of strings.

        The nesting stays. Of bytes, what is no UTF-8 is skipped, as there.
        """
        flat, length = self._tokenize_flat, self.sequence_length
        if graph_text.is_in_graph():
            dtype = self.compute_dtype
            return graph_text.numpy_function(flat, inputs, dtype, length)
        nested = _to_lists(inputs, str)
        tokens = flat(keras.tree.flatten(nested))
        tokens = keras.tree.pack_sequence_as(nested, tokens)
        if self._is_string or not (length or isinstance(nested, str)):
            return tokens
        tokens = np.array(tokens, dtype=self.compute_dtype)
        return tokens if nested != [] else tokens.reshape(0, length)

    def call(self, inputs, *args, training=None, **kwargs):
        return self.tokenize(inputs)

    def encode_batch(self, texts: Any, special_tokens: Any = None) -> Any:
        """Ids of texts (list of str): list of lists of int, the fast way.

        `special_tokens` goes before `special_tokens_in_strings`.
        """
        return self.pipeline.encode(*self._check(texts, special_tokens))

    def encode_with_offsets(self, texts, special_tokens=None):
        """As `encode_batch`, and `(start, end)` in its text of each token.

        Returns `(ids, offsets)`. Accents taken off belong to their letter.
        """
        arguments = self._check(texts, special_tokens)
        return self.pipeline.encode_with_offsets(*arguments)

    def _check(self, texts, special_tokens):
        is_one = isinstance(texts, (str, bytes))
        for text in [texts] if is_one else texts:
            if is_one or not isinstance(text, str):
                raise TypeError(
                    "`texts` must be a list of strings; if it is one, put it "
                    f"in a list. Received type {type(text).__name__}: {text!r}."
                )
        if special_tokens is None:
            special_tokens = self.special_tokens_in_strings
        return texts, bool(special_tokens)

    def _tokenize_flat(self, texts):
        rows, pad = self.encode_batch(texts), self.pad_token_id
        if self._is_string:
            tokens, pad = self.pipeline.tokens, self.pad_token
            rows = [[tokens[id] for id in row] for row in rows]
        length = self.sequence_length
        if length:
            rows = [(row + [pad] * length)[:length] for row in rows]
        return rows

    def detokenize(self, inputs: object) -> object:
        """Join ids of a sequence or of a batch to a str or a list of str.

        No exact inverse: case, accents and spaces at punctuation are gone.
        """
        ids = _to_lists(inputs, int)
        if isinstance(ids, list) and any(isinstance(i, list) for i in ids):
            return [self.detokenize(row) for row in ids]
        tokens = map(self.id_to_token, ids if isinstance(ids, list) else [ids])
        return self.pipeline.join(list(tokens))

    def get_vocabulary(self) -> list[str]:
        """The vocabulary as a list of str, by id."""
        return list(self.pipeline.tokens)

    def vocabulary_size(self) -> int:
        """Number of tokens in the vocabulary."""
        return len(self.pipeline.tokens)

    def id_to_token(self, id: int) -> str:
        """The token (str) of an id (int); `ValueError` if out of range."""
        tokens = self.pipeline.tokens
        if 0 <= id < len(tokens):
            return tokens[id]
        raise ValueError(
            f"`id` must be in range [0, {len(tokens) - 1}]. Received: id={id}."
        )

    def token_to_id(self, token: str) -> int:
        """The id (int) of a token (str); `ValueError` if it has none."""
        if token not in self.pipeline.ids:
            raise ValueError(f"The vocabulary has no token {token!r}.")
        return self.pipeline.ids[token]

    def fingerprint(self) -> str:
        """16 hex digits; tokenizers that have the same give the same ids."""
        return self.pipeline.fingerprint(self.special_tokens_in_strings)

    def save_assets(self, dir_path: str) -> None:
        path = os.path.join(dir_path, self.file_assets[0])
        if self.pipeline.is_original:
            vocabularies.write_vocabulary(path, self.pipeline.tokens)
        else:
            vocabularies.write_text(path, self.pipeline.content)

    def load_assets(self, dir_path: str) -> None:
        self.set_vocabulary(os.path.join(dir_path, self.file_assets[0]))

    def get_config(self) -> dict[str, object]:
        names = (*SETTINGS, "special_tokens_in_strings", "sequence_length")
        config = {name: getattr(self, name) for name in names}
        config["vocabulary"] = None  # saved as an asset
        if self.file_assets == [PIPELINE_FILE]:
            config["has_pipeline"] = True
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict[str, object]) -> object:
        if isinstance(config.get("vocabulary"), str):
            raise ValueError(  # it could read any file
                "The config of a saved tokenizer must not name a vocabulary "
                f"file. Received: vocabulary={config['vocabulary']!r}."
            )
        config = dict(config)
        has_pipeline = config.pop("has_pipeline", False)
        tokenizer = super().from_config(config)
        if has_pipeline:
            tokenizer.file_assets = [PIPELINE_FILE]
        return tokenizer


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
