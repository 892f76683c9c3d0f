"""What all tasks share: training and use on data of any form."""

import keras
import numpy as np

from keras_electra.arguments import keyword_names
from keras_electra.arguments import known_keywords
from keras_electra.data import batches as batching
from keras_electra.data import inputs
from keras_electra.data import streams
from keras_electra.data.inputs import checked_size
from keras_electra.data.inputs import errors_of
from keras_electra.tasks.feeding import TakesExamples
from keras_electra.tasks.feeding import inputs_are_rows
from keras_electra.training.optimizers import ElectraAdamW
from keras_electra.training.recipes import finetuning_rate


class ElectraTask(TakesExamples):
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

    @known_keywords(keras.Model.fit)
    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        sample_weight=None,
        validation_data=None,
        validation_split=0.0,
        shuffle=True,
        class_weight=None,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        **kwargs,
    ):
        """Trains on raw data or on rows of token ids.

        Examples in memory come in a new order every epoch, those of alike
        length together. Streams (loaders, data sets, generators) are taken
        in their own order; what can be read once only is remembered if there
        are several epochs and no `steps_per_epoch`.

        Args:
            x: examples as the class describes them: a list, an array, a
                tensor, a column or Series of any library, a tuple of such
                columns, a table; rows of token ids; or a stream of examples
                or of batches with their labels: a loader, a generator, ...
            y: labels as the class describes them; `None` for a stream or a
                table that holds them.
            batch_size: int or `None`, for `32`. Examples a step.
            sample_weight: one weight an example, or `None`.
            validation_data: tuple of `x` and `y`, a table or a stream.
            validation_split: float. Share of the examples in memory, from the
                end, to validate on. Defaults to `0.0`.
            shuffle: bool. Whether examples in memory are shuffled and grouped
                by length. Defaults to `True`.
            class_weight: dict from classes, names or numbers, to weights;
                `"balanced"` makes up for the numbers of examples; or `None`.
            epochs, steps_per_epoch, validation_steps, validation_batch_size,
                **kwargs: as in `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.
        """
        examples, held_out = self._read(x, y, sample_weight), None
        if validation_data is not None:
            if not isinstance(validation_data, tuple):
                validation_data = (validation_data,)
            held_out = self._read(
                *keras.utils.unpack_x_y_sample_weight(validation_data)
            )
        elif validation_split:
            parts = inputs.split_examples(examples, validation_split)
            examples, held_out = parts
        if held_out is not None:
            size = validation_batch_size or batch_size
            source = self._source(
                held_out, size, "by_length", steps=validation_steps
            )
            held_out = streams.Stream(source, validation_steps)
            kwargs["validation_data"] = held_out.for_keras(self.token_labels)
            kwargs["validation_steps"] = held_out.steps
        source = self._source(
            examples,
            batch_size,
            "grouped" if shuffle else "given",
            class_weight,
            remember=epochs > 1 and steps_per_epoch is None,
        )
        stream = streams.Stream(source, steps_per_epoch)
        # Where `ResumableCheckpoint` finds the position.
        self.training_data = stream
        try:
            with errors_of(stream):
                return keras.Model.fit(
                    self,
                    stream.for_keras(self.token_labels),
                    epochs=epochs,
                    steps_per_epoch=stream.steps,
                    shuffle=False,
                    **kwargs,
                )
        finally:
            self.training_data = None

    @known_keywords(keras.Model.evaluate, "_use_cached_eval_dataset")
    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        sample_weight=None,
        steps=None,
        **kwargs,
    ):
        """Reports loss and metrics; takes what `fit` takes."""
        if kwargs.get("_use_cached_eval_dataset"):
            return keras.Model.evaluate(self, x, steps=steps, **kwargs)
        examples = self._read(x, y, sample_weight)
        source = self._source(examples, batch_size, "by_length", steps=steps)
        stream = streams.Stream(source, steps)
        with errors_of(stream):
            return keras.Model.evaluate(
                self,
                stream.for_keras(self.token_labels),
                steps=stream.steps,
                **kwargs,
            )

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
