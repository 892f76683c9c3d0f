"""One label for each word of a sentence."""

import keras
import keras_hub
import numpy as np

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.presets_saving import SavesPresets
from keras_electra.tasks import inference
from keras_electra.tasks.entities import Entity
from keras_electra.tasks.entities import find_spans
from keras_electra.tasks.finetuning import default_optimizer
from keras_electra.tasks.finetuning_task import FineTuningTask
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.labels import check_label_names
from keras_electra.tasks.labels import check_num_classes
from keras_electra.tasks.probabilities import softmax
from keras_electra.tasks.sentences import encode_word_labels
from keras_electra.tasks.sentences import to_sentences
from keras_electra.tasks.token_classifier_preprocessor import (
    ElectraTokenClassifierPreprocessor,
)
from keras_electra.tasks.word_loss import WordCrossentropy


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

    Raises:
        ValueError: when `num_classes` is not a positive integer.

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

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        weighted_metrics="auto",
        **kwargs,
    ):
        """Sets optimizer, loss and metrics; see `keras.Model.compile`.

        Args:
            optimizer: an optimizer or its name. `"auto"`, the default, is
                `ElectraAdamW` at the paper's rate for the size of the
                network (3e-4 small, 1e-4 base, 5e-5 large), without warm-up.
            loss: a loss or its name. `"auto"`, the default, is the
                cross-entropy of the words, averaged over them.
            weighted_metrics: list. `"auto"`, the default, is the accuracy on
                words.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = default_optimizer(self.backbone)
        if loss == "auto":
            loss = WordCrossentropy()
        if weighted_metrics == "auto":
            weighted_metrics = [
                keras.metrics.SparseCategoricalAccuracy(name="accuracy")
            ]
        super().compile(
            optimizer=optimizer,
            loss=loss,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def tag(self, sentences, batch_size=32):
        """Labels every word.

        Args:
            sentences: a string, whose words are separated by white space, or
                a list of sentences: strings or lists of words.
            batch_size: int. Rows computed together. Defaults to `32`.

        Returns:
            For a string a list of labels, one a word: names or, without
            `labels`, class numbers. For a list of sentences a list of these.

        Raises:
            TypeError: when `sentences` holds anything else.
            ValueError: when a sentence has no words, or there is no
                preprocessor.
        """
        is_one = isinstance(sentences, str)
        sentences = to_sentences([sentences] if is_one else sentences)
        tagged = [
            [self.label_encoder.name(i) for i in rows.argmax(axis=-1)]
            for rows in self.word_probabilities(sentences, batch_size)
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

        Raises:
            TypeError: when `sentences` holds anything else.
            ValueError: when the names of the classes are not of this kind, a
                sentence has no words, or there is no preprocessor.
        """
        is_one = isinstance(sentences, str)
        sentences = to_sentences([sentences] if is_one else sentences)
        found = []
        for words, probabilities in zip(
            sentences, self.word_probabilities(sentences, batch_size)
        ):
            tags = [
                self.label_encoder.name(i)
                for i in probabilities.argmax(axis=-1)
            ]
            best = probabilities.max(axis=-1)
            found.append(
                [
                    Entity(
                        label,
                        start,
                        end,
                        " ".join(words[start:end]),
                        float(best[start:end].min()),
                    )
                    for label, start, end in find_spans(tags)
                ]
            )
        return found[0] if is_one else found

    def word_probabilities(self, sentences, batch_size=32):
        """Probabilities of the classes for every word.

        Args:
            sentences: list of sentences, as in `tag`.
            batch_size: int. Rows computed together. Defaults to `32`.

        Returns:
            List of float32 arrays of shape `(words, num_classes)`. A word
            that the preprocessor's `rules` lose has NaN.

        Raises:
            ValueError: when there is no preprocessor.
        """
        inference.require_tokenizer(self, "tag")
        sentences = to_sentences(sentences)
        rows = self.preprocessor.split(sentences)
        results = [
            np.full((len(words), self.num_classes), np.nan, "float32")
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
        config = super().get_config()
        config.update(
            {
                "num_classes": self.num_classes,
                "labels": self.labels,
                "dropout": self.dropout,
            }
        )
        return config
