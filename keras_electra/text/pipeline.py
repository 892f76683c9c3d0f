"""Text -> token ids by a pipeline of the `tokenizers` package, without Keras.

Any `tokenizer.json` is obeyed as it is. The original program's tokenizer is
written in steps of the package; it ran under Unicode 11.0, which the file
`unicode_11.txt` and the patterns below stand for. As its words never reach
across white space, the ids of what lies between are remembered: some 20 MB.
"""

import functools
import hashlib
import json
import pathlib
import re
import unicodedata
from bisect import bisect_right
from itertools import chain
from typing import Any

from tokenizers import Regex
from tokenizers import Tokenizer
from tokenizers import decoders
from tokenizers import models
from tokenizers import normalizers
from tokenizers import pre_tokenizers
from tokenizers import processors

# In this order and at the start, as in the original's vocabularies; only our
# own vocabularies rely on it, ids are always looked up.
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Their names in tokenizers of other kinds, without brackets.
ROLES = [["pad"], ["unk"], ["cls", "s", "bos"], ["sep", "/s", "eos"], ["mask"]]
# Our settings -> fields of the package's `BertNormalizer`.
SETTINGS = {
    "lowercase": "lowercase",
    "strip_accents": "strip_accents",
    "split_on_cjk": "handle_chinese_chars",
}
MAX_WORD_LENGTH = 200  # characters; longer words are [UNK], as in the original
SUFFIX_PREFIX = "##"
MEMORY_SIZE = 2**17  # parts of texts
MEMORY_KEY_LENGTH = 64  # characters; longer parts hardly come twice

# The package's marks, punctuation and CJK end at Unicode 8.0, less a block.
MARKS = r"[\p{Mn}&&[^\x{A9BD}]]"
# It has a lower case of its own, which the package does not know.
SIGMA = r"(?<=\p{Cased}\p{Case_Ignorable}*)Σ(?!\p{Case_Ignorable}*\p{Cased})"
# Python splits at these, but the original drops them as control characters.
DROPPED_SPACES = "\x0b\x0c\x1c\x1d\x1e\x1f\x85"
ASCII_WORDS = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")
SURROGATES = re.compile("[\ud800-\udfff]")

# First code points of the spans that are dropped, kept, dropped, ...
BOUNDARIES = []
_table = pathlib.Path(__file__).with_name("unicode_11.txt").read_text("utf-8")
for _span in re.sub("#.*", "", _table).split():
    _first, _, _last = _span.partition("-")
    BOUNDARIES += [int(_first, 16), int(_last or _first, 16) + 1]


def is_dropped(code_point: Any) -> Any:
    """Whether the original drops this code point (int) from every text."""
    return bisect_right(BOUNDARIES, code_point) % 2 == 1


def original_tokenizer(
    tokens: Any,
    lowercase: bool = False,
    strip_accents: bool | None = None,
    split_on_cjk: bool | None = None,
    drops_younger: bool = True,
) -> Any:
    """The original's `tokenizers.Tokenizer` of `tokens`, its vocabulary.

    The settings are those of `ElectraTokenizer`. With `drops_younger`, as
    there, characters younger than Unicode 11.0 go, unless `tokens` have them.
    """
    splits_cjk = split_on_cjk is None or bool(split_on_cjk)
    steps = []
    if drops_younger:
        kept = sorted(c for c in set("".join(tokens)) if is_dropped(ord(c)))
        pattern = "".join(rf"(?!\x{{{ord(c):X}}})" for c in kept) + "["
        for first, end in zip(BOUNDARIES[::2], BOUNDARIES[1::2]):
            if first != 0xD800:  # surrogates never get there
                pattern += rf"\x{{{first:X}}}-\x{{{end - 1:X}}}"
        steps.append((pattern + "]", ""))
    if lowercase if strip_accents is None else strip_accents:
        steps.append((MARKS, ""))
    if lowercase:
        steps.append((SIGMA, "ς"))
    steps = [normalizers.Replace(Regex(old), new) for old, new in steps]
    strips = None if strip_accents is None else bool(strip_accents)
    settings = {"strip_accents": strips, "lowercase": bool(lowercase)}
    settings["handle_chinese_chars"] = splits_cjk
    alone = Regex(r"[\p{P}" + r"\x{2B820}-\x{2B91F}" * splits_cjk + "]")
    split = pre_tokenizers.Split(alone, "isolated")
    ids = {token: id for id, token in enumerate(tokens)}
    most = {"max_input_chars_per_word": MAX_WORD_LENGTH}
    made = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", **most))
    bert = normalizers.BertNormalizer(**settings)
    made.normalizer = normalizers.Sequence([*steps, bert])
    words = [split, pre_tokenizers.BertPreTokenizer()]
    made.pre_tokenizer = pre_tokenizers.Sequence(words)
    ends = [(token, ids[token]) for token in ("[SEP]", "[CLS]")]
    made.post_processor = processors.BertProcessing(*ends)
    made.decoder = decoders.WordPiece(cleanup=False)
    made.add_special_tokens(list(SPECIAL_TOKENS))
    return made


def word_splitter(lowercase: bool = False, *settings: Any) -> Any:
    """A function from a text to its words, by settings of the original's."""
    given = SPECIAL_TOKENS, lowercase, *settings
    steps = original_tokenizer(*given, drops_younger=False)

    def split(text):
        if text.isascii() and text.isprintable():  # the same, faster
            return ASCII_WORDS.findall(text.lower() if lowercase else text)
        text = steps.normalizer.normalize_str(without_surrogates(text))
        return [w for w, _ in steps.pre_tokenizer.pre_tokenize_str(text)]

    return split


def split_at_spaces(text: Any) -> Any:
    """Parts (list of str) of a text; words never reach across them."""
    is_odd = any(character in text for character in DROPPED_SPACES)
    return [text] if is_odd else text.split()


def without_surrogates(text: Any) -> Any:
    """A text of the same length that the package takes."""
    return text if text.isascii() else SURROGATES.sub("\ufffd", text)


class Pipeline:
    """What a `tokenizer.json` does to texts; it can be pickled.

    Attributes:
        content: str, the argument, which must be the text of such a file.
        ids, tokens: dict from token to id, list of the tokens by id.
        settings: dict of `lowercase`, `strip_accents` and `split_on_cjk`.
        strips: bool. Whether accents are taken off.
        is_word_piece: bool. Whether `tokens` is a vocabulary as of BERT.
        is_original: bool. Whether it is what `original_tokenizer` makes.
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
        self.ids: Any = tokenizer.get_vocab()
        self.tokens: Any = sorted(self.ids, key=self.ids.get)
        self.max_length: Any = (data.get("truncation") or {}).get("max_length")
        if sorted(self.ids.values()) != list(range(len(self.ids))):
            raise ValueError(
                "The ids in a tokenizer.json must be 0, 1, 2, ... each once. "
                f"{len(self.ids)} have ids up to {max(self.ids.values())}."
            )
        steps = {step["type"]: step for step in _steps(data.get("normalizer"))}
        bert = steps.get("BertNormalizer", {})
        self.settings: dict[str, Any] = {
            "lowercase": bert.get("lowercase") or "Lowercase" in steps,
            "strip_accents": bert.get("strip_accents", "StripAccents" in steps),
            "split_on_cjk": bert.get("handle_chinese_chars", False),
        }
        lowers, strips, _ = self.settings.values()
        self.strips: Any = lowers if strips is None else strips
        model = tokenizer.model  # a file need not say its type
        prefix = getattr(model, "continuing_subword_prefix", None)
        is_word_piece = isinstance(model, models.WordPiece)
        self.is_word_piece = is_word_piece and prefix == SUFFIX_PREFIX
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
        return original_tokenizer(self.tokens, **settings).to_str()

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
            ids, join = memory.__getitem__, chain.from_iterable
            return [list(join(map(ids, split_at_spaces(t)))) for t in texts]
        return [row.ids for row in self._rows(texts, special_tokens)]

    def encode_with_offsets(self, texts, special_tokens=False):
        """Ids of texts, and `(start, end)` in its text of each of them."""
        rows = self._rows(texts, special_tokens, "encode_batch")
        offsets = [row.offsets for row in rows]
        if self.strips:
            offsets = list(map(_with_marks, texts, offsets))
        return [row.ids for row in rows], offsets

    def _rows(self, texts, special_tokens, how="encode_batch_fast"):
        encode = getattr(self._memory(special_tokens).tokenizer, how)
        texts = list(map(without_surrogates, texts))
        return encode(texts, add_special_tokens=False)

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
