"""One task of GLUE: reads it, trains on it, scores it, answers its tests."""

import pathlib
import sys

import numpy as np

from keras_electra.finetuning import training
from keras_electra.finetuning.glue_data import both_orders
from keras_electra.finetuning.glue_data import read_glue
from keras_electra.finetuning.grouping import LENGTHS
from keras_electra.finetuning.grouping import GroupedBatches
from keras_electra.finetuning.metrics import chance
from keras_electra.finetuning.metrics import glue_metrics
from keras_electra.finetuning.networks import digest
from keras_electra.finetuning.networks import open_backbone
from keras_electra.finetuning.progress import TrainingProgress
from keras_electra.finetuning.recipes import glue_recipe
from keras_electra.finetuning.runs import Experiment
from keras_electra.finetuning.submission import write_submission
from keras_electra.tasks.text_classifier import ElectraTextClassifier
from keras_electra.tasks.text_classifier_preprocessor import (
    ElectraTextClassifierPreprocessor,
)


class GlueExperiment(Experiment):
    """Fine-tunes a preset on a task of GLUE.

    Args:
        task: string, e.g. `"mrpc"`.
        preset: string, name or path of a preset.
        data: path of the folder that holds the folders of the tasks.
        protocol: string, `"paper"` (the default) or `"google"`.
        epochs: int or `None` for the recipe's.
        batch_size: int or `None` for the recipe's.
        train_split: string. Defaults to `"train"`.
        dev_splits: tuple of strings or `None` for the recipe's.
        limit: int or `None`. Examples to train on, from the front.
        submissions: path of a folder for answers to the test sets, or `None`.
        lengths: as in `GroupedBatches`.
        jit_compile: as in `keras.Model.compile`.
        **optimizer_arguments: of `keras_electra.finetuning_optimizer`.

    Raises:
        ValueError: there is no such task, or its data is malformed.
        FileNotFoundError: a file is missing.
    """

    def __init__(
        self,
        task,
        preset,
        data,
        protocol="paper",
        epochs=None,
        batch_size=None,
        train_split="train",
        dev_splits=None,
        limit=None,
        submissions=None,
        lengths=LENGTHS,
        jit_compile="auto",
        stream=sys.stderr,
        **optimizer_arguments,
    ):
        recipe = glue_recipe(task)
        self.recipe = recipe
        self.name = recipe.name
        self.main_metric = recipe.metrics[0]
        self.preset = preset
        self.data = pathlib.Path(data)
        self.protocol = protocol
        self.epochs = epochs or recipe.epochs
        self.batch_size = batch_size or recipe.batch_size
        self.submissions = submissions
        self.lengths = lengths
        self.jit_compile = jit_compile
        self.stream = stream
        self.optimizer_arguments = optimizer_arguments
        dev_splits = dev_splits or recipe.dev_splits
        self.settings = {
            "preset": str(preset),
            "weights": digest(open_backbone(preset)),
            "protocol": protocol,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "sequence_length": recipe.sequence_length,
            "train_split": train_split,
            "dev_splits": list(dev_splits),
            "limit": limit,
            **optimizer_arguments,
        }
        folder = self.data / recipe.folder
        train = read_glue(folder, recipe, train_split)
        if limit:
            train.texts = tuple(column[:limit] for column in train.texts)
            train.labels = train.labels[:limit]
        if recipe.both_orders:
            train = both_orders(train)
        dev = {name: read_glue(folder, recipe, name) for name in dev_splits}
        self.preprocessor = ElectraTextClassifierPreprocessor.from_preset(
            preset, sequence_length=recipe.sequence_length
        )
        self.train = self._encoded(train)
        self.dev = {name: self._encoded(part) for name, part in dev.items()}

    def _encoded(self, examples):
        rows = training.encode(self.preprocessor, examples.x)
        labels = examples.labels
        if labels is not None and self.recipe.score_range:
            # Original `classification_tasks.py:211-213`.
            low, high = self.recipe.score_range
            labels = (labels - low) / (high - low)
        return rows, labels

    def build(self, random_weights=False):
        """A fresh classifier on the network of the preset.

        Args:
            random_weights: bool. Whether the network's weights are fresh, too.

        Returns:
            An `ElectraTextClassifier`.
        """
        return ElectraTextClassifier(
            open_backbone(self.preset, random_weights),
            num_classes=None if self.recipe.labels else 1,
            preprocessor=self.preprocessor,
            labels=self.recipe.labels,
        )

    def batches(self, seed):
        """The training rows, grouped by length."""
        return GroupedBatches(
            *self.train,
            batch_size=self.batch_size,
            seed=seed,
            lengths=self.lengths,
        )

    def fit(self, task, batches, callbacks=(), epochs=None):
        """Trains a classifier as the recipe and the protocol say."""
        return training.fine_tune(
            task,
            batches,
            epochs or self.epochs,
            protocol=self.protocol,
            callbacks=callbacks,
            jit_compile=self.jit_compile,
            **self.optimizer_arguments,
        )

    def run(self, seed, random_weights, title):
        task, batches = self.build(random_weights), self.batches(seed)
        steps = len(batches) * self.epochs
        progress = TrainingProgress(
            title, steps, self.batch_size, stream=self.stream
        )
        self.fit(task, batches, [progress])
        metrics, constant = self.evaluate(task)
        if self.submissions is not None and not random_weights:
            self.answer(task, pathlib.Path(self.submissions) / f"seed-{seed}")
        return {
            "metrics": metrics,
            "chance": constant,
            "curve": progress.curve,
            "training_seconds": round(progress.seconds, 1),
            "parameters": task.count_params(),
        }

    def evaluate(self, task):
        """Scores a classifier on the development sets.

        Args:
            task: the trained classifier.

        Returns:
            `(metrics, chance)`: dict of floats in percent, and the first of
            them for a constant guess. Metrics of further sets bear the name
            of the set, e.g. `accuracy dev_mismatched`.
        """
        metrics, constant = {}, None
        for split, (rows, labels) in self.dev.items():
            suffix = f" {split}" if metrics else ""
            found = glue_metrics(
                self.recipe.metrics, labels, self.predict(task, rows)
            )
            metrics.update({k + suffix: v for k, v in found.items()})
            if constant is None:
                constant = chance(self.main_metric, labels)
        return metrics, constant

    def predict(self, task, rows):
        """Class numbers, or scores in the range of the training's."""
        outputs = training.outputs_of(task, rows, self.batch_size, self.lengths)
        if not np.all(np.isfinite(outputs)):
            raise FloatingPointError(
                "The outputs of the trained classifier are not finite. "
                "Expected numbers. Lower the learning rate."
            )
        if self.recipe.labels:
            return outputs.argmax(axis=-1)
        return outputs[:, 0]

    def answer(self, task, folder):
        """Writes files for GLUE's server, of the test sets there are.

        Args:
            task: the trained classifier.
            folder: path.

        Returns:
            A list of paths.
        """
        paths = []
        for test in self.recipe.test_sets:
            try:
                examples = read_glue(
                    self.data / test.folder, self.recipe, test.split, False
                )
            except FileNotFoundError as error:
                print(f"No answers to {test.split}: {error}", file=sys.stderr)
                continue
            predictions = self.predict(task, self._encoded(examples)[0])
            path = pathlib.Path(folder) / test.submission
            write_submission(path, predictions, self.recipe)
            paths.append(path)
        return paths
