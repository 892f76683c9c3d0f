"""The tokenizer of the original program in steps of the `tokenizers` package.

It ran under Unicode 11.0, which `unicode_11.txt` and the patterns below stand
for. Nothing here imports Keras.
"""

import json
import os
import re
from bisect import bisect_right

from tokenizers import Tokenizer

# In this order and at the start, as in the original's vocabularies; only our
# own vocabularies rely on it, ids are always looked up.
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_WORD_LENGTH = 200  # characters; longer words are [UNK], as in the original
SUFFIX_PREFIX = "##"

# The package's own nonspacing marks, punctuation and CJK characters lack what
# is younger than Unicode 8.0, and a block.
MARKS = r"[\p{Mn}&&[^\x{A9BD}]]"
PUNCTUATION, MORE_CJK = r"\p{P}", r"\x{2B820}-\x{2B91F}"
# It has a lower case of its own, which the package does not know.
FINAL_SIGMA = (
    r"(?<=\p{Cased}\p{Case_Ignorable}*)Σ(?!\p{Case_Ignorable}*\p{Cased})"
)
# Python splits at these, but the original drops them as control characters.
DROPPED_SPACES = "\x0b\x0c\x1c\x1d\x1e\x1f\x85"
ASCII_WORDS = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")
SURROGATES = re.compile("[\ud800-\udfff]")

# First code points of the spans that are dropped, kept, dropped, ...
BOUNDARIES = []
_folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(_folder, "unicode_11.txt"), encoding="utf-8") as _file:
    for _span in re.sub("#.*", "", _file.read()).split():
        _first, _, _last = _span.partition("-")
        BOUNDARIES += [int(_first, 16), int(_last or _first, 16) + 1]


def is_dropped(code_point):
    """Whether the original drops this code point (int) from every text."""
    return bisect_right(BOUNDARIES, code_point) % 2 == 1


def original(
    tokens,
    lowercase=False,
    strip_accents=None,
    split_on_cjk=True,
    drops_younger=True,
):
    """The pipeline of the original, a dict as in `tokenizer.json`.

    Args:
        tokens: list of str. The vocabulary, with `SPECIAL_TOKENS`.
        lowercase, strip_accents, split_on_cjk: see `ElectraTokenizer`.
        drops_younger: bool. Whether characters younger than Unicode 11.0 are
            dropped, as there, unless `tokens` have them, such as a new emoji.
    """
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
        replaced.append((FINAL_SIGMA, "ς"))
    steps = [
        _step("Replace", pattern={"Regex": old}, content=new)
        for old, new in replaced
    ]
    bert = _step(
        "BertNormalizer",
        clean_text=True,
        handle_chinese_chars=bool(split_on_cjk),
        strip_accents=None if strip_accents is None else bool(strip_accents),
        lowercase=bool(lowercase),
    )
    alone = f"[{PUNCTUATION}{MORE_CJK * bool(split_on_cjk)}]"
    split = _step("Split", pattern={"Regex": alone}, behavior="Isolated")
    split["invert"] = False
    ids = {token: id for id, token in enumerate(tokens)}
    names = ("single_word", "lstrip", "rstrip", "normalized")
    flags = {**dict.fromkeys(names, False), "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": ids[token], "content": token, **flags}
            for token in sorted(SPECIAL_TOKENS, key=ids.get)
        ],
        "normalizer": _step("Sequence", normalizers=[*steps, bert]),
        "pre_tokenizer": _step(
            "Sequence", pretokenizers=[split, _step("BertPreTokenizer")]
        ),
        "post_processor": _step(
            "BertProcessing",
            sep=["[SEP]", ids["[SEP]"]],
            cls=["[CLS]", ids["[CLS]"]],
        ),
        "decoder": _step("WordPiece", prefix=SUFFIX_PREFIX, cleanup=False),
        "model": _step(
            "WordPiece",
            unk_token="[UNK]",
            continuing_subword_prefix=SUFFIX_PREFIX,
            max_input_chars_per_word=MAX_WORD_LENGTH,
            vocab=ids,
        ),
    }


def _step(kind, **fields):
    return {"type": kind, **fields}


def word_splitter(lowercase=False, *settings):
    """A function from a text to its words, by the settings of `original`."""
    content = original(
        SPECIAL_TOKENS, lowercase, *settings, drops_younger=False
    )
    steps = Tokenizer.from_str(json.dumps(content))

    def split(text):
        if text.isascii() and text.isprintable():  # the same, faster
            return ASCII_WORDS.findall(text.lower() if lowercase else text)
        text = steps.normalizer.normalize_str(without_surrogates(text))
        return [w for w, _ in steps.pre_tokenizer.pre_tokenize_str(text)]

    return split


def split_at_spaces(text):
    """Parts (list of str) of a text; words never reach across them."""
    if any(character in text for character in DROPPED_SPACES):
        return [text]
    return text.split()


def without_surrogates(text):
    """A text of the same length that the package takes."""
    return text if text.isascii() else SURROGATES.sub("\ufffd", text)
