"""One label for each word of a sentence."""

import typing

import keras
import keras_hub
import numpy as np

from keras_electra.arguments import known_keywords
from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks import inference
from keras_electra.tasks.finetuning_task import FineTuningTask
from keras_electra.tasks.in_graph import rows_spec
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.labels import check_label_names
from keras_electra.tasks.labels import check_num_classes
from keras_electra.tasks.probabilities import softmax
from keras_electra.tasks.row_preprocessor import RowPreprocessor
from keras_electra.tasks.rows import NAMES
from keras_electra.tasks.rows import make_rows
from keras_electra.tasks.rows import split_windows
from keras_electra.tasks.rows import to_list
from keras_electra.text.tokenizer import ElectraTokenizer


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


class TaggingRow(typing.NamedTuple):
    """A row of pieces, of a whole sentence or of a window of a long one.

    Attributes:
        ids: list of int, with `[CLS]` and `[SEP]`.
        sentence: int. Number of the sentence.
        words: list of int. Numbers of the words judged in this row.
        positions: list of int. Where in `ids` each of them begins.
    """

    ids: list
    sentence: int
    words: list
    positions: list


@keras.saving.register_keras_serializable(package="keras_electra")
class WordCrossentropy(keras.losses.SparseCategoricalCrossentropy):
    """Categorical cross-entropy of logits, averaged over the weighted tokens.

    Keras' default reduction would count the tokens of weight 0, all pieces
    but the first of each word and the padding, in the mean.

    Args:
        reduction: string. `"mean_with_sample_weight"`, the default, or
            `"sum"`, the original's. `"sum_over_batch_size"` is taken for the
            former.
        **kwargs: `name` and `dtype` of `keras.losses.Loss`.
    """

    def __init__(self, reduction="mean_with_sample_weight", **kwargs):
        if reduction == "sum_over_batch_size":
            reduction = "mean_with_sample_weight"
        super().__init__(from_logits=True, reduction=reduction, **kwargs)

    def get_config(self):
        return keras.losses.Loss.get_config(self)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTokenClassifierPreprocessor(RowPreprocessor):
    """Turns sentences into rows of word pieces, and labels of words with them.

    The label of a word is at its first piece; all other tokens have weight
    0. A sentence that is too long is read in windows that overlap by half,
    each a row, and every word is labelled in the one where it has most text
    around it: the batch grows. A word of no characters that the tokenizer
    keeps is `[UNK]`.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
        segment_id: int. Segment of the sentences. Defaults to `0`, as
            everywhere and in transformers; the original tags with `1`
            (`finetune/tagging/tagging_tasks.py:149`).
        **kwargs: `name` and the like of `keras.layers.Layer`.

    Call arguments:
        x: list with a sentence an entry: a string, whose words are separated
            by white space, or a list of words.
        y: list with, for each sentence, a list of class numbers, one a word
            (or a string of them, separated by white space), or `None`.
        sample_weight: list or array of one weight a sentence, or `None`.

    Returns:
        A dict of arrays of shape `(rows, sequence_length)`: `token_ids`,
        `segment_ids` and `padding_mask`; with `y` a tuple of it, the labels
        and their weights, both of that shape.
    """

    @known_keywords(keras.layers.Layer.__init__, "config_file")
    def __init__(self, tokenizer, sequence_length=512, segment_id=0, **kwargs):
        super().__init__(tokenizer, sequence_length, **kwargs)
        self.segment_id = segment_id
        self._word_tokenizer = None

    def split(self, sentences):
        """Lists of words to a list of `TaggingRow`, in order."""
        tokenizer, rows = self.word_tokenizer, []
        for number, words in enumerate(sentences):
            pieces, starts = [], []
            for ids in tokenizer.encode_batch(words):
                starts.append(len(pieces))
                pieces += ids or [tokenizer.unk_token_id]
            for window in split_windows(len(pieces), self.sequence_length - 2):
                judged = [
                    i
                    for i, start in enumerate(starts)
                    if window.first <= start < window.last
                ]
                ids = [
                    tokenizer.cls_token_id,
                    *pieces[window.start : window.stop],
                    tokenizer.sep_token_id,
                ]
                positions = [1 + starts[i] - window.start for i in judged]
                rows.append(TaggingRow(ids, number, judged, positions))
        return rows

    def pack(self, rows, length=None):
        """Pads rows of `split` to a dict of arrays."""
        return make_rows(
            [row.ids for row in rows],
            [[self.segment_id] * len(row.ids) for row in rows],
            self.tokenizer.pad_token_id,
            length,
        )

    def rows(self, x, y=None, sample_weight=None, length=None):
        """Rows as long as the longest, or `length`; see the class."""
        sentences = to_sentences(x)
        rows = self.split(sentences)
        x = self.pack(rows, length)
        if y is None:
            return x
        y = encode_word_labels(sentences, y)
        labels = np.zeros(x["token_ids"].shape, "int32")
        weights = np.zeros(x["token_ids"].shape, "float32")
        for i, row in enumerate(rows):
            sentence = row.sentence
            weight = 1.0 if sample_weight is None else sample_weight[sentence]
            labels[i, row.positions] = [y[sentence][j] for j in row.words]
            weights[i, row.positions] = weight
        return x, labels, weights

    def output_spec(self, y=None, weighted=False):
        """What a call returns, with a `keras.KerasTensor` for each array."""
        x = rows_spec(self.sequence_length, NAMES)
        if y is None:
            return x
        shape = x["token_ids"].shape
        return (
            x,
            keras.KerasTensor(shape, "int32"),
            keras.KerasTensor(shape, "float32"),
        )

    @property
    def word_tokenizer(self):
        """The tokenizer, without its splitting at CJK characters.

        As in the original (`tagging_tasks.py:213-233`): words are words.
        """
        if not self.tokenizer.split_on_cjk:
            return self.tokenizer
        if self._word_tokenizer is None:
            config = {**self.tokenizer.get_config(), "split_on_cjk": False}
            tokenizer = ElectraTokenizer.from_config(config)
            tokenizer.set_vocabulary(self.tokenizer.get_vocabulary())
            # Not tracked: it has no state of its own to be saved.
            object.__setattr__(self, "_word_tokenizer", tokenizer)
        return self._word_tokenizer

    def get_config(self):
        return {**super().get_config(), "segment_id": self.segment_id}

    @classmethod
    def from_config(cls, config):
        # `"windows"` in older presets: there is no other way to make rows.
        config = {k: v for k, v in config.items() if k != "rules"}
        return super().from_config(config)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTokenClassifier(
    FineTuningTask, SavesPresets, keras_hub.models.Task
):
    """Labels words: named entities, chunks, parts of speech.

    `fit`, `evaluate` and `predict` take a list of sentences, each a list of
    words or a string whose words are separated by white space. Labels are a
    list a sentence, one a word: class numbers or, with `labels`, names. In a
    data set, where lists of different lengths do not stack, sentences and
    their labels are strings.

    A linear layer on the vector of every token, which starts from Glorot
    uniform (`finetune/tagging/tagging_tasks.py:188-193`). The loss counts the
    first piece of every word.

    Args:
        backbone: `ElectraBackbone`.
        num_classes: int or `None`. Defaults to the number of `labels`.
        preprocessor: `ElectraTokenClassifierPreprocessor`, or `None`, the
            default, to pass arrays instead of sentences.
        labels: list of str or `None`. Names of the classes.
        dropout: float. Share of the vectors that is dropped. Defaults to
            `0.0`: the original drops none; transformers drops `0.1`.
        **kwargs: `name` and `compile` of `keras_hub.models.Task`.

    Call arguments:
        A dict of int arrays of shape `(batch, length)`: `token_ids`,
        `segment_ids`, `padding_mask`.

    Returns:
        Logits of shape `(batch, length, num_classes)`.

    Example:
    ```python
    tagger = keras_electra.ElectraTokenClassifier.from_preset(
        "electra_tiny_en", labels=["O", "B-NP", "I-NP"]
    )
    tagger.fit([["A", "bee", "sleeps"]], [["B-NP", "I-NP", "O"]])
    tagger.tag("A bee sleeps")  # ["B-NP", "I-NP", "O"]
    tagger.find_entities("A bee sleeps")  # [Entity("NP", 0, 2, "A bee", 0.9)]
    ```
    """

    backbone_cls = ElectraBackbone
    preprocessor_cls = ElectraTokenClassifierPreprocessor
    # A long sentence becomes several rows.
    rows_ahead = True
    label_spec = "words"

    @known_keywords("name", "compile")
    def __init__(
        self,
        backbone,
        num_classes=None,
        preprocessor=None,
        labels=None,
        dropout=0.0,
        **kwargs,
    ):
        labels, num_classes = check_label_names(labels, num_classes)
        num_classes = check_num_classes(num_classes)

        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.output_dropout = keras.layers.Dropout(
            dropout, dtype=backbone.dtype_policy, name="output_dropout"
        )
        self.output_dense = keras.layers.Dense(
            num_classes, dtype=backbone.dtype_policy, name="logits"
        )

        # === Functional Model ===
        x = backbone(backbone.input)["sequence_output"]  # (B, L, D)
        outputs = self.output_dense(self.output_dropout(x))
        super().__init__(inputs=backbone.input, outputs=outputs, **kwargs)

        # === Config ===
        self.num_classes = num_classes
        self.labels = labels
        self.dropout = dropout
        self.label_encoder = LabelEncoder(num_classes, labels)

    def default_loss(self):
        return WordCrossentropy()

    def default_metrics(self):
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def tag(self, sentences, batch_size=32):
        """Labels every word.

        Args:
            sentences: a string, whose words are separated by white space, or
                a list of sentences: strings or lists of words.
            batch_size: int. Rows computed together. Defaults to `32`.

        Returns:
            For a string a list of labels, one a word: names or, without
            `labels`, class numbers. For a list of sentences a list of these.
        """
        is_one = isinstance(sentences, str)
        tagged = [
            [self.label_encoder.name(i) for i in rows.argmax(axis=-1)]
            for rows in self.word_probabilities(
                [sentences] if is_one else sentences, batch_size
            )
        ]
        return tagged[0] if is_one else tagged

    def find_entities(self, sentences, batch_size=32):
        """Finds the stretches that labels such as `B-NP`, `I-NP` mark.

        Args:
            sentences: as in `tag`.
            batch_size: int. Rows computed together. Defaults to `32`.

        Returns:
            For a string a list of `Entity`, in order; for a list of sentences
            a list of these.
        """
        is_one = isinstance(sentences, str)
        sentences = to_sentences([sentences] if is_one else sentences)
        found = []
        for words, probabilities in zip(
            sentences, self.word_probabilities(sentences, batch_size)
        ):
            best = probabilities.max(axis=-1)
            tags = map(self.label_encoder.name, probabilities.argmax(axis=-1))
            found.append(
                [
                    Entity(
                        label,
                        start,
                        end,
                        " ".join(words[start:end]),
                        float(best[start:end].min()),
                    )
                    for label, start, end in find_spans(list(tags))
                ]
            )
        return found[0] if is_one else found

    def word_probabilities(self, sentences, batch_size=32):
        """Probabilities of the classes for every word.

        Args:
            sentences: list of sentences, as in `tag`.
            batch_size: int. Rows computed together. Defaults to `32`.

        Returns:
            List of float32 arrays of shape `(words, num_classes)`.
        """
        inference.require_tokenizer(self, "tag")
        sentences = to_sentences(sentences)
        rows = self.preprocessor.split(sentences)
        results = [
            np.zeros((len(words), self.num_classes), "float32")
            for words in sentences
        ]
        for first in range(0, len(rows), batch_size):
            few = rows[first : first + batch_size]
            logits = inference.predict_short(self, self.preprocessor.pack(few))
            for row, scores in zip(few, logits):
                results[row.sentence][row.words] = softmax(
                    scores[row.positions]
                )
        return results

    def check_inputs(self, x):
        to_sentences(x)

    def encode_labels(self, x, y):
        return encode_word_labels(to_sentences(x), y, self.label_encoder)

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "labels": self.labels,
            "dropout": self.dropout,
        }


def find_spans(tags):
    """Reads tags of BIO, IOB and BIOES (also BILOU) as conlleval does.

    A span begins at `B-` and `S-` (`U-`), and wherever `I-` or `E-` (`L-`)
    follows something of another label or outside; it ends with `E-`, `S-`.

    Args:
        tags: list of str, such as `["B-NP", "I-NP", "O", "S-VP"]`.

    Returns:
        List of `(label, start, end)`, such as `[("NP", 0, 2), ("VP", 3, 4)]`;
        `end` is the word after the last.

    Raises:
        ValueError: when a tag has no such prefix.
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
    """Sentences as users give them, as lists of words; see the class."""
    if isinstance(x, (str, bytes)):
        raise TypeError(
            f"`x` must be a list of sentences. Received one string: {x!r}. "
            "Put it in a list."
        )
    sentences = [to_words(words) for words in to_list(x)]
    for index, words in enumerate(sentences):
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


def encode_word_labels(sentences, y, encoder=None):
    """Class numbers of words, a list a sentence, checked.

    Args:
        sentences: list of lists of words.
        y: for each sentence a list of labels, one a word, or a string of
            labels separated by white space.
        encoder: `LabelEncoder`, or `None` where labels are numbers.
    """
    y = to_list(y)
    if len(y) != len(sentences):
        raise ValueError(
            "`y` must hold the labels of every sentence. Received "
            f"{len(sentences)} sentences and labels for {len(y)}."
        )
    encoded = []
    for index, (words, given) in enumerate(zip(sentences, y)):
        labels = to_words(given)
        if isinstance(given, (str, bytes)) and not (encoder and encoder.labels):
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
            if encoder:
                labels = encoder.encode(labels).tolist()
        except ValueError as error:
            raise ValueError(f"In sentence {index}: {error}") from None
        encoded.append(labels)
    return encoded
