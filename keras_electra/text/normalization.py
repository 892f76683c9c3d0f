"""Text -> words, exactly as the tokenizer of the original BERT and ELECTRA.

The steps, in the original's order: drop control characters, treat every space
separator as a space, put spaces around CJK characters, lower, take accents
off (NFD, then drop nonspacing marks), split at punctuation. `split` does each
of them as one pass over the text in C, through tables that fill themselves as
characters are met; `split_with_spans` is slower, because it also follows every
character back to where it came from.

Words do not depend on the words around them: splitting a text at white space
first and each part on its own gives the same words. The tokenizer relies on
that to remember results.
"""

import re
import unicodedata

from keras_electra.text.unicode_11 import is_dropped

# Blocks the original calls Chinese characters (not kana, not hangul).
_CJK_BLOCKS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)

# Python splits at these, but the original drops them as control characters.
DROPPED_SPACES = "\x0b\x0c\x1c\x1d\x1e\x1f\x85"

# Characters whose category changed after Unicode 11.0 in a way that matters.
_CATEGORY_IN_UNICODE_11 = {"\u166d": "Po", "\u1734": "Mn", "\ua9bd": "Mc"}

# Words and punctuation of printable ASCII without spaces.
_ASCII_WORDS = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")


def split_at_spaces(text):
    """Split a text at white space, which words never cross.

    Args:
        text: str.

    Returns:
        List of str. Each gives the same words on its own as within `text`.
    """
    for character in DROPPED_SPACES:
        if character in text:
            text = text.replace(character, "")
    return text.split()


class _CharacterTable(dict):
    """Code point -> replacement, for `str.translate`; fills itself."""

    def __init__(self, replace):
        self._replace = replace

    def __missing__(self, code_point):
        replacement = self._replace(chr(code_point))
        self[code_point] = replacement
        return replacement


class WordSplitter:
    """Splits texts into the words that WordPiece takes apart.

    Args:
        lowercase: bool. Whether to lower the text.
        strip_accents: bool or `None`. Whether to take accents off. `None`
            means the same as `lowercase`, as in BERT. Note that the original
            ignores `True` without `lowercase`, which is obeyed here.
        split_on_cjk: bool. Whether each CJK character is a word.
    """

    def __init__(self, lowercase=False, strip_accents=None, split_on_cjk=True):
        self.lowercase = bool(lowercase)
        self.strip_accents = bool(
            lowercase if strip_accents is None else strip_accents
        )
        self.split_on_cjk = bool(split_on_cjk)
        # What tells two splitters apart.
        self.settings = (
            self.lowercase,
            self.strip_accents,
            self.split_on_cjk,
        )
        self._cleaned = _CharacterTable(self._clean)
        self._separated = _CharacterTable(self._separate)

    def split(self, text):
        """Split a text into words.

        Args:
            text: str.

        Returns:
            List of str, none empty, none with white space.
        """
        if text.isascii() and text.isprintable():
            # The common case: nothing to drop, no accents, no CJK.
            return _ASCII_WORDS.findall(
                text.lower() if self.lowercase else text
            )
        text = text.translate(self._cleaned)
        if self.lowercase:
            text = text.lower()
        if self.strip_accents:
            text = unicodedata.normalize("NFD", text)
        return text.translate(self._separated).split()

    def split_with_spans(self, text):
        """Split a text into words and say where their characters came from.

        A mark that was taken off belongs to the letter before it, so that the
        span of "e" from "e\u0301" covers both characters.

        Args:
            text: str.

        Returns:
            List of `(word, spans)`, where `spans` has for each character of
            `word` its `(start, end)` in `text`.
        """
        characters = [
            (new, position)
            for position, character in enumerate(text)
            for new in self._cleaned[ord(character)]
        ]
        if self.lowercase:
            characters = _lower(characters)
        if self.strip_accents:
            characters = _decompose(characters)
        words = []
        word = []
        for character, position in characters:
            separated = self._separated[ord(character)]
            if separated == "":
                if word:
                    _extend(word, position + 1)
                continue
            alone = len(separated) > 1
            if (alone or separated.isspace()) and word:
                words.append(word)
                word = []
            if alone:
                words.append([[character, position, position + 1]])
            elif not separated.isspace():
                word.append([character, position, position + 1])
        if word:
            words.append(word)
        return [
            (
                "".join(character for character, _, _ in word),
                [(start, end) for _, start, end in word],
            )
            for word in words
        ]

    def _clean(self, character):
        if is_dropped(ord(character)):
            return ""
        if character in "\t\n\r" or unicodedata.category(character) == "Zs":
            return " "
        if self.split_on_cjk and _is_cjk(ord(character)):
            return f" {character} "
        return character

    def _separate(self, character):
        category = _category(character)
        if self.strip_accents and category == "Mn":
            return ""
        if category.startswith("P") or _is_ascii_symbol(character):
            return f" {character} "
        return character


def _category(character):
    return _CATEGORY_IN_UNICODE_11.get(
        character, unicodedata.category(character)
    )


def _is_cjk(code_point):
    return any(first <= code_point <= last for first, last in _CJK_BLOCKS)


def _is_ascii_symbol(character):
    # "^", "$" and "`" are not punctuation to Unicode, but to BERT.
    return "!" <= character <= "~" and not character.isalnum()


def _lower(characters):
    # A character may become two ("\u0130" does), but how many never depends
    # on its neighbours. Only the form of the final sigma does.
    lowered = iter("".join(character for character, _ in characters).lower())
    return [
        (next(lowered), position)
        for character, position in characters
        for _ in character.lower()
    ]


def _decompose(characters):
    # NFD of each character, then marks in canonical order: stable by their
    # combining class, between characters of class 0.
    decomposed = []
    first_mark = 0
    for character, position in characters:
        for part in unicodedata.normalize("NFD", character):
            decomposed.append((part, position))
            if unicodedata.combining(part) == 0:
                _sort_marks(decomposed, first_mark, len(decomposed) - 1)
                first_mark = len(decomposed)
    _sort_marks(decomposed, first_mark, len(decomposed))
    return decomposed


def _sort_marks(characters, first, last):
    if last - first > 1:
        characters[first:last] = sorted(
            characters[first:last],
            key=lambda item: unicodedata.combining(item[0]),
        )


def _extend(word, end):
    word[-1][2] = max(word[-1][2], end)
