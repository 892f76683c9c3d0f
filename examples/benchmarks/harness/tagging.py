"""Labels for words: chunks, entities, parts of speech, from CoNLL's files."""

import collections

from harness.experiment import Experiment
from harness.files import BadRows
from harness.metrics import chunk_metrics
from harness.options import Options
from harness.recipes import TAGGING
from harness.tagging_data import are_chunks
from harness.tagging_data import read_conll
from harness.tagging_data import to_bioes
from keras_electra.tasks.token_classifier import ElectraTokenClassifier
from keras_electra.tasks.token_classifier import (
    ElectraTokenClassifierPreprocessor,
)

# Constant labels that `chance` tries.
FREQUENT = 5


class TaggingExperiment(Experiment):
    """Fine-tunes a preset on words with labels.

    Labels that mark chunks are scored by chunk F1, others by accuracy.

    Args:
        name: string, of the task in results.
        preset: string, name or path of a preset.
        train: path of a file as `read_conll` takes it.
        dev: path of another.
        options: `Options` or `None` for the defaults.

    Raises:
        FileNotFoundError: a file is missing.
        DataFileError: a file is malformed.
    """

    def __init__(self, name, preset, train, dev, options=None):
        options = options or Options()
        bad = BadRows(options.skip_bad_rows)
        sentences, labels = read_conll(train, bad)
        self.dev = read_conll(dev, bad)
        bad.check()
        chunks = are_chunks(labels) and are_chunks(self.dev[1])
        self.main_metric = "f1" if chunks else "accuracy"
        super().__init__(
            *(name, preset, TAGGING, options),
            train=str(train),
            dev=str(dev),
            **bad.settings,
        )
        limit = self.options.limit
        sentences, labels = sentences[:limit], labels[:limit]
        if chunks:
            labels = [to_bioes(row) for row in labels]
            self.dev = self.dev[0], [to_bioes(row) for row in self.dev[1]]
        # As the original (`tagging_tasks.py:83-125`): of all splits, sorted.
        self.labels = sorted(
            {tag for row in labels + self.dev[1] for tag in row}
        )
        self.preprocessor = ElectraTokenClassifierPreprocessor.from_preset(
            preset, sequence_length=self.sequence_length
        )
        self.train = sentences, labels

    def build_task(self, backbone):
        return ElectraTokenClassifier(
            backbone, preprocessor=self.preprocessor, labels=self.labels
        )

    def evaluate(self, task):
        sentences, labels = self.dev
        metrics = self._score(labels, task.tag(sentences))
        counts = collections.Counter(tag for row in labels for tag in row)
        constant = max(
            self._score(labels, [[tag] * len(row) for row in labels])[
                self.main_metric
            ]
            for tag, _ in counts.most_common(FREQUENT)
        )
        return metrics, constant

    def _score(self, labels, predictions):
        metrics = chunk_metrics(labels, predictions)
        if self.main_metric == "accuracy":
            return {"accuracy": metrics["accuracy"]}
        return metrics
