"""Sentences of words, their labels, and the stretches that labels mark."""

import typing

import numpy as np


class Entity(typing.NamedTuple):
    """A stretch of words that bear one label together.

    Attributes:
        label: string, without its prefix, such as `"NP"`.
        start, end: int. Number of the first word, and of that after the last.
        text: string. The words, joined by spaces.
        probability: float. The least of its words' probabilities.
    """

    label: str
    start: int
    end: int
    text: str
    probability: float


def find_spans(tags):
    """Reads tags of BIO, IOB and BIOES (also BILOU) as conlleval does.

    A span begins at `B-` and `S-` (`U-`), and wherever `I-` or `E-` (`L-`)
    follows something of another label or outside; it ends with `E-`, `S-`.
    `["B-NP", "I-NP", "O"]` gives `[("NP", 0, 2)]`.
    """
    spans, is_open = [], False
    for i, tag in enumerate(tags):
        prefix, dash, label = str(tag).partition("-")
        if tag == "O":
            is_open = False
            continue
        if not dash or prefix not in tuple("BIESLU"):
            raise ValueError(
                "Spans are read from tags such as `B-NP`, `I-NP` and `O`. "
                f"Received: {tag!r}."
            )
        if not is_open or prefix not in "IEL" or spans[-1][0] != label:
            spans.append((label, i, i))
        spans[-1] = (label, spans[-1][1], i + 1)
        is_open = prefix not in "ESLU"
    return spans


def to_sentences(x):
    """Columns of sentences as lists of words, checked."""
    sentences = [
        words.split() if isinstance(words, str) else words for words in x
    ]
    for index, words in enumerate(sentences):
        is_list = isinstance(words, (list, tuple))
        if not is_list or not all(isinstance(word, str) for word in words):
            raise TypeError(
                "`x` must hold sentences: strings, or lists of words. Sentence "
                f"{index} is {words!r} of type {type(words).__name__}."
            )
        if not words or not all(word.strip() for word in words):
            raise ValueError(
                "`x` must hold sentences of at least one word, and words that "
                f"are not empty. Sentence {index} is {words!r}. Leave it out."
            )
    return sentences


def is_sentence(x, y):
    """Whether `x` is a list of words and `y` their labels, and no batch."""
    if not isinstance(x, list) or not all(isinstance(w, str) for w in x):
        return False
    labels = [] if y is None else list(y)
    return not any(
        isinstance(item, (list, tuple)) or len(str(item).split()) > 1
        for item in [*x, *labels]
    )


def encode_word_labels(sentences, y, encoder=None):
    """Class numbers of words, a list a sentence, checked.

    `y` holds for each sentence a list of labels or a string of them, separated
    by white space; without an `encoder` they are numbers.
    """
    if len(y) != len(sentences):
        raise ValueError(
            "`y` must hold the labels of every sentence. Received "
            f"{len(sentences)} sentences and labels for {len(y)}."
        )
    encoded = []
    for index, (words, labels) in enumerate(zip(sentences, y)):
        if isinstance(labels, str):
            labels = labels.split()
            if encoder is None or not encoder.labels:
                labels = [int(i) if i.isdigit() else i for i in labels]
        labels = labels if np.ndim(labels) else [labels]
        if len(labels) != len(words):
            raise ValueError(
                f"`y` must hold one label a word. Sentence {index} has "
                f"{len(words)} words and {len(labels)} labels. It begins with "
                f"{words[:5]}."
            )
        try:
            labels = encoder.encode(labels).tolist() if encoder else labels
        except (TypeError, ValueError) as error:
            raise type(error)(f"In sentence {index}: {error}") from None
        encoded.append(labels)
    return encoded
