"""One task of GLUE: reads it, trains on it, scores it, answers its tests."""

import functools
import pathlib
import sys

import numpy as np

from harness.experiment import Experiment
from harness.files import BadRows
from harness.glue_data import both_orders
from harness.glue_data import read_glue
from harness.metrics import chance
from harness.metrics import glue_metrics
from harness.options import Options
from harness.recipes import glue_recipe
from harness.submission import write_submission
from keras_electra.tasks.text_classifier import ElectraTextClassifier
from keras_electra.tasks.text_classifier import (
    ElectraTextClassifierPreprocessor,
)


class GlueExperiment(Experiment):
    """Fine-tunes a preset on a task of GLUE.

    Args:
        task: string, e.g. `"mrpc"`.
        preset: string, name or path of a preset.
        data: path of the folder that holds the folders of the tasks.
        options: `Options` or `None` for the defaults.
        train_split: string. Defaults to `"train"`.
        dev_splits: tuple of strings or `None` for the recipe's.
        submissions: path of a folder for answers to the test sets, or `None`.

    Raises:
        ValueError: there is no such task, or its data is malformed.
        FileNotFoundError: a file is missing.
    """

    def __init__(
        self,
        task,
        preset,
        data,
        options=None,
        train_split="train",
        dev_splits=None,
        submissions=None,
    ):
        self.recipe = glue_recipe(task)
        self.main_metric = self.recipe.metrics[0]
        self.data = pathlib.Path(data)
        self.submissions = submissions
        dev_splits = dev_splits or self.recipe.dev_splits
        folder = self.data / self.recipe.folder
        # All is read before anything is computed: errors come at once.
        options = options or Options()
        bad = BadRows(options.skip_bad_rows)
        read = functools.partial(read_glue, bad_rows=bad)
        train = read(folder, self.recipe, train_split)
        dev = {name: read(folder, self.recipe, name) for name in dev_splits}
        bad.check()
        # GLUE's server wants an answer to every row: none is skipped here.
        if submissions is not None:
            self._read_tests()
        super().__init__(
            task,
            preset,
            self.recipe,
            options,
            train_split=train_split,
            dev_splits=list(dev_splits),
            **bad.settings,
        )
        train = train.first(self.options.limit)
        if self.recipe.both_orders:
            train = both_orders(train)
        self.preprocessor = ElectraTextClassifierPreprocessor.from_preset(
            preset, sequence_length=self.sequence_length
        )
        self.train = self._data(train)
        self.dev = {name: self._data(part) for name, part in dev.items()}

    def _data(self, examples):
        labels = examples.labels
        if labels is not None and self.recipe.score_range:
            # Original `classification_tasks.py:211-213`.
            low, high = self.recipe.score_range
            labels = (labels - low) / (high - low)
        return examples.x, labels

    def build_task(self, backbone):
        return ElectraTextClassifier(
            backbone,
            num_classes=None if self.recipe.labels else 1,
            preprocessor=self.preprocessor,
            labels=self.recipe.labels,
        )

    def evaluate(self, task):
        metrics, constant = {}, None
        for split, (x, labels) in self.dev.items():
            # The first set has the plain names, e.g. MNLI's matched one.
            suffix = f" {split}" if metrics else ""
            found = glue_metrics(
                self.recipe.metrics, labels, self.predict(task, x)
            )
            metrics.update({k + suffix: v for k, v in found.items()})
            if constant is None:
                constant = chance(self.main_metric, labels)
        return metrics, constant

    def finish(self, task, seed):
        if self.submissions is not None:
            self.answer(task, pathlib.Path(self.submissions) / f"seed-{seed}")

    def predict(self, task, x):
        """Class numbers, or scores as in training, from 0 to 1.

        Args:
            task: the trained classifier.
            x: list of texts, or a tuple of two.

        Returns:
            array `(texts,)`.

        Raises:
            FloatingPointError: when outputs are not finite.
        """
        outputs = task.predict(x, batch_size=self.batch_size, verbose=0)
        if not np.all(np.isfinite(outputs)):
            raise FloatingPointError(
                "The outputs of the trained classifier are not finite. "
                "Expected numbers. Lower the learning rate."
            )
        return outputs.argmax(axis=-1) if self.recipe.labels else outputs[:, 0]

    def answer(self, task, folder):
        """Writes files for GLUE's server, of the test sets there are.

        Args:
            task: the trained classifier.
            folder: path.

        Returns:
            A list of paths.
        """
        paths = []
        for test, examples in self._read_tests():
            predictions = self.predict(task, examples.x)
            path = pathlib.Path(folder) / test.submission
            write_submission(path, predictions, self.recipe)
            paths.append(path)
        return paths

    def _read_tests(self):
        tests = []
        for test in self.recipe.test_sets:
            folder = self.data / test.folder
            try:
                examples = read_glue(folder, self.recipe, test.split, False)
                tests.append((test, examples))
            except FileNotFoundError as error:
                print(f"No answers to {test.split}: {error}", file=sys.stderr)
        return tests
