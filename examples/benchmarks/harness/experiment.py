"""One task on one preset: trains, scores, and can do so again and again."""

import copy
import dataclasses

import keras

from harness import training
from harness.networks import digest
from harness.networks import open_backbone
from harness.options import Options
from harness.progress import TrainingProgress


class Experiment:
    """What the experiments on all tasks share; to be derived from.

    A subclass sets `train`, what the task's `fit` takes first: a tuple of
    inputs, labels and no more. It has `build_task` and `evaluate`.

    Args:
        name: string. Of the task, for results.
        preset: string, name or path of a preset.
        recipe: what has `epochs`, `batch_size` and `sequence_length`.
        options: `Options` or `None` for the defaults.
        **settings: what else decides about the result.

    Attributes:
        main_metric: string. The metric by which runs are judged.
        sequence_length: int. The recipe's, or as many tokens as the network
            has positions if these are fewer.
        settings: dict. Identity of a run beside its seed.
    """

    main_metric = None

    def __init__(self, name, preset, recipe, options=None, **settings):
        self.name = name
        self.preset = str(preset)
        self.recipe = recipe
        self.own_settings = settings
        backbone = open_backbone(preset)
        self.weights = digest(backbone)
        self.sequence_length = min(
            recipe.sequence_length, backbone.max_sequence_length
        )
        self._set_options(options or Options())

    def _set_options(self, options):
        self.options = options
        self.epochs = options.epochs or self.recipe.epochs
        self.batch_size = options.batch_size or self.recipe.batch_size
        self.settings = {
            "preset": self.preset,
            "weights": self.weights,
            "protocol": options.protocol,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "sequence_length": self.sequence_length,
            "dtype": options.dtype or keras.config.dtype_policy().name,
            "limit": options.limit,
            **options.optimizer,
            **self.own_settings,
        }

    def with_options(self, options):
        """The same experiment on the same rows with other `Options`.

        `limit` stays as it is: the rows are made.
        """
        other = copy.copy(self)
        other._set_options(
            dataclasses.replace(options, limit=self.options.limit)
        )
        return other

    def build_task(self, backbone):
        """The task with fresh heads on a network."""
        raise NotImplementedError

    def evaluate(self, task):
        """Scores a trained task.

        Args:
            task: the trained task.

        Returns:
            `(metrics, chance)`: dict of floats in percent, and the main
            metric of the best guess that looks at no text.
        """
        raise NotImplementedError

    def finish(self, task, seed):
        """Called with every trained task that began from the preset."""

    def build(self, random_weights=False):
        """The task on the network of the preset.

        Args:
            random_weights: bool. Whether the network's weights are fresh,
                too. Defaults to `False`.

        Returns:
            A task of this package.
        """
        dtype = self.options.dtype
        return self.build_task(
            open_backbone(self.preset, random_weights, dtype)
        )

    def prepare(self, task):
        """Compiles a task as the recipe and the protocol say."""
        training.prepare(
            task,
            training.num_steps(self.train, self.batch_size, self.epochs),
            self.options.protocol,
            self.options.jit_compile,
            **self.options.optimizer,
        )

    def run(self, seed, random_weights, title):
        """Trains and scores once.

        Args:
            seed: int. Keras', NumPy's and Python's are set to it already.
            random_weights: bool. Whether to start from fresh weights.
            title: string for the line of progress.

        Returns:
            dict: `metrics` and `chance` as from `evaluate`, `curve` (list of
            `[step, loss]`), `training_seconds` and `parameters`.

        Raises:
            FloatingPointError: when the loss or the outputs are not finite.
        """
        task = self.build(random_weights)
        self.prepare(task)
        progress = TrainingProgress(
            title,
            training.num_steps(self.train, self.batch_size, self.epochs),
            self.batch_size,
            stream=self.options.stream,
        )
        task.fit(
            *self.train,
            batch_size=self.batch_size,
            epochs=self.epochs,
            callbacks=[progress],
            verbose=0,
        )
        metrics, constant = self.evaluate(task)
        if not random_weights:
            self.finish(task, seed)
        return {
            "metrics": metrics,
            "chance": constant,
            "curve": progress.curve,
            "training_seconds": round(progress.seconds, 1),
            "parameters": task.count_params(),
        }
