"""What all tasks share: training and use on data of any form."""

import keras
import numpy as np

from keras_electra.arguments import keyword_names
from keras_electra.arguments import known_keywords
from keras_electra.data import batches as batching
from keras_electra.data import inputs
from keras_electra.data.inputs import checked_size
from keras_electra.tasks.feeding import TakesExamples
from keras_electra.tasks.feeding import inputs_are_rows
from keras_electra.training.fit import FitsExamples
from keras_electra.training.optimizers import ElectraAdamW
from keras_electra.training.recipes import finetuning_rate


class ElectraTask(TakesExamples, FitsExamples):
    """Training and use of a task; mixed in before KerasHub's base class.

    Args:
        backbone: `ElectraBackbone`.
        preprocessor: the task's preprocessor, or `None`, the default, to pass
            rows of token ids instead of raw inputs.
        **kwargs: `name` and `compile` of `keras_hub.models.Task`.

    Call arguments:
        A dict of rows: int arrays of shape `(batch, length)`, `token_ids`,
        `segment_ids` and `padding_mask`.

    Attributes:
        token_outputs: bool. Whether axes of outputs that vary are of tokens.
        unsaved: tuple of str. Arguments of the constructor that are not part
            of the configuration.
    """

    token_outputs = False
    unsaved = ("backbone", "preprocessor")

    def default_loss(self):
        """The loss that `compile` sets by default."""

    def default_metrics(self, loss):
        """List of the metrics that `compile` sets by default for a loss."""
        return []

    @known_keywords(keras.Model.compile)
    def compile(
        self,
        optimizer="auto",
        loss="auto",
        metrics="auto",
        weighted_metrics="auto",
        **kwargs,
    ):
        """Sets optimizer, loss and metrics; see `keras.Model.compile`.

        Args:
            optimizer: as in Keras, or `"auto"`, the default: `ElectraAdamW`
                at the paper's rate for the size of the network (3e-4 small,
                1e-4 base, 5e-5 large), constant.
            loss: as in Keras, or `"auto"`, the default: the task's.
            metrics, weighted_metrics: as in Keras, or `"auto"`, the default:
                the task's, weighted where labels are one a token.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if isinstance(optimizer, str) and optimizer == "auto":
            # No warm-up, as nobody knows how many steps a run has: the
            # corrected bias of the moments holds the first steps back, too.
            # Weight decay: original `configure_finetuning.py:55`.
            optimizer = ElectraAdamW(
                finetuning_rate(self.backbone.hidden_dim),
                weight_decay=0.01,
                bias_correction=True,
            )
        if isinstance(loss, str) and loss == "auto":
            loss = self.default_loss()
        is_auto = isinstance(metrics, str) and metrics == "auto"
        defaults = (self.default_metrics(loss) if is_auto else None) or None
        if is_auto:
            metrics = None if self.token_labels else defaults
        if isinstance(weighted_metrics, str) and weighted_metrics == "auto":
            weighted_metrics = defaults if self.token_labels else None
        keras.Model.compile(
            self,
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def compile_from_config(self, config):
        # Keras leaves it undone for a class with a `compile` of its own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        # So that the slots of a saved optimizer find their place.
        self.optimizer.build(self.trainable_variables)

    @known_keywords()
    def predict(
        self,
        x=None,
        batch_size=None,
        verbose="auto",
        steps=None,
        callbacks=None,
    ):
        """The network's outputs, an array or a dict of arrays.

        Args:
            x: as in `fit`. Labels are left out.
            batch_size: int or `None`, for `32`. Rows computed together.
            verbose, steps, callbacks: as in `keras.Model.predict`.

        Returns:
            Outputs in the order of the examples. An axis of tokens is as long
            as `sequence_length` says; padding has 0 (masked logits: -1000).
        """
        rows = self._input_rows(x, batch_size, steps)
        width = rows.width if rows is not None else 0
        if not inputs_are_rows(x) and self.preprocessor is not None:
            width = getattr(self.preprocessor, "sequence_length", width)
        outputs = []
        if rows is not None:
            outputs = self.predict_rows(rows, batch_size, verbose, callbacks)

        def gather(spec, *parts):
            # Axes that vary are of tokens, of which a batch has as many as
            # its longest row.
            shape = list(spec.shape[1:])
            for axis, size in enumerate(shape):
                found = [part.shape[axis] for part in parts]
                if size is None and parts and not self.token_outputs:
                    shape[axis] = max(found)
                elif size is None:
                    shape[axis] = width
            dtype = parts[0].dtype if parts else spec.dtype
            whole = np.full((len(parts), *shape), self.padded_output, dtype)
            for place, part in enumerate(parts):
                whole[(place, *map(slice, part.shape))] = part
            return whole

        return keras.tree.map_structure(gather, self.output, *outputs)

    def predict_rows(self, rows, batch_size=None, verbose=0, callbacks=None):
        """Runs rows through the network, those of alike length together.

        Args:
            rows: `data.batches.Rows`, a dict of arrays, or checked columns.
            batch_size, verbose, callbacks: as in `predict`.

        Returns:
            List of the network's outputs for each row, nested arrays; an axis
            of tokens is at least as long as the row.
        """
        if isinstance(rows, dict):
            if not len(rows["token_ids"]):
                return []
            rows = batching.Rows([(rows, None, None)])
        elif not isinstance(rows, batching.Rows):
            examples = inputs.Examples(rows)
            if not len(examples):
                return []
            rows = self._memory_rows(examples, checked=True)
        size = checked_size(batch_size)
        batches = batching.Batches(
            rows, size, "by_length", finish=self.finish_batch
        )
        results, steps = [None] * len(rows), len(batches)
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=1,
            steps=steps,
            model=self,
        )
        self.stop_predicting = False
        callbacks.on_predict_begin()
        for step in range(steps):
            callbacks.on_predict_batch_begin(step)
            x, *_ = keras.utils.unpack_x_y_sample_weight(batches.batch(step))
            x = keras.tree.map_structure(keras.ops.convert_to_tensor, x)
            # Keras' own method: KerasHub's would run the preprocessor.
            outputs = keras.tree.map_structure(
                keras.ops.convert_to_numpy,
                keras.Model.predict_on_batch(self, x),
            )
            for place, row in enumerate(batches.indices(step)):
                results[row] = keras.tree.map_structure(
                    lambda array: array[place], outputs
                )
            callbacks.on_predict_batch_end(step, {"outputs": outputs})
            if self.stop_predicting:
                break
        callbacks.on_predict_end()
        return [result for result in results if result is not None]

    def get_config(self):
        config = super().get_config()
        for name in keyword_names(type(self).__init__):
            if name not in self.unsaved:
                value = getattr(self, name)
                if callable(value):
                    value = keras.activations.serialize(value)
                config[name] = value
        return config
