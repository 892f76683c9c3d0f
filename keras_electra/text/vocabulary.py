"""Learn a WordPiece vocabulary from text files.

Two stages: the files are read once and words are counted, then frequent pairs
of tokens are merged. The trainer of the `tokenizers` package is not used: its
result changes from run to run, because ties are broken by the order of a hash
table, and it takes texts only, no counts. The criterion, frequency of pairs,
is the same.
"""

from collections import Counter

from keras_electra.text.corpus import list_files
from keras_electra.text.merging import merge_pairs
from keras_electra.text.normalization import WordSplitter
from keras_electra.text.vocabulary_file import SPECIAL_TOKENS
from keras_electra.text.vocabulary_file import write_vocabulary
from keras_electra.text.word_counts import count_words
from keras_electra.text.word_pieces import SUFFIX_PREFIX


def train_vocabulary(
    files,
    vocabulary_size=30522,
    lowercase=False,
    strip_accents=None,
    split_on_cjk=True,
    output=None,
    min_frequency=2,
    max_alphabet=1000,
    text_field="text",
):
    """Learn a WordPiece vocabulary from text files.

    Texts become words exactly as in `ElectraTokenizer`: give it the same
    settings. The result is a function of the texts alone, the same on every
    run and machine. When more than 2 million distinct words have been met,
    the rarest are forgotten, with a warning.

    Args:
        files: path or pattern such as `"corpus/*.txt"`, or a list of them;
            see `list_files`. Plain text or JSON lines, compressed or not.
        vocabulary_size: int. Tokens, the five special ones included. Fewer
            come back if the text has no more. Defaults to 30522, as BERT.
        lowercase: bool. Whether to lower the text. Defaults to `False`.
        strip_accents: bool or `None`. Whether to take accents off. Defaults
            to `None`, the same as `lowercase`.
        split_on_cjk: bool. Whether each CJK character is a word. Defaults to
            `True`.
        output: path or `None`. Where to write the vocabulary as well, one
            token a line. Defaults to `None`, nowhere.
        min_frequency: int. How often a pair of tokens must occur to become
            one. Defaults to 2.
        max_alphabet: int. Distinct characters to keep, the most frequent
            ones; words with others will be `[UNK]`. Defaults to 1000.
        text_field: str. The field of JSON lines that holds the text.
            Defaults to `"text"`.

    Returns:
        List of str: special tokens, characters, characters within words
        (`"##a"`), then longer tokens from frequent to rare.

    Raises:
        FileNotFoundError: if no file matches.
        ValueError: if the files hold no words, or `vocabulary_size` has no
            room for the special tokens and all characters.
    """
    splitter = WordSplitter(lowercase, strip_accents, split_on_cjk)
    words = count_words(list_files(files), splitter, text_field)
    if not words:
        raise ValueError(
            "The files must hold at least one word. Received: "
            f"files={files!r}, where there is nothing but white space."
        )
    alphabet = _most_frequent_characters(words, max_alphabet)
    base = _single_character_tokens(words, alphabet)
    room = vocabulary_size - len(SPECIAL_TOKENS) - len(base)
    if room < 0:
        raise ValueError(
            f"`vocabulary_size` must be at least {vocabulary_size - room}: "
            f"{len(SPECIAL_TOKENS)} special tokens and {len(base)} for single "
            f"characters. Received: vocabulary_size={vocabulary_size}. Raise "
            "it, or lower `max_alphabet`."
        )
    words = {
        word: count
        for word, count in words.items()
        if alphabet.issuperset(word)
    }
    merged = merge_pairs(words, base, room, min_frequency)
    vocabulary = [*SPECIAL_TOKENS, *base, *merged]
    if output is not None:
        write_vocabulary(output, vocabulary)
    return vocabulary


def _most_frequent_characters(words, limit):
    counts = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    ranked = sorted(
        counts, key=lambda character: (-counts[character], character)
    )
    return set(ranked[:limit])


def _single_character_tokens(words, alphabet):
    """The alphabet, then those of it that occur within words."""
    inner = {character for word in words for character in word[1:]} & alphabet
    return sorted(alphabet) + [
        SUFFIX_PREFIX + character for character in sorted(inner)
    ]
