"""What a preset is asked that is no task of GLUE, made of files of text."""

import collections
import difflib
import gzip
import itertools
import lzma
import random
import re

WORD = re.compile(r"\S+")
PART = re.compile(r"\w+|[^\w\s]")
SENTENCE = re.compile(r"(?<=[.!?]) +(?=[A-Z\"'(])")


def order_pairs(path, most_words=25):
    """Pairs of which one half says the same and the other does not.

    Of sentences with parts of speech (CoNLL-2000: word, tag, chunk): beside
    each the same without one modifier, and with two nouns swapped.

    Returns:
        `(kept, swapped)`, each a tuple of two lists of str.
    """
    kept, swapped = ([], []), ([], [])
    with gzip.open(path, "rt", encoding="utf-8") as file:
        blocks = file.read().split("\n\n")
    for block in blocks:
        rows = [line.split(" ") for line in block.splitlines() if line]
        words, tags = [r[0] for r in rows], [r[1] for r in rows]
        modifiers = [
            i
            for i, tag in enumerate(tags[:-1])
            # Before a noun of its own phrase: what is left is a sentence.
            if tag == "JJ" and tags[i + 1] in ("NN", "NNS")
        ]
        nouns = [i for i, t in enumerate(tags) if t in ("NN", "NNS", "NNP")]
        pairs = [
            (i, j)
            for i, j in itertools.combinations(nouns, 2)
            if tags[i] == tags[j]
            and j - i > 2
            and words[i].lower() != words[j].lower()
        ]
        if len(words) > most_words or not modifiers or not pairs:
            continue
        draw = random.Random(" ".join(words))
        gone, (i, j) = draw.choice(modifiers), draw.choice(pairs)
        other = list(words)
        other[i], other[j] = words[j], words[i]
        texts = words, words[:gone] + words[gone + 1 :], other
        text, shorter, other = map(" ".join, texts)
        for pair, second in ((kept, shorter), (swapped, other)):
            pair[0].append(text)
            pair[1].append(second)
    return kept, swapped


def changed_words(folder, split="test"):
    """Sentences of JFLEG, and of each word whether two annotators changed it.

    A word that any correction leaves out or replaces is changed; case alone
    counts for nothing, as the presets do not see it.

    Returns:
        `(texts, labels)`: list of str, words separated by spaces, and a list
        of lists of bool.
    """
    files = [f"{split}.src", *(f"{split}.ref{i}" for i in range(4))]
    lines = [
        (folder / name).read_text(encoding="utf-8").splitlines()
        for name in files
    ]
    texts, labels = [], []
    for source, *corrections in zip(*lines, strict=True):
        words, counts = source.split(), collections.Counter()
        for correction in corrections:
            given = source.lower().split(), correction.lower().split()
            matcher = difflib.SequenceMatcher(None, *given, autojunk=False)
            for kind, start, end, *_ in matcher.get_opcodes():
                if kind in ("replace", "delete"):
                    counts.update(range(start, end))
        if words:
            texts.append(" ".join(words))
            labels.append([counts[i] > 1 for i in range(len(words))])
    return texts, labels


def articles(path, count=None):
    """The last articles of a file of the corpus: title, first sentence, rest.

    Title and sentence are not in the rest. Those without a rest are left out.

    Returns:
        List of tuples of three str.
    """
    with lzma.open(path, "rt", encoding="utf-8") as file:
        documents = file.read().split("\n\n")
    found = []
    for document in reversed(documents):
        title, _, text = document.strip().partition("\n")
        first, *rest = SENTENCE.split(text.strip(), maxsplit=1)
        if rest and len(first) > 20 and len(rest[0]) > 200:
            found.append((title, first, rest[0].replace("\n", " ")))
        if len(found) == count:
            break
    return found


def word_counts(path):
    """How often each word of a file of the corpus occurs, in lower case."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        words = (PART.findall(line.lower()) for line in file)
        return collections.Counter(itertools.chain.from_iterable(words))


def frequent_labels(train, words):
    """Labels of words by what each had most often: the simplest tagger.

    Args:
        train: `(sentences, labels)`, lists of lists of str.
        words: list of lists of str. Of an unknown one its last three letters
            decide, or else the most frequent label.

    Returns:
        List of lists of str.
    """
    counts = collections.defaultdict(collections.Counter)
    for sentence, labels in zip(*train):
        for word, label in zip(sentence, labels):
            for key in (word, ("end", word[-3:]), None):
                counts[key][label] += 1
    best = {key: of.most_common(1)[0][0] for key, of in counts.items()}
    return [
        [best.get(w, best.get(("end", w[-3:]), best[None])) for w in sentence]
        for sentence in words
    ]
