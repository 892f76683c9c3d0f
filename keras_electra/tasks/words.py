"""Sentences of words, their labels, and the stretches that labels mark."""

import typing

import keras
import numpy as np


class Entity(typing.NamedTuple):
    """A stretch of words that bear one label together.

    Attributes:
        label: string, without its prefix, such as `"NP"`.
        start: int. Number of the first word.
        end: int. Number of the word after the last.
        text: string. The words, joined by spaces.
        probability: float. The least of its words' probabilities.
    """

    label: str
    start: int
    end: int
    text: str
    probability: float


@keras.saving.register_keras_serializable(package="keras_electra")
class WordCrossentropy(keras.losses.SparseCategoricalCrossentropy):
    """Categorical cross-entropy of logits, averaged over the weighted tokens.

    Keras' default reduction, which is taken for that mean, would count the
    tokens of weight 0, all pieces but the first of each word and the padding.
    `"sum"` is the original's.
    """

    def __init__(self, reduction="mean_with_sample_weight", **kwargs):
        if reduction == "sum_over_batch_size":
            reduction = "mean_with_sample_weight"
        super().__init__(from_logits=True, reduction=reduction, **kwargs)

    def get_config(self):
        return keras.losses.Loss.get_config(self)


def find_spans(tags):
    """Reads tags of BIO, IOB and BIOES (also BILOU) as conlleval does.

    A span begins at `B-` and `S-` (`U-`), and wherever `I-` or `E-` (`L-`)
    follows something of another label or outside; it ends with `E-`, `S-`.
    `["B-NP", "I-NP", "O"]` gives `[("NP", 0, 2)]`.
    """
    spans, label, start = [], None, 0
    for i, tag in enumerate(tags):
        prefix, dash, own = str(tag).partition("-")
        if tag != "O" and not (dash and prefix in tuple("BIESLU")):
            raise ValueError(
                "Spans are read from tags such as `B-NP`, `I-NP` and `O`. "
                f"Received: {tag!r}."
            )
        goes_on = tag != "O" and prefix in "IEL" and own == label
        if label is not None and not goes_on:
            spans.append((label, start, i))
            label = None
        if tag == "O":
            continue
        if not goes_on:
            label, start = own, i
        if prefix in "ESLU":
            spans.append((label, start, i + 1))
            label = None
    if label is not None:
        spans.append((label, start, len(tags)))
    return spans


def to_sentences(x):
    """Columns of sentences as lists of words, checked."""
    sentences = [
        words.split() if isinstance(words, str) else words for words in x
    ]
    for index, words in enumerate(sentences):
        words = words if isinstance(words, (list, tuple)) else [words]
        for word in words:
            if not isinstance(word, str):
                raise TypeError(
                    "`x` must hold sentences: strings, or lists of words. "
                    f"Sentence {index} holds {word!r} of type "
                    f"{type(word).__name__}."
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
                labels = [
                    int(label) if label.lstrip("-").isdigit() else label
                    for label in labels
                ]
        labels = labels if np.ndim(labels) else [labels]
        if len(labels) != len(words):
            more = "more" if len(words) > len(labels) else "fewer"
            raise ValueError(
                "`y` must hold one label a word. Sentence "
                f"{index} has {more} words than labels: {len(words)} words, "
                f"{len(labels)} labels. It begins with {words[:5]}."
            )
        try:
            labels = encoder.encode(labels).tolist() if encoder else labels
        except (TypeError, ValueError) as error:
            raise type(error)(f"In sentence {index}: {error}") from None
        encoded.append(labels)
    return encoded
