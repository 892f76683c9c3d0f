"""Sentences of words to the inputs of the token classifier."""

import keras
import numpy as np

from keras_electra.tasks.in_graph import rows_spec
from keras_electra.tasks.row_preprocessor import RowPreprocessor
from keras_electra.tasks.rows import NAMES
from keras_electra.tasks.rows import make_rows
from keras_electra.tasks.sentences import to_list
from keras_electra.tasks.sentences import to_sentences
from keras_electra.tasks.sentences import to_words
from keras_electra.tasks.tagging_rows import RULES
from keras_electra.text.tokenizer import ElectraTokenizer


@keras.saving.register_keras_serializable(package="keras_electra")
class ElectraTokenClassifierPreprocessor(RowPreprocessor):
    """Turns sentences into rows of word pieces, and labels of words with them.

    The label of a word is at its first piece; all other tokens have weight
    0. A sentence that is too long becomes several rows, and every word is
    labelled in exactly one of them: the batch grows.

    Args:
        tokenizer: `ElectraTokenizer`.
        sequence_length: int. Length of the rows, in tokens. Defaults to
            `512`; loaded from a preset, to at most its network's positions.
        segment_id: int. Segment of the sentences. Defaults to `0`, as
            everywhere and in transformers; the original tags with `1`
            (`finetune/tagging/tagging_tasks.py:149`).
        rules: string. `"windows"`, the default, or `"original"` for the
            rows of the original program, which cut long sentences short.
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

    Raises:
        ValueError: when a sentence has no words, or more or fewer words than
            labels.
    """

    def __init__(
        self,
        tokenizer,
        sequence_length=512,
        segment_id=0,
        rules="windows",
        **kwargs,
    ):
        super().__init__(tokenizer, sequence_length, **kwargs)
        if rules not in RULES:
            raise ValueError(
                f"`rules` must be one of {sorted(RULES)}. "
                f"Received: rules={rules!r}."
            )
        self.segment_id = segment_id
        self.rules = rules
        self._word_tokenizer = None

    def split(self, sentences):
        """Splits sentences into rows.

        Args:
            sentences: list of lists of words.

        Returns:
            List of `TaggingRow`.
        """
        rules = RULES[self.rules]
        return rules(sentences, self._words_alone(), self.sequence_length)

    def pack(self, rows):
        """Pads the rows of `split` to a dict of arrays."""
        return make_rows(
            [row.ids for row in rows],
            [[self.segment_id] * len(row.ids) for row in rows],
            self.tokenizer.pad_token_id,
            self.sequence_length,
        )

    def rows(self, x, y=None, sample_weight=None):
        """Rows of sentences, with labels and weights; see the class."""
        sentences = to_sentences(x)
        rows = self.split(sentences)
        x = self.pack(rows)
        if y is None:
            return x
        y = [[int(label) for label in to_words(row)] for row in to_list(y)]
        for index, (words, labels) in enumerate(zip(sentences, y, strict=True)):
            if len(words) != len(labels):
                raise ValueError(
                    f"`y` must hold one label a word. Sentence {index} has "
                    f"{len(words)} words and {len(labels)} labels."
                )
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

    def _words_alone(self):
        """The tokenizer, without its splitting at CJK characters."""
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
        config = super().get_config()
        config.update({"segment_id": self.segment_id, "rules": self.rules})
        return config
