"""One label for each word of a sentence, and what stretches they mark."""

import typing

import keras
import keras_hub
import numpy as np

from keras_electra.data import inputs
from keras_electra.data.rows import RowPreprocessor
from keras_electra.data.rows import make_rows
from keras_electra.data.rows import split_windows
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.labels import check_label_names
from keras_electra.tasks.labels import encode_word_labels
from keras_electra.tasks.labels import is_sentence
from keras_electra.tasks.labels import softmax
from keras_electra.tasks.labels import takes_rows
from keras_electra.tasks.labels import to_sentences
from keras_electra.tasks.task import ElectraTask
from keras_electra.tasks.task import output_layers
from keras_electra.text.tokenizer import ElectraTokenizer


class Entity(typing.NamedTuple):
    """Words that bear one label together.

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


class TaggingRow(typing.NamedTuple):
    """A row of pieces, of a sentence or of a window of it."""

    ids: list  # with [CLS] and [SEP]
    sentence: int  # number of the sentence
    words: list  # numbers of the words judged in this row
    positions: list  # where in `ids` each of them begins


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTokenClassifierPreprocessor(RowPreprocessor):
    """Turns sentences into rows of word pieces, and labels of words with them.

    The label of a word is at its first piece (`[UNK]` if it has none), other
    tokens have weight 0. A long sentence is read in windows that overlap by
    half, each a row; a word is labelled where it has most text around it.

    Args:
        tokenizer, sequence_length, **kwargs: as of every preprocessor.
        segment_id: int. Segment of the sentences. Defaults to `0`; the
            original tags with `1` (`finetune/tagging/tagging_tasks.py:149`).
    """

    makes_labels = True

    def __init__(self, tokenizer, sequence_length=512, segment_id=0, **kwargs):
        super().__init__(tokenizer, sequence_length, **kwargs)
        self.segment_id = segment_id
        self._word_tokenizer = None

    def split(self, sentences):
        """Lists of words to a list of `TaggingRow`, in order."""
        tokenizer, rows = self.word_tokenizer, []
        cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        for number, words in enumerate(sentences):
            pieces, starts = [], []
            for ids in tokenizer.encode_batch(words):
                starts.append(len(pieces))
                pieces += ids or [tokenizer.unk_token_id]
            windows = split_windows(len(pieces), self.sequence_length - 2)
            for start, stop, first, last in windows:
                judged = [i for i, s in enumerate(starts) if first <= s < last]
                ids = [cls, *pieces[start:stop], sep]
                positions = [1 + starts[i] - start for i in judged]
                rows.append(TaggingRow(ids, number, judged, positions))
        return rows

    def pack(self, rows, length=None):
        """Pads rows of `split` to a dict of arrays."""
        ids = [row.ids for row in rows]
        pad = self.tokenizer.pad_token_id
        x = make_rows(ids, map(len, ids), pad, length)
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
            sample_weight = np.ones(len(sentences))
        labels = np.zeros(x["token_ids"].shape, "int32")
        weights = labels.astype("float32")
        for i, row in enumerate(rows):
            labels[i, row.positions] = [y[row.sentence][j] for j in row.words]
            weights[i, row.positions] = sample_weight[row.sentence]
        return x, labels, weights

    def output_spec(self, x=None, y=None, sample_weight=None):
        rows = super().output_spec()
        if y is None:
            return rows
        labels = rows["token_ids"]
        return rows, labels, keras.KerasTensor(labels.shape, "float32")

    @property
    def word_tokenizer(self):
        """Splits at no CJK character, as `tagging_tasks.py:213-233`."""
        if not self.tokenizer.split_on_cjk:
            return self.tokenizer
        if self._word_tokenizer is None:
            config = {**self.tokenizer.get_config(), "split_on_cjk": False}
            tokenizer = ElectraTokenizer.from_config(config)
            tokenizer.set_vocabulary(self.tokenizer.pipeline)
            # Not tracked: it has no state of its own to be saved.
            object.__setattr__(self, "_word_tokenizer", tokenizer)
        return self._word_tokenizer

    @classmethod
    def from_config(cls, config):
        # `"windows"` in older presets: there is no other way to make rows.
        config = {k: v for k, v in config.items() if k != "rules"}
        return super().from_config(config)


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTokenClassifier(ElectraTask, keras_hub.models.Task):
    """Labels words: named entities, chunks, parts of speech.

    Inputs are sentences, lists of words or strings of them. Labels are lists
    (or strings, too), one a word: class numbers or, with `labels`, names.
    Outputs are logits `(batch, length, num_classes)`.

    Args:
        backbone, preprocessor, **kwargs: as of every task.
        num_classes: int or `None`. Defaults to the number of `labels`.
        labels: list of str or `None`. Names of the classes.
        dropout: float. Share of the vectors that is dropped. Defaults to
            `0.0`: the original drops none; transformers drops `0.1`.

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
        backbone,
        num_classes=None,
        preprocessor=None,
        labels=None,
        dropout=0.0,
        **kwargs,
    ):
        labels, num_classes = check_label_names(labels, num_classes)
        self.backbone = backbone
        self.preprocessor = preprocessor
        layers = output_layers(backbone, num_classes, dropout)
        self.output_dropout, self.output_dense = layers
        x = backbone(backbone.input)["sequence_output"]  # (B, L, D)
        outputs = self.output_dense(self.output_dropout(x))
        super().__init__(inputs=backbone.input, outputs=outputs, **kwargs)
        self.num_classes = num_classes
        self.labels = labels
        self.dropout = dropout
        self.label_encoder = LabelEncoder(num_classes, labels)

    def tag(self, sentences, batch_size=32):
        """A list of labels for a string, of such lists for what `fit` takes.

        They are names or, without `labels`, class numbers.
        """
        tagged, is_one = self._tagged(sentences, "tag", batch_size)
        results = [tags for _, tags, _ in tagged]
        return results[0] if is_one else results

    def find_entities(self, sentences, batch_size=32):
        """As `tag`: the `Entity`s that labels such as `B-NP` mark."""
        tagged, is_one = self._tagged(sentences, "find_entities", batch_size)
        results = [[] for _ in tagged]
        for found, (words, tags, scores) in zip(results, tagged):
            for label, start, end in find_spans(tags):
                text = " ".join(words[start:end])
                score = float(scores[start:end].max(axis=-1).min())
                found.append(Entity(label, start, end, text, score))
        return results[0] if is_one else results

    def word_probabilities(self, sentences, batch_size=32):
        """As `tag`: arrays `(words, num_classes)` of probabilities."""
        name = "word_probabilities"
        tagged, is_one = self._tagged(sentences, name, batch_size)
        results = [scores for *_, scores in tagged]
        return results[0] if is_one else results

    def _tagged(self, x, method, batch_size):
        """Words, labels, probabilities of each sentence; whether it is one."""
        x, is_one = self.read_inputs(x, method)
        x, name = to_sentences(x), self.label_encoder.name
        rows = self.preprocessor.split(x)
        scores = [np.zeros((len(w), self.num_classes), "float32") for w in x]
        logits = self.predict_rows(self.preprocessor.pack(rows), batch_size)
        for row, some in zip(rows, logits):
            some = np.asarray(some, "float32")[row.positions]
            scores[row.sentence][row.words] = softmax(some)
        tags = [[name(i) for i in some.argmax(axis=-1)] for some in scores]
        return list(zip(x, tags, scores)), is_one

    def check_inputs(self, x):
        to_sentences(x)

    def encode_labels(self, x, y):
        return encode_word_labels(to_sentences(x), y, self.label_encoder)

    def finish_batch(self, x, y=None, sample_weight=None, training=False):
        if y is not None and np.ndim(y) == 2 and takes_rows(self.loss):
            y = np.eye(self.num_classes, dtype="float32")[y]
        return x, y, sample_weight


def find_spans(tags):
    """Reads tags of BIO, IOB and BIOES (also BILOU) as conlleval does.

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
