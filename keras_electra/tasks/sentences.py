"""Sentences and their labels as users give them -> lists of words."""

import keras


def to_sentences(x):
    """Words of sentences.

    Args:
        x: list, tuple or array with, for each sentence, a string whose words
            are separated by white space, or a list of words.

    Returns:
        List of lists of str.

    Raises:
        TypeError: when `x` holds anything else.
        ValueError: when a sentence has no words or a word is empty.
    """
    if isinstance(x, (str, bytes)):
        raise TypeError(
            f"`x` must be a list of sentences. Received one string: {x!r}. "
            "Put it in a list."
        )
    sentences = []
    for index, words in enumerate(to_list(x)):
        words = to_words(words)
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
        sentences.append(words)
    return sentences


def to_words(words):
    """A list of words, from one or from a string; others in a list."""
    if isinstance(words, bytes):
        words = words.decode("utf-8")
    if isinstance(words, str):
        return words.split()
    if isinstance(words, (list, tuple)) or hasattr(words, "tolist"):
        return [
            word.decode("utf-8") if isinstance(word, bytes) else word
            for word in to_list(words)
        ]
    return [words]


def to_list(x):
    """A list, from a list, tuple, array or tensor."""
    if isinstance(x, (list, tuple)):
        return list(x)
    if keras.ops.is_tensor(x):
        x = keras.ops.convert_to_numpy(x)
    return x.tolist() if hasattr(x, "tolist") else list(x)


def encode_word_labels(sentences, y, encoder):
    """Class numbers of words.

    Args:
        sentences: list of lists of words.
        y: for each sentence a list of labels, one a word, or a string of
            labels separated by white space.
        encoder: `LabelEncoder`.

    Returns:
        List of lists of int.

    Raises:
        ValueError: when there are more or fewer labels than words, or a
            label is of the wrong kind, unknown or out of range.
    """
    y = to_list(y)
    if len(y) != len(sentences):
        raise ValueError(
            "`y` must hold the labels of every sentence. Received "
            f"{len(sentences)} sentences and labels for {len(y)}."
        )
    encoded = []
    for index, (words, labels) in enumerate(zip(sentences, y)):
        labels = to_words(labels)
        if isinstance(y[index], (str, bytes)) and not encoder.labels:
            labels = [
                int(label) if label.lstrip("-").isdigit() else label
                for label in labels
            ]
        if len(labels) != len(words):
            more = "more" if len(words) > len(labels) else "fewer"
            raise ValueError(
                "`y` must hold one label a word. Sentence "
                f"{index} has {more} words than labels: {len(words)} words, "
                f"{len(labels)} labels. It begins with {words[:5]}."
            )
        try:
            encoded.append(encoder.encode(labels).tolist())
        except ValueError as error:
            raise ValueError(f"In sentence {index}: {error}") from None
    return encoded
