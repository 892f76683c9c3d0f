"""Text -> token ids by a pipeline of the `tokenizers` package, without Keras.

Any `tokenizer.json` is obeyed as it is. As words of the original never reach
across white space, it remembers the ids of what lies between: some 20 MB.
"""

import functools
import hashlib
import json
import unicodedata
from itertools import chain
from typing import Any

from tokenizers import Tokenizer

from keras_electra.text import original
from keras_electra.text.original import SPECIAL_TOKENS
from keras_electra.text.original import without_surrogates

# Names of `SPECIAL_TOKENS` in tokenizers of other kinds, without brackets.
ROLES = [["pad"], ["unk"], ["cls", "s", "bos"], ["sep", "/s", "eos"], ["mask"]]
# Our settings -> fields of the package's `BertNormalizer`.
SETTINGS = {
    "lowercase": "lowercase",
    "strip_accents": "strip_accents",
    "split_on_cjk": "handle_chinese_chars",
}
MEMORY_SIZE = 2**17  # parts of texts
MEMORY_KEY_LENGTH = 64  # characters; longer parts hardly come twice


class Pipeline:
    """What a `tokenizer.json` does to texts; it can be pickled.

    Attributes:
        content: str, the argument, which must be the text of such a file.
        ids, tokens: dict from token to id, list of the tokens by id.
        settings: dict of `lowercase`, `strip_accents` and `split_on_cjk`.
        strips: bool. Whether accents are taken off.
        is_word_piece: bool. Whether `tokens` is a vocabulary as of BERT.
        is_original: bool. Whether it is what `original.tokenizer` makes.
        max_length: int. Tokens that the file cuts texts to, or `None`.
    """

    def __init__(self, content: Any):
        self.content = content
        try:
            data = json.loads(content)
            for token in data.get("added_tokens", ()):  # found in any text
                is_role = _bare(token["content"]) in chain(*ROLES)
                if token["special"] and not is_role:
                    token["special"], content = False, None
            content = content or json.dumps(data)
            # With and without special tokens, each made when it is asked for.
            self._memory = functools.cache(functools.partial(_Memory, content))
            tokenizer = self._memory(False).tokenizer
        except Exception as error:  # the package raises nothing narrower
            raise ValueError(f"This is no tokenizer.json: {error}.") from error
        self.ids = tokenizer.get_vocab()
        self.tokens = sorted(self.ids, key=self.ids.get)
        self.max_length = (data.get("truncation") or {}).get("max_length")
        if sorted(self.ids.values()) != list(range(len(self.ids))):
            raise ValueError(
                "The ids in a tokenizer.json must be 0, 1, 2, ... each once. "
                f"{len(self.ids)} have ids up to {max(self.ids.values())}."
            )
        steps = {step["type"]: step for step in _steps(data.get("normalizer"))}
        bert = steps.get("BertNormalizer", {})
        self.settings = {
            "lowercase": bert.get("lowercase") or "Lowercase" in steps,
            "strip_accents": bert.get("strip_accents", "StripAccents" in steps),
            "split_on_cjk": bert.get("handle_chinese_chars", False),
        }
        lowers, strips, _ = self.settings.values()
        self.strips = lowers if strips is None else strips
        model = tokenizer.model  # a file need not say its type
        prefix = getattr(model, "continuing_subword_prefix", None)
        is_word_piece = type(model).__name__ == "WordPiece"
        self.is_word_piece = is_word_piece and prefix == original.SUFFIX_PREFIX
        self.is_original = (
            self.is_word_piece
            and self.ids.keys() >= set(SPECIAL_TOKENS)
            and not (data.get("truncation") or data.get("padding"))
            and tokenizer.to_str() == self._original()
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Pipeline, (self.content,)  # what is remembered stays behind

    def _original(self, **settings):
        settings = {**self.settings, **settings}
        return original.tokenizer(self.tokens, **settings).to_str()

    def adjust(self, **settings: Any) -> Any:
        """A `Pipeline` with these settings, but for those that are `None`."""
        given = {k: v for k, v in settings.items() if v is not None}
        if given.items() <= self.settings.items():
            return self
        if self.is_original:
            return Pipeline(self._original(**given))
        data = json.loads(self.content)
        for step in _steps(data.get("normalizer")):
            if step["type"] == "BertNormalizer":
                step.update({SETTINGS[name]: v for name, v in given.items()})
        changed = Pipeline(json.dumps(data, ensure_ascii=False))
        for name, value in given.items():
            if changed.settings[name] != value:
                raise ValueError(
                    f"`{name}={value!r}` cannot be obeyed: the tokenizer.json "
                    "has no `BertNormalizer`. Leave it out, or change the file."
                )
        return changed

    def special_tokens(self) -> list[Any]:
        """The tokens that are what `SPECIAL_TOKENS` are to the original."""
        known = {}
        for token in (*self.tokens, *SPECIAL_TOKENS):  # these win
            if token[:1] in ("[", "<") and token in self.ids:
                known[_bare(token)] = token
        found = [[known[n] for n in role if n in known] for role in ROLES]
        around = self._memory(False).tokenizer.encode("").tokens
        if len(around) == 2:
            found[2:4] = [[token] for token in around]
        if [] in found:
            raise ValueError(
                "The tokenizer.json must have the special token "
                f"{SPECIAL_TOKENS[found.index([])]}, in brackets of any kind."
            )
        return [tokens[0] for tokens in found]

    def fingerprint(self, special_tokens: Any) -> Any:
        """What identifies the ids it gives: 16 hex digits."""
        content = [json.loads(self.content)]
        if self.is_original:
            settings = {**self.settings, "strip_accents": self.strips}
            content = [self.tokens, list(settings.values())]
        content = json.dumps([*content, bool(special_tokens)])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def encode(self, texts: Any, special_tokens: bool = False) -> list[Any]:
        """Ids of texts, and of special tokens written in them, if asked for."""
        memory = self._memory(special_tokens)
        if self.is_original:
            split, ids = original.split_at_spaces, memory.__getitem__
            return [
                list(chain.from_iterable(map(ids, split(text))))
                for text in texts
            ]
        rows = memory.tokenizer.encode_batch_fast(
            list(map(without_surrogates, texts)), add_special_tokens=False
        )
        return [row.ids for row in rows]

    def encode_with_offsets(self, texts, special_tokens=False):
        """Ids of texts, and `(start, end)` in its text of each of them."""
        rows = self._memory(special_tokens).tokenizer.encode_batch(
            list(map(without_surrogates, texts)), add_special_tokens=False
        )
        offsets = [row.offsets for row in rows]
        if self.strips:
            offsets = list(map(_with_marks, texts, offsets))
        return [row.ids for row in rows], offsets

    def join(self, tokens: Any) -> Any:
        """The text that a list of tokens is read as."""
        decoder = self._memory(False).tokenizer.decoder
        return decoder.decode(tokens) if decoder else " ".join(tokens)


class _Memory(dict):
    """From a part of a text to its ids; emptied whenever it is full."""

    def __init__(self, content, special_tokens):
        self.tokenizer = Tokenizer.from_str(content)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.tokenizer.encode_special_tokens = not special_tokens

    def __missing__(self, part):
        text = without_surrogates(part)
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        if len(part) <= MEMORY_KEY_LENGTH:
            if len(self) >= MEMORY_SIZE:
                self.clear()
            self[part] = tuple(ids)
        return ids


def _bare(token):
    return token.strip("[]<>|").lower()


def _steps(normalizer):
    """A normalizer of a file, or the steps of a sequence of them."""
    if normalizer and normalizer["type"] == "Sequence":
        return [s for part in normalizer["normalizers"] for s in _steps(part)]
    return [normalizer] if normalizer else []


def _with_marks(text, offsets):
    """Offsets with the marks that were taken off: they are their letter's."""
    if text.isascii():
        return offsets
    stretched = []
    for start, end in offsets:
        while unicodedata.category(text[end : end + 1] or " ") == "Mn":
            end += 1
        stretched.append((start, end))
    return stretched
