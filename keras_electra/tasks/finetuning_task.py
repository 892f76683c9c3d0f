"""What all fine-tuning tasks share: raw data in, checked and shuffled.

Labels and texts in memory are checked as a whole before the first step, those
of a data set batch by batch. Inside TensorFlow graphs, as in `tf.data`, the
same Python code is called back.
"""

import functools

import keras

from keras_electra.arguments import known_keywords
from keras_electra.tasks.finetuning import default_optimizer
from keras_electra.tasks.finetuning import restore_compilation
from keras_electra.tasks.in_graph import run_in_python
from keras_electra.tasks.loaders import LoaderBatches
from keras_electra.tasks.loaders import is_loader
from keras_electra.tasks.shuffling import shuffled_fit
from keras_electra.training.in_memory import is_in_memory


class FineTuningTask:
    """`fit`, `evaluate`, `predict` of a task; mixed in before its base class.

    Attributes:
        rows_ahead: bool. Whether data in memory becomes rows of token ids
            before `fit` and `evaluate`: where one example may become several
            rows, which are then shuffled and batched one by one.
    """

    rows_ahead = False

    @known_keywords(keras.Model.compile)
    def compile(
        self,
        optimizer="auto",
        loss="auto",
        *,
        metrics=None,
        weighted_metrics="auto",
        **kwargs,
    ):
        """Sets optimizer, loss and metrics; see `keras.Model.compile`.

        Args:
            optimizer: an optimizer or its name. `"auto"`, the default, is
                `ElectraAdamW` at the paper's rate for the size of the
                network (3e-4 small, 1e-4 base, 5e-5 large), without warm-up.
            loss: a loss or its name. `"auto"`, the default, is that of the
                task.
            metrics: list or `None`.
            weighted_metrics: list or `None`. `"auto"`, the default, are those
                of the task, unless there are `metrics`.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = default_optimizer(self.backbone)
        if loss == "auto":
            loss = self.default_loss()
        if weighted_metrics == "auto":
            weighted_metrics = (not metrics and self.default_metrics()) or None
        super().compile(
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def default_loss(self):
        """The loss of the task."""

    def default_metrics(self):
        """The metrics of the task, a list."""

    def compile_from_config(self, config):
        restore_compilation(self, config)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        sample_weight=None,
        validation_data=None,
        **kwargs,
    ):
        """Trains on raw data, shuffled anew in every epoch.

        Args:
            x: raw data as the class describes it, rows of token ids, or a
                data set of either in batches: `tf.data`, `grain`, a torch
                `DataLoader`.
            y: labels as the class describes them; `None` for a data set.
            batch_size: int or `None`. Examples a step, for data in memory.
                Defaults to `32`.
            sample_weight: list or array of one weight an example, or `None`.
            validation_data: tuple of `x` and `y`, or a data set.
            **kwargs: `epochs`, `shuffle`, `validation_split` and the like of
                `keras.Model.fit`. A data set is taken in its own order.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: when texts or labels are not what the task takes.
        """
        x, y, sample_weight = self._ready(x, y, sample_weight)
        if isinstance(x, LoaderBatches):
            kwargs.setdefault("steps_per_epoch", x.num_batches)
        if isinstance(validation_data, tuple):
            validation_data = keras.utils.pack_x_y_sample_weight(
                *self._ready(
                    *keras.utils.unpack_x_y_sample_weight(validation_data)
                )
            )
        elif is_loader(validation_data):
            validation_data = LoaderBatches(validation_data)
            kwargs.setdefault("validation_steps", validation_data.num_batches)
        return shuffled_fit(
            super().fit,
            x,
            y,
            batch_size=batch_size,
            sample_weight=sample_weight,
            validation_data=validation_data,
            **kwargs,
        )

    def evaluate(
        self, x=None, y=None, batch_size=None, sample_weight=None, **kwargs
    ):
        """Reports loss and metrics; takes what `fit` takes."""
        if not kwargs.get("_use_cached_eval_dataset"):
            x, y, sample_weight = self._ready(x, y, sample_weight)
            if isinstance(x, LoaderBatches):
                kwargs.setdefault("steps", x.num_batches)
        return super().evaluate(x, y, batch_size, sample_weight, **kwargs)

    def predict(self, x=None, batch_size=None, **kwargs):
        """The network's outputs; takes what `fit` takes, without labels."""
        x, _, _ = self._ready(x, None, None)
        if isinstance(x, LoaderBatches):
            kwargs.setdefault("steps", x.num_batches)
        return super().predict(x, batch_size, **kwargs)

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """A batch of raw data to a batch of rows; see `fit`."""
        if is_rows(x) or self.preprocessor is None:
            return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        return run_in_python(
            functools.partial(self._to_rows, is_whole=True),
            (x, y, sample_weight),
            self.preprocessor.output_spec(
                self.label_spec if self.makes_labels(x, y) else None,
                sample_weight is not None,
            ),
        )

    def makes_labels(self, x, y):
        """Whether rows of raw inputs and labels come with labels."""
        return y is not None

    def check_inputs(self, x):
        """Raises for raw inputs that the task does not take."""

    def encode_labels(self, x, y):
        """Checked labels, as the preprocessor takes them."""
        return y

    def _ready(self, x, y, sample_weight):
        """Checks data in memory; wraps a loader."""
        if is_loader(x):
            return LoaderBatches(x), y, sample_weight
        if not is_in_memory(x) or is_rows(x) or self.preprocessor is None:
            return x, y, sample_weight
        if self.rows_ahead:
            rows = self._to_rows(x, y, sample_weight)
            return keras.utils.unpack_x_y_sample_weight(rows)
        self.check_inputs(x)
        if y is not None:
            y = self.encode_labels(x, y)
        return x, y, sample_weight

    def _to_rows(self, x, y=None, sample_weight=None, is_whole=False):
        self.check_inputs(x)
        if y is not None:
            y = self.encode_labels(x, y)
        # Not through `__call__` if it can be helped: Keras would wrap errors.
        if not hasattr(self.preprocessor, "rows"):
            return self.preprocessor(x, y=y, sample_weight=sample_weight)
        length = self.preprocessor.sequence_length if is_whole else None
        return self.preprocessor.rows(x, y, sample_weight, length)


def is_rows(x):
    """Whether inputs are rows of token ids already."""
    return isinstance(x, dict) and "token_ids" in x
