"""ElectraTokenizer: text <-> ids, with the ids of the original program.

It is a KerasHub tokenizer: it is saved in presets and found by KerasHub's
`from_preset`. Where KerasHub's WordPiece differs from the original (control
characters, case folding, long words), the original is followed. The work is
done by `WordPieceEncoder`, in plain Python on every backend; inside a `tf.data`
pipeline TensorFlow calls back into it. Price: such a graph runs only in the
process that made it and cannot be exported with the model.
"""

import hashlib
import json
import os

import keras
import keras_hub
import numpy as np

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets import OpensPresets
from keras_electra.text.nested import check_texts
from keras_electra.text.nested import map_sequences
from keras_electra.text.nested import map_strings
from keras_electra.text.normalization import WordSplitter
from keras_electra.text.vocabulary_file import SPECIAL_TOKENS
from keras_electra.text.vocabulary_file import load_vocabulary
from keras_electra.text.vocabulary_file import write_vocabulary
from keras_electra.text.word_pieces import WordPieceEncoder
from keras_electra.text.word_pieces import join_pieces

VOCABULARY_FILE = "vocabulary.txt"


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTokenizer(OpensPresets, keras_hub.tokenizers.Tokenizer):
    """WordPiece tokenizer of ELECTRA.

    Called on a string it returns a 1-d integer array, called on a list of
    strings a list of lists of integers; with `sequence_length` dense arrays
    of shape `(sequence_length,)` and `(batch, sequence_length)`. In a graph of
    TensorFlow the results are tensors, ragged ones in place of lists. It adds
    no `[CLS]` and `[SEP]`; preprocessors do.

    Args:
        vocabulary: list of str, path of a file with one token a line, or
            `None` if it is loaded later from a preset. It must contain
            `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`, anywhere.
        lowercase: bool. Whether to lower the text. Defaults to `False`.
        strip_accents: bool or `None`. Whether to take accents off. Defaults
            to `None`, the same as `lowercase`, as in BERT.
        split_on_cjk: bool. Whether each CJK character is a word. Defaults to
            `True`.
        special_tokens_in_strings: bool. Whether `"[MASK]"` and the like in a
            text become the special token. Defaults to `False`: they are
            brackets and letters, as in the original.
        sequence_length: int or `None`. Tokens to which sequences are cut or
            padded with `[PAD]`. Defaults to `None`, neither.
        dtype: str. An integer type, or `"string"` for tokens in place of
            ids. Defaults to `"int32"`.

    Raises:
        ValueError: if the vocabulary lacks a special token or has an entry
            twice, or if its file is not UTF-8 text.
        FileNotFoundError: if there is no such file.

    Example:

    ```python
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary += ["the", "chef", "cook", "##ed"]
    tokenizer = keras_electra.ElectraTokenizer(vocabulary, lowercase=True)
    tokenizer("The chef cooked")  # array([5, 6, 7, 8])
    tokenizer.encode_with_offsets(["The chef"])  # [[5, 6]], [[(0, 3), (4, 8)]]
    ```
    """

    backbone_cls = ElectraBackbone

    def __init__(
        self,
        vocabulary=None,
        lowercase=False,
        strip_accents=None,
        split_on_cjk=True,
        special_tokens_in_strings=False,
        sequence_length=None,
        dtype="int32",
        **kwargs,
    ):
        self._add_special_token("[PAD]", "pad_token")
        self._add_special_token("[UNK]", "unk_token")
        self._add_special_token("[CLS]", "cls_token")
        self._add_special_token("[SEP]", "sep_token")
        self._add_special_token("[MASK]", "mask_token")
        # Names that other KerasHub tokenizers use for the same.
        self._add_special_token("[CLS]", "start_token")
        self._add_special_token("[SEP]", "end_token")
        super().__init__(dtype=dtype, **kwargs)
        self._is_string = self.compute_dtype == "string"
        if not self._is_string and "int" not in self.compute_dtype:
            raise ValueError(
                '`dtype` must be an integer type or "string". '
                f"Received: dtype={dtype!r}."
            )
        self.lowercase = lowercase
        self.strip_accents = strip_accents
        self.split_on_cjk = split_on_cjk
        self.special_tokens_in_strings = special_tokens_in_strings
        self.sequence_length = sequence_length
        self.file_assets = [VOCABULARY_FILE]
        # It has no weights; `quantize` of a task refuses unbuilt layers.
        self.built = True
        self.set_vocabulary(vocabulary)

    def set_vocabulary(self, vocabulary):
        """Set the vocabulary: list of str, path, or `None` for none yet."""
        if vocabulary is None:
            self._encoder = None
            return
        self._encoder = WordPieceEncoder(
            load_vocabulary(vocabulary),
            WordSplitter(self.lowercase, self.strip_accents, self.split_on_cjk),
            self.unk_token,
            SPECIAL_TOKENS,
        )
        self._update_special_token_ids()

    def tokenize(self, inputs):
        """Tokenize a string or any nesting of strings.

        Args:
            inputs: str, list of str (nested or not), array or tensor of
                strings.

        Returns:
            See the class. The nesting of `inputs` stays.

        Raises:
            TypeError: if `inputs` holds something that is not a string.
        """
        self._require_encoder()
        # The only place outside of training that may meet TensorFlow graphs.
        from keras_electra.backend import graph_text

        if graph_text.is_in_graph():
            return graph_text.numpy_function(
                self._tokenize_flat,
                inputs,
                dtype=self.compute_dtype,
                sequence_length=self.sequence_length,
            )
        tokens, is_scalar = map_strings(self._tokenize_flat, inputs)
        length = self.sequence_length or 0
        if self._is_string or not (is_scalar or length):
            return tokens
        tokens = np.array(tokens, dtype=self.compute_dtype)
        if not is_scalar and not len(tokens):
            return tokens.reshape(0, length)
        return tokens

    def encode_batch(self, texts, special_tokens=None):
        """Encode many texts, the fast way.

        Args:
            texts: list of str.
            special_tokens: bool or `None`. Whether special tokens written in
                a text become their ids. Defaults to `None`, the setting
                `special_tokens_in_strings`.

        Returns:
            List of lists of int, whatever `dtype` and `sequence_length` are.

        Raises:
            TypeError: if `texts` is not a list of strings.
        """
        encoder = self._require_encoder()
        check_texts(texts)
        if special_tokens is None:
            special_tokens = self.special_tokens_in_strings
        return [encoder.encode(text, special_tokens) for text in texts]

    def encode_with_offsets(self, texts, special_tokens=None):
        """Encode many texts and say where their tokens came from.

        Args:
            texts: list of str.
            special_tokens: bool or `None`. See `encode_batch`.

        Returns:
            `(ids, offsets)`: list of lists of int, and list of lists of
            `(start, end)`, so that `text[start:end]` is the part of the
            original text that the token stands for. Accents taken off belong
            to their letter.

        Raises:
            TypeError: if `texts` is not a list of strings.
        """
        encoder = self._require_encoder()
        check_texts(texts)
        if special_tokens is None:
            special_tokens = self.special_tokens_in_strings
        pairs = [
            encoder.encode_with_offsets(text, special_tokens) for text in texts
        ]
        return [ids for ids, _ in pairs], [offsets for _, offsets in pairs]

    def detokenize(self, inputs):
        """Join tokens to readable text.

        Pieces are joined to words and words with spaces. Special tokens stay
        in the text, as in KerasHub. It is no exact inverse: case, accents and
        spaces around punctuation are gone.

        Args:
            inputs: ids of one sequence or of a batch: list, list of lists,
                array or tensor.

        Returns:
            str, or list of str for a batch.
        """
        self._require_encoder()
        return map_sequences(self._join, inputs)

    def get_vocabulary(self):
        """The vocabulary as a list of str, by id."""
        return list(self._require_encoder().tokens)

    def vocabulary_size(self):
        """Number of tokens in the vocabulary."""
        return len(self._require_encoder().tokens)

    def id_to_token(self, id):
        """The token (str) of an id (int); `ValueError` if out of range."""
        return self._require_encoder().id_to_token(id)

    def token_to_id(self, token):
        """The id (int) of a token (str); `ValueError` if it has none."""
        return self._require_encoder().token_to_id(token)

    def fingerprint(self):
        """What identifies the ids this tokenizer gives: 16 hex digits.

        Two tokenizers with the same fingerprint encode every text alike.
        """
        encoder = self._require_encoder()
        content = [
            encoder.tokens,
            encoder.splitter.settings,
            bool(self.special_tokens_in_strings),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def save_assets(self, dir_path):
        path = os.path.join(dir_path, VOCABULARY_FILE)
        write_vocabulary(path, self.get_vocabulary())

    def load_assets(self, dir_path):
        self.set_vocabulary(os.path.join(dir_path, VOCABULARY_FILE))

    def call(self, inputs, *args, training=None, **kwargs):
        return self.tokenize(inputs)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "vocabulary": None,  # saved as an asset
                "lowercase": self.lowercase,
                "strip_accents": self.strip_accents,
                "split_on_cjk": self.split_on_cjk,
                "special_tokens_in_strings": self.special_tokens_in_strings,
                "sequence_length": self.sequence_length,
            }
        )
        return config

    @classmethod
    def from_config(cls, config):
        if isinstance(config.get("vocabulary"), str):
            # Ours never has one; a made-up one could read any file.
            raise ValueError(
                "The config of a saved tokenizer must not name a vocabulary "
                f"file. Received: vocabulary={config['vocabulary']!r}. Pass "
                "the path to the constructor instead."
            )
        return super().from_config(config)

    def __reduce__(self):
        # For worker processes. What the encoder remembers stays behind.
        vocabulary = self.get_vocabulary() if self._encoder else None
        return _rebuild, (type(self), self.get_config(), vocabulary)

    def _require_encoder(self):
        if getattr(self, "_encoder", None) is None:
            raise ValueError(
                "The tokenizer has no vocabulary yet. Pass `vocabulary` to "
                "the constructor, or load the tokenizer with `from_preset`."
            )
        return self._encoder

    def _join(self, ids):
        return join_pieces(self.id_to_token(id) for id in ids)

    def _tokenize_flat(self, texts):
        rows = self.encode_batch(texts)
        if self._is_string:
            rows = [[self._encoder.tokens[id] for id in row] for row in rows]
        length = self.sequence_length
        if length:
            pad = self.pad_token if self._is_string else self.pad_token_id
            padding = [pad] * length
            rows = [(row + padding)[:length] for row in rows]
        return rows


def _rebuild(cls, config, vocabulary):
    tokenizer = cls.from_config(config)
    tokenizer.set_vocabulary(vocabulary)
    return tokenizer
