"""Vocabularies of WordPiece: learned from texts, read and written.

The trainer of the `tokenizers` package is not used: its result changes from
run to run, because ties are broken by the order of a hash table.
"""

import heapq
import os
import warnings
from array import array
from collections import Counter
from collections import defaultdict
from collections.abc import Iterable

import fsspec

from keras_electra.text.corpus import list_files
from keras_electra.text.corpus import read_lines
from keras_electra.text.original import MAX_WORD_LENGTH
from keras_electra.text.original import SPECIAL_TOKENS
from keras_electra.text.original import SUFFIX_PREFIX
from keras_electra.text.original import split_at_spaces
from keras_electra.text.original import word_splitter


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

    The result is a function of the texts alone, the same on every run and
    machine. When more than 2 million distinct words have been met, the rarest
    are forgotten, with a warning.

    Args:
        files: path or pattern such as `"corpus/*.txt"`, or a list of them;
            see `list_files`. Plain text or JSON lines, compressed or not.
        vocabulary_size: int. Tokens, the five special ones included. Fewer
            come back if the text has no more. Defaults to 30522, as BERT.
        lowercase, strip_accents, split_on_cjk: bool. Those of the
            `ElectraTokenizer` that the vocabulary is for.
        output: path. Where to write the vocabulary as well, one token a line.
            Defaults to `None`, nowhere.
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
        ValueError: if the files hold no words, or `vocabulary_size` has no
            room for the special tokens and all characters.
    """
    split = word_splitter(lowercase, strip_accents, split_on_cjk)
    words = count_words(list_files(files), split, text_field)
    if not words:
        raise ValueError(
            "The files must hold at least one word. Received: "
            f"files={files!r}, where there is nothing but white space."
        )
    counts = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    ranked = sorted(counts, key=lambda c: (-counts[c], c))
    alphabet = set(ranked[:max_alphabet])
    inner = {character for word in words for character in word[1:]} & alphabet
    base = sorted(alphabet) + [SUFFIX_PREFIX + c for c in sorted(inner)]
    room = vocabulary_size - len(SPECIAL_TOKENS) - len(base)
    if room < 0:
        raise ValueError(
            f"`vocabulary_size` must be at least {vocabulary_size - room}: "
            f"{len(SPECIAL_TOKENS)} special tokens and {len(base)} for single "
            f"characters. Received: vocabulary_size={vocabulary_size}. Raise "
            "it, or lower `max_alphabet`."
        )
    words = {w: count for w, count in words.items() if alphabet.issuperset(w)}
    merged = merge_pairs(words, base, room, min_frequency)
    vocabulary = [*SPECIAL_TOKENS, *base, *merged]
    if output is not None:
        write_vocabulary(output, vocabulary)
    return vocabulary


def count_words(
    files, split, text_field="text", max_parts=2**21, max_words=2**21
):
    """Count the words of text files, those of at most 200 characters.

    What stands between white space is counted first, and split once however
    often it occurs. More than `max_parts` of these are not held at once, nor
    more than `max_words` words (about 1 GB): the rarest are forgotten.
    """
    words, parts = Counter(), Counter()
    size, floor = 0, 0

    def move():
        """Parts to words, of which the rarest are forgotten, by `floor`."""
        for part, count in parts.items():
            for word in split(part):
                if len(word) <= MAX_WORD_LENGTH:
                    words[word] += count
        parts.clear()
        before, least = len(words), floor
        while len(words) > max_words:
            least += 1
            for word in [word for word in words if words[word] <= least]:
                del words[word]
        if len(words) < before:
            warnings.warn(
                f"More than {max_words} distinct words: forgot "
                f"{before - len(words)} of them that were counted at most "
                f"{least} times so far. Their counts may be too low.",
                stacklevel=4,
            )
        return least

    for path in files:
        for line in read_lines(path, text_field):
            parts.update(split_at_spaces(line))
            size += len(line)
            # Parts can be long, as in texts without spaces: bound characters
            # as well (64 per part on average).
            if len(parts) > max_parts or size > 64 * max_parts:
                size, floor = 0, move()
    move()
    return dict(words)


def merge_pairs(word_counts, base, max_tokens, min_frequency=2):
    """Merge the most frequent pairs of neighbouring tokens, again and again.

    Ties go to the pair whose tokens are older, so the result depends on the
    counts alone. Only words that a merge changes are counted again.

    Args:
        word_counts: dict from word (str) to how often it occurs (int).
        base: list of str. Tokens of one character, `"a"` and `"##a"`; they
            must cover all words.
        max_tokens: int. New tokens to make at most, returned in their order.
        min_frequency: int. Occurrences a pair needs.
    """
    tokens = list(base)
    ids = {token: id for id, token in enumerate(base)}
    frequencies = list(word_counts.values())
    words = [
        [ids[word[0]]] + [ids[SUFFIX_PREFIX + c] for c in word[1:]]
        for word in word_counts
    ]
    counts = defaultdict(int)
    # Indices of words that have or once had the pair.
    where = defaultdict(lambda: array("I"))

    def add(pair, index):
        counts[pair] += frequencies[index]
        where[pair].append(index)

    for index, word in enumerate(words):
        for pair in zip(word, word[1:]):
            add(pair, index)
    heap = [(-n, pair) for pair, n in counts.items() if n >= min_frequency]
    heapq.heapify(heap)
    while heap and len(tokens) - len(base) < max_tokens:
        negative_count, pair = heapq.heappop(heap)
        count = counts.get(pair, 0)
        if count != -negative_count:
            # Counts fall behind the heap's back. If one rose, the heap has a
            # second entry.
            if min_frequency <= count < -negative_count:
                heapq.heappush(heap, (-count, pair))
            continue
        left, right = pair
        token = tokens[left] + tokens[right][len(SUFFIX_PREFIX) :]
        # Two pairs may spell the same: "a" + "##bc" and "ab" + "##c".
        merged = ids.setdefault(token, len(tokens))
        if merged == len(tokens):
            tokens.append(token)
        risen = set()
        for index in set(where.pop(pair)):
            word, frequency = words[index], frequencies[index]
            i = 0
            while i < len(word) - 1:
                if word[i] == left and word[i + 1] == right:
                    word[i : i + 2] = [merged]
                    if i > 0:
                        counts[word[i - 1], left] -= frequency
                        risen.add((word[i - 1], merged))
                        add((word[i - 1], merged), index)
                    if i + 1 < len(word):
                        counts[right, word[i + 1]] -= frequency
                        risen.add((merged, word[i + 1]))
                        add((merged, word[i + 1]), index)
                i += 1
        del counts[pair]
        for pair in risen - {pair}:
            if counts[pair] >= min_frequency:
                heapq.heappush(heap, (-counts[pair], pair))
    return tokens[len(base) :]


def load_vocabulary(vocabulary):
    """Tokens of a list or a file (path or `fsspec` address), checked.

    Nothing is repaired: that would change the ids that a trained model knows.
    """
    source = "`vocabulary`"
    if isinstance(vocabulary, (str, os.PathLike)):
        source = f"The vocabulary {os.fspath(vocabulary)!r}"
        vocabulary = read_vocabulary(vocabulary)
    if not isinstance(vocabulary, Iterable):
        raise TypeError(
            f"{source} must be a list of tokens or the path of a file with "
            f"one token a line. Received: {vocabulary!r}."
        )
    tokens = list(vocabulary)
    for id, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(
                f"{source} must be a list of strings. Received an item of "
                f"type {type(token).__name__} at index {id}: {token!r}."
            )
        if "\n" in token or token != token.strip(" \t\r"):
            raise ValueError(
                f"{source} must have no spaces around tokens and no line ends "
                f"in them. Received at index {id}: {token!r}. Strip it."
            )
    counts = Counter(tokens)
    missing = [token for token in SPECIAL_TOKENS if token not in counts]
    if missing:
        raise ValueError(
            f"{source} lacks the special token{'s'[: len(missing) - 1]} "
            f"{', '.join(missing)} (it has {len(counts)} entries). Use that of "
            "the trained model, or make one by `train_vocabulary`."
        )
    repeated = [token for token, count in counts.items() if count > 1]
    if repeated:
        raise ValueError(
            f"{source} must have every token once. Received more than once: "
            f"{', '.join(map(repr, repeated[:5]))}. Take them out of a list; "
            "in the file of a trained model look for what damaged it."
        )
    return tokens


def read_vocabulary(path):
    """Tokens of a file, one a line; see `read_text`."""
    # Tokens may hold separators that `str.splitlines` would split at.
    lines = read_text(path).removesuffix("\n").split("\n")
    return [line.strip(" \t\r") for line in lines]


def write_vocabulary(path, vocabulary):
    """Write tokens to a file, one a line; see `write_text`."""
    write_text(path, "".join(f"{token}\n" for token in vocabulary))


def read_text(path):
    """The text of a UTF-8 file (path or `fsspec` address)."""
    path = os.fspath(path)
    try:
        with fsspec.open(path, "rb") as file:
            return file.read().decode("utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FileNotFoundError(
            f"There is no vocabulary file {path!r}. Give a list of tokens, a "
            "file with one token a line, or a tokenizer.json."
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"The vocabulary {path!r} must be UTF-8 text, but its byte "
            f"{error.start} is not ({error.reason}). Convert it with `iconv`."
        ) from error


def write_text(path, text):
    """Write a UTF-8 file (path or `fsspec` address), whole or not at all."""
    path, content = os.fspath(path), text.encode("utf-8")
    if "://" in path:
        # Object stores show a file once it is complete.
        with fsspec.open(path, "wb") as file:
            file.write(content)
        return
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "wb") as file:
        file.write(content)
    os.replace(partial, path)
