"""The tokenizer of the original program in steps of the `tokenizers` package.

It ran under Unicode 11.0, which `unicode_11.txt` and the patterns below stand
for. Nothing here imports Keras.
"""

import pathlib
import re
from bisect import bisect_right
from typing import Any

import tokenizers
from tokenizers import Regex
from tokenizers import normalizers
from tokenizers import pre_tokenizers

# In this order and at the start, as in the original's vocabularies; only our
# own vocabularies rely on it, ids are always looked up.
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_WORD_LENGTH = 200  # characters; longer words are [UNK], as in the original
SUFFIX_PREFIX = "##"

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


def tokenizer(
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
    replaced = []
    if drops_younger:
        kept = sorted(c for c in set("".join(tokens)) if is_dropped(ord(c)))
        pattern = "".join(rf"(?!\x{{{ord(c):X}}})" for c in kept) + "["
        for first, end in zip(BOUNDARIES[::2], BOUNDARIES[1::2]):
            if first != 0xD800:  # surrogates never get there
                pattern += rf"\x{{{first:X}}}-\x{{{end - 1:X}}}"
        replaced.append((pattern + "]", ""))
    if lowercase if strip_accents is None else strip_accents:
        replaced.append((MARKS, ""))
    if lowercase:
        replaced.append((SIGMA, "ς"))
    steps = [normalizers.Replace(Regex(old), new) for old, new in replaced]
    bert = normalizers.BertNormalizer(
        handle_chinese_chars=splits_cjk,
        strip_accents=None if strip_accents is None else bool(strip_accents),
        lowercase=bool(lowercase),
    )
    alone = Regex(r"[\p{P}" + r"\x{2B820}-\x{2B91F}" * splits_cjk + "]")
    split = pre_tokenizers.Split(alone, "isolated")
    ids = {token: id for id, token in enumerate(tokens)}
    model = tokenizers.models.WordPiece(
        ids, unk_token="[UNK]", max_input_chars_per_word=MAX_WORD_LENGTH
    )
    made = tokenizers.Tokenizer(model)
    made.normalizer = normalizers.Sequence([*steps, bert])
    words = [split, pre_tokenizers.BertPreTokenizer()]
    made.pre_tokenizer = pre_tokenizers.Sequence(words)
    ends = [(token, ids[token]) for token in ("[SEP]", "[CLS]")]
    made.post_processor = tokenizers.processors.BertProcessing(*ends)
    made.decoder = tokenizers.decoders.WordPiece(cleanup=False)
    made.add_special_tokens(list(SPECIAL_TOKENS))
    return made


def word_splitter(*settings: Any) -> Any:
    """A function from a text to its words, by the settings of `tokenizer`."""
    steps = tokenizer(SPECIAL_TOKENS, *settings, drops_younger=False)
    lowers = any(settings[:1])

    def split(text):
        if text.isascii() and text.isprintable():  # the same, faster
            return ASCII_WORDS.findall(text.lower() if lowers else text)
        text = steps.normalizer.normalize_str(without_surrogates(text))
        return [w for w, _ in steps.pre_tokenizer.pre_tokenize_str(text)]

    return split


def split_at_spaces(text: Any) -> Any:
    """Parts (list of str) of a text; words never reach across them."""
    if any(character in text for character in DROPPED_SPACES):
        return [text]
    return text.split()


def without_surrogates(text: Any) -> Any:
    """A text of the same length that the package takes."""
    return text if text.isascii() else SURROGATES.sub("\ufffd", text)
