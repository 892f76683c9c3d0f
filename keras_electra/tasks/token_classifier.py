"""One label for each word of a sentence, and what stretches they mark."""

import functools
import typing
from collections import namedtuple
from typing import Any

import keras
import keras_hub
import numpy as np

from keras_electra.data import inputs
from keras_electra.data.rows import RowPreprocessor
from keras_electra.data.rows import make_rows
from keras_electra.data.rows import split_windows
from keras_electra.tasks.calibration import Calibrates
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.labels import takes_rows
from keras_electra.tasks.task import ElectraTask
from keras_electra.text.tokenizer import ElectraTokenizer

# Pieces, with `[CLS]` and `[SEP]`, of a sentence (its number) or of a window of
# it; numbers of the words judged in this row, and where in `ids` they begin.
TaggingRow = namedtuple("TaggingRow", "ids sentence words positions")


class Entity(typing.NamedTuple):
    """Words that bear one label together.

    Attributes:
        label, text: string. Such as `"NP"`, without prefix; and the words.
        start, end: int. Number of the first word, and of that after the last.
        probability: float. The least of its words' probabilities.
    """

    label: str
    start: int
    end: int
    text: str
    probability: float


def to_sentences(x: Any) -> Any:
    """Columns of sentences as lists of words, checked."""
    sentences = [s.split() if isinstance(s, str) else s for s in x]
    for index, words in enumerate(sentences):
        is_list = isinstance(words, (list, tuple))
        if not is_list or not all(isinstance(word, str) for word in words):
            raise TypeError(
                "`x` must hold sentences, strings or lists of words. Sentence "
                f"{index} is {words!r} of type {type(words).__name__}."
            )
    return sentences


def is_sentence(x: Any, y: Any) -> bool:
    """Whether `x` is a list of words and `y` their labels, and no batch."""
    if not isinstance(x, list) or not all(map(inputs.is_text, x)):
        return False
    items = x if y is None else [*x, *y]
    return all(np.ndim(i) == 0 and len(str(i).split()) < 2 for i in items)


def encode_word_labels(sentences: Any, y: Any, encoder: Any = None) -> Any:
    """Class numbers of words, a list a sentence, checked."""
    encoded = []
    for index, (words, labels) in enumerate(zip(sentences, y)):
        if isinstance(labels, str):
            labels = labels.split()
            if encoder is None or not encoder.labels:
                labels = [int(i) if i.isdigit() else i for i in labels]
        labels = labels if np.ndim(labels) else [labels]
        if len(labels) != len(words):
            raise ValueError(
                f"`y` must hold one label a word. Sentence {index}, {words}, "
                f"has {len(words)} words and {len(labels)} labels."
            )
        try:
            labels = encoder.encode(labels).tolist() if encoder else labels
        except (TypeError, ValueError) as error:
            raise type(error)(f"In sentence {index}: {error}") from None
        encoded.append(labels)
    return encoded


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTokenClassifierPreprocessor(RowPreprocessor):
    """Turns sentences into rows of word pieces, and labels of words with them.

    The label of a word is at its first piece (`[UNK]` if it has none); other
    tokens weigh 0. Long sentences are read in windows that overlap by half,
    each a row; a word is labelled where it has most text around it.

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.
        segment_id: int. Defaults to `0`; 1 as in `tagging_tasks.py:149`.
    """

    makes_labels = True

    def __init__(self, tokenizer, sequence_length=512, segment_id=0, **kwargs):
        super().__init__(tokenizer, sequence_length, **kwargs)
        self.keep_arguments(locals())

    def split(self, sentences: object) -> object:
        """Lists of words to a list of `TaggingRow`, in order."""
        tokenizer, rows = self.word_tokenizer, []
        cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        for number, words in enumerate(sentences):
            pieces, starts = [], []
            for ids in tokenizer.encode_batch(words):
                starts.append(len(pieces))
                pieces += ids or [tokenizer.unk_token_id]
            windows = split_windows(len(pieces), self.sequence_length - 2)
            # Of no word there is one, too.
            for start, stop, first, last in windows or [(0, 0, 0, 0)]:
                judged = [i for i, s in enumerate(starts) if first <= s < last]
                ids = [cls, *pieces[start:stop], sep]
                positions = [1 + starts[i] - start for i in judged]
                rows.append(TaggingRow(ids, number, judged, positions))
        return rows

    def pack(self, rows: object, length: int | None = None) -> object:
        """Pads rows of `split` to a dict of arrays."""
        ids = [row.ids for row in rows]
        x = make_rows(ids, map(len, ids), self.tokenizer.pad_token_id, length)
        x["segment_ids"] = x["padding_mask"] * self.segment_id
        return x

    def rows(self, x, y=None, sample_weight=None, length=None):
        sentences = to_sentences(x)
        rows = self.split(sentences)
        x = self.pack(rows, length)
        if y is None:
            return x
        y = encode_word_labels(sentences, y)
        if sample_weight is None:
            sample_weight = np.ones(len(y))
        labels = np.zeros(x["token_ids"].shape, "int32")
        weights = labels.astype("float32")
        for i, row in enumerate(rows):
            labels[i, row.positions] = [y[row.sentence][j] for j in row.words]
            weights[i, row.positions] = sample_weight[row.sentence]
        return x, labels, weights

    # It has no state of its own to be saved, so Keras need not track it.
    @functools.cached_property
    def word_tokenizer(self) -> Any:
        """Splits at no CJK character, as `tagging_tasks.py:213-233`."""
        if not self.tokenizer.split_on_cjk:
            return self.tokenizer
        config = {**self.tokenizer.get_config(), "split_on_cjk": False}
        tokenizer = ElectraTokenizer.from_config(config)
        tokenizer.set_vocabulary(self.tokenizer.pipeline)
        return tokenizer

    @classmethod
    def from_config(cls, config: dict[str, object]) -> object:
        # In older presets: there is one way to make rows.
        config = {k: v for k, v in config.items() if k != "rules"}
        return super().from_config(config)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTokenClassifier(Calibrates, ElectraTask, keras_hub.models.Task):
    """Labels words: named entities, chunks, parts of speech.

    Inputs are sentences, and labels one a word, class numbers or, with
    `labels`, names: both are lists, or strings that are split at spaces.
    Outputs are logits `(batch, length, num_classes)`.

    Args:
        backbone, preprocessor, **kwargs: as of every task.
        num_classes: int. Defaults to the number of `labels`.
        labels: list of str or `None`. Names of the classes.
        dropout: float. Share of the vectors dropped. Defaults to `0.0`.

    ```python
    tagger = keras_electra.ElectraTokenClassifier.from_preset(
        "electra_tiny_en", labels=["O", "B-NP", "I-NP"]
    )
    tagger.fit([["A", "bee", "sleeps"]], [["B-NP", "I-NP", "O"]])
    tagger.find_entities("A bee sleeps")  # [Entity("NP", 0, 2, "A bee", 0.9)]
    ```
    """

    preprocessor_cls = ElectraTokenClassifierPreprocessor
    token_labels = True
    token_outputs = True
    names = inputs.Names(
        (("tokens",), ("words",), ("sentence",), ("text",)),
        ("labels", "label", "tags", "ner_tags", "pos_tags", "chunk_tags"),
        is_sentence,
    )

    def __init__(
        self,
        backbone: keras.Model,
        num_classes: int | None = None,
        preprocessor: keras.Layer | None = None,
        labels: list[str] | None = None,
        dropout: float = 0.0,
        calibration: dict[str, object] | None = None,
        **kwargs: object,
    ) -> None:
        encoder = LabelEncoder(num_classes, labels)
        num_classes, labels = encoder.num_classes, encoder.labels
        self.keep_arguments(locals())
        x = backbone(backbone.input)["sequence_output"]  # (B, L, D)
        outputs = self.add_logits(x, num_classes, dropout)
        super().__init__(inputs=backbone.input, outputs=outputs, **kwargs)
        self.label_encoder = encoder

    def tag(self, sentences, batch_size=32, abstain_below=0.0):
        """A label a word for a string; a list of such lists for several.

        It is `None` where none is as probable as `abstain_below`.
        """

        def read(words, tags, scores):
            sure = scores.max(axis=-1) >= abstain_below
            return [tag if good else None for tag, good in zip(tags, sure)]

        return self._label(read, sentences, "tag", batch_size, abstain_below)

    def find_entities(self, sentences, batch_size=32, abstain_below=0.0):
        """As `tag`, the `Entity`s that labels such as `B-NP` mark, if sure."""

        def read(words, tags, scores):
            best = scores.max(axis=-1)
            found = [
                Entity(name, a, b, " ".join(words[a:b]), best[a:b].min().item())
                for name, a, b in find_spans(tags)
            ]
            return [e for e in found if e.probability >= abstain_below]

        given = sentences, "find_entities", batch_size, abstain_below
        return self._label(read, *given)

    def word_probabilities(self, sentences, batch_size=32):
        """As `tag`: arrays `(words, num_classes)` of probabilities."""
        given = sentences, "word_probabilities", batch_size
        return self._label(lambda words, tags, scores: scores, *given)

    def _label(self, read, x, method, batch_size, least=0.0):
        """`read(words, tags, scores)` of a sentence, or a list of several."""
        x, is_one = self.read_inputs(x, method, None, least)
        x, names = to_sentences(x), self.label_encoder.names
        rows = self.preprocessor.split(x)
        scores = [np.zeros((len(w), self.num_classes), "float32") for w in x]
        logits = self.predict_rows(self.preprocessor.pack(rows), batch_size)
        for row, some in zip(rows, logits):
            p = self.probabilities(some[row.positions])
            scores[row.sentence][row.words] = p
        tags = [[names[i] for i in some.argmax(axis=-1)] for some in scores]
        results = list(map(read, x, tags, scores))
        return results[0] if is_one else results

    def check_inputs(self, x: object) -> None:
        to_sentences(x)

    def encode_labels(self, x: object, y: object) -> object:
        return encode_word_labels(to_sentences(x), y, self.label_encoder)

    def finish_batch(self, x, y=None, sample_weight=None, training=False):
        if y is not None and np.ndim(y) == 2 and takes_rows(self.loss):
            y = np.eye(self.num_classes, dtype="float32")[y]
        return x, y, sample_weight


def find_spans(tags: Any) -> Any:
    """`(label, start, end)` of BIO, IOB, BIOES or BILOU, as conlleval does."""
    spans, before = [], "O"  # the prefix of the tag before
    for i, tag in enumerate(tags):
        prefix, dash, label = str(tag).partition("-")
        if tag != "O" and (not dash or prefix not in tuple("BIESLU")):
            raise ValueError(
                "Spans are read from tags such as `B-NP`, `I-NP` and `O`. "
                f"Received: {tag!r}."
            )
        goes_on = prefix in "IEL" and before in "BI" and spans[-1][0] == label
        if prefix != "O":
            start = spans.pop()[1] if goes_on else i
            spans.append((label, start, i + 1))
        before = prefix
    return spans
