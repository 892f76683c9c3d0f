"""Vocabularies of WordPiece: learned from texts, read and written.

The trainer of the `tokenizers` package is not used: its result changes from
run to run, because ties are broken by the order of a hash table.
"""

import heapq
import itertools
import os
import warnings
from array import array
from collections import Counter
from collections import defaultdict
from typing import Any

import fsspec
from tokenizers import Tokenizer

from keras_electra.backend.files import write_file
from keras_electra.text import corpus
from keras_electra.text import pipeline
from keras_electra.text.pipeline import SPECIAL_TOKENS
from keras_electra.text.pipeline import SUFFIX_PREFIX

# What tokenizers differ in: case, marks, spaces, scripts, special tokens.
PROBES = (
    "The chef's naïve CAFÉ e\u0301 ΣΟΦΟΣ, 1,234.5% (x_y)\ta\u00a0b\u3000c\r",
    "[MASK] [CLS]a <s> <mask> ##ed 你好 東京タワー 한국어 สวัสดี 🥹\u200d \x07 ﬁ",
)


def train_vocabulary(
    files: str | list[str],
    vocabulary_size: int = 30522,
    lowercase: bool = False,
    strip_accents: bool | None = None,
    split_on_cjk: bool = True,
    output: object = None,
    min_frequency: int = 2,
    max_alphabet: int = 1000,
    text_field: str = "text",
) -> list[str]:
    """Learn a WordPiece vocabulary from text files.

    The same texts give the same result everywhere. When more than 2 million
    distinct words have been met, the rarest are forgotten, with a warning.

    Args:
        files, text_field: as of `build_examples`.
        vocabulary_size: int. Most tokens, special ones included.
        lowercase, strip_accents, split_on_cjk: as of `ElectraTokenizer`.
        output: path of a file to write the vocabulary to as well, or `None`.
        min_frequency: int. How often a pair must occur. Defaults to 2.
        max_alphabet: int. Distinct characters to keep, the most frequent
            ones; words with others will be `[UNK]`. Defaults to 1000.

    Returns a list of str: special tokens, characters, characters within words
    (`"##a"`), then longer tokens from frequent to rare. Raises a `ValueError`
    if there are no words, or no room for the first three.
    """
    split = pipeline.word_splitter(lowercase, strip_accents, split_on_cjk)
    words = count_words(corpus.list_files(files), split, text_field)
    if not words:
        raise ValueError(
            f"The files must hold at least one word. Received: {files!r}."
        )
    counts = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    alphabet = set(sorted(counts, key=lambda c: (-counts[c], c))[:max_alphabet])
    inner = {character for word in words for character in word[1:]} & alphabet
    base = sorted(alphabet) + [SUFFIX_PREFIX + c for c in sorted(inner)]
    room = vocabulary_size - len(SPECIAL_TOKENS) - len(base)
    if room < 0:
        raise ValueError(
            f"`vocabulary_size` must be at least {vocabulary_size - room}, for "
            f"special tokens and {len(base)} single characters. Received: "
            f"{vocabulary_size}. Raise it, or lower `max_alphabet`."
        )
    words = {w: count for w, count in words.items() if alphabet.issuperset(w)}
    merged = merge_pairs(words, base, room, min_frequency)
    vocabulary = [*SPECIAL_TOKENS, *base, *merged]
    if output is not None:
        write_vocabulary(output, vocabulary)
    return vocabulary


def count_words(files, split, field="text", max_parts=2**21, max_words=2**21):
    """Count the words of text files, those of at most 200 characters.

    What stands between white space is counted first, up to `max_parts` at once,
    then split. Of more than `max_words` (1 GB) the rarest are forgotten.
    """
    words, parts, size, floor = Counter(), Counter(), 0, 0
    lines = (line for path in files for line in corpus.read_lines(path, field))
    for line in itertools.chain(lines, [None]):
        if line is not None:
            parts.update(pipeline.split_at_spaces(line))
            size += len(line)
            # Texts without spaces make long parts: 64 characters on average.
            if len(parts) <= max_parts and size <= 64 * max_parts:
                continue
        for part, count in parts.items():
            for word in split(part):
                if len(word) <= pipeline.MAX_WORD_LENGTH:
                    words[word] += count
        parts, size = Counter(), 0
        is_full = len(words) > max_words
        while len(words) > max_words:
            floor += 1
            for word in [word for word in words if words[word] <= floor]:
                del words[word]
        if is_full:
            warnings.warn(
                f"More than {max_words} distinct words: forgot all that were "
                f"counted at most {floor} times. Their counts may be too low.",
                stacklevel=4,
            )
    return words


def merge_pairs(word_counts, base, max_tokens, min_frequency=2):
    """Merge the most frequent pairs of neighbouring tokens, again and again.

    `word_counts` are words and how often they occur, `base` the tokens of one
    character, `"a"` and `"##a"`, that cover them. Returns at most `max_tokens`
    new ones. Ties go to the pair of older tokens: only the counts decide.
    """
    tokens = list(base)
    ids = {token: id for id, token in enumerate(base)}
    frequencies = list(word_counts.values())
    words = [
        [ids[word[0]]] + [ids[SUFFIX_PREFIX + c] for c in word[1:]]
        for word in word_counts
    ]
    counts, heap, risen = defaultdict(int), [], set()
    where = defaultdict(lambda: array("I"))  # words that have or had a pair

    def add(pair, index):
        counts[pair] += frequencies[index]
        where[pair].append(index)
        risen.add(pair)

    for index, word in enumerate(words):
        for pair in zip(word, word[1:]):
            add(pair, index)
    while len(tokens) - len(base) < max_tokens:
        for pair in risen:
            if counts[pair] >= min_frequency:
                heapq.heappush(heap, (-counts[pair], pair))
        risen.clear()
        if not heap:
            break
        negative_count, pair = heapq.heappop(heap)
        count = counts.get(pair, 0)
        if count != -negative_count:
            # Counts fall behind the heap's back. What rose is in it twice.
            if min_frequency <= count < -negative_count:
                heapq.heappush(heap, (-count, pair))
            continue
        left, right = pair
        token = tokens[left] + tokens[right][len(SUFFIX_PREFIX) :]
        # Two pairs may spell the same: "a" + "##bc" and "ab" + "##c".
        merged = ids.setdefault(token, len(tokens))
        if merged == len(tokens):
            tokens.append(token)
        for index in set(where.pop(pair)):
            word, frequency = words[index], frequencies[index]
            i = 0
            while i < len(word) - 1:
                if word[i] == left and word[i + 1] == right:
                    word[i : i + 2] = [merged]
                    if i > 0:
                        counts[word[i - 1], left] -= frequency
                        add((word[i - 1], merged), index)
                    if i + 1 < len(word):
                        counts[right, word[i + 1]] -= frequency
                        add((merged, word[i + 1]), index)
                i += 1
        del counts[pair]
    return tokens[len(base) :]


def load_vocabulary(vocabulary: Any) -> Any:
    """Tokens of a list or a file (path or `fsspec` address), checked.

    Nothing is repaired: that would change the ids that a trained model knows.
    """
    source = "`vocabulary`"
    if isinstance(vocabulary, (str, os.PathLike)):
        source = f"The vocabulary {os.fspath(vocabulary)!r}"
        vocabulary = read_vocabulary(vocabulary)
    if not hasattr(vocabulary, "__iter__"):
        vocabulary = [vocabulary]
    tokens = list(vocabulary)
    for id, token in enumerate(tokens):
        is_text = isinstance(token, str)
        if not is_text or "\n" in token or token != token.strip(" \t\r"):
            raise (ValueError if is_text else TypeError)(
                f"{source} must be a list of strings, or a file with one a "
                "line, without spaces around and line ends in them. Received "
                f"type {type(token).__name__} at index {id}: {token!r}."
            )
    missing = [token for token in SPECIAL_TOKENS if token not in tokens]
    if missing:
        raise ValueError(
            f"{source} lacks the special token{'s'[: len(missing) - 1]} "
            f"{', '.join(missing)} (it has {len(tokens)} entries). Use that of "
            "the trained model, or make one by `train_vocabulary`."
        )
    repeated = [token for token, n in Counter(tokens).items() if n > 1]
    if repeated:
        raise ValueError(
            f"{source} must have every token once. Received more than once: "
            f"{', '.join(map(repr, repeated[:5]))}. If it is of a trained "
            "model, look for what damaged it, else take them out."
        )
    return tokens


def read_vocabulary(path: Any) -> list[Any]:
    """Tokens of a file, one a line; see `read_text`."""
    # Tokens may hold separators that `str.splitlines` would split at.
    lines = read_text(path).rstrip(" \t\r\n").split("\n")
    return [line.strip(" \t\r") for line in lines]


def read_pipeline(path: Any) -> Any:
    """The `Pipeline` of a `tokenizer.json`, which errors name."""
    content = read_text(path)
    try:
        found = pipeline.Pipeline(content)
        theirs = Tokenizer.from_str(content)
        theirs.no_truncation()
        theirs.no_padding()
        for text in PROBES:
            ids = theirs.encode(text, add_special_tokens=False).ids
            if found.encode([text], special_tokens=True) != [ids]:
                raise ValueError(f"{text!r} would get other ids than there")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return found


def write_vocabulary(path: Any, vocabulary: Any) -> None:
    """Write tokens to a file, one a line; see `write_text`."""
    write_text(path, "".join(f"{token}\n" for token in vocabulary))


def read_text(path: Any) -> Any:
    """The text of a UTF-8 file (path or `fsspec` address)."""
    path = os.fspath(path)
    try:
        with fsspec.open(path, "rb") as file:
            return file.read().decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FileNotFoundError(
            f"There is no vocabulary file {path!r}. Give one with a token a "
            "line, a tokenizer.json, or a list of tokens."
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"The vocabulary {path!r} must be UTF-8 text, but its byte "
            f"{error.start} is not ({error.reason}). Convert it with `iconv`."
        ) from error


def write_text(path: Any, text: Any) -> None:
    """Write a UTF-8 file (path or `fsspec` address), whole or not at all."""
    path, content = os.fspath(path), text.encode("utf-8")
    if "://" not in path:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        write_file(path, content)
    else:  # object stores show a file once it is complete
        with fsspec.open(path, "wb") as file:
            file.write(content)
