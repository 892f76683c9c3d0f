"""`fit` and `evaluate` on data of any form, for pre-training and the tasks."""

import keras

from keras_electra.arguments import known_keywords
from keras_electra.data import inputs
from keras_electra.data import streams


class FitsExamples:
    """Training and evaluation; mixed in before KerasHub's base class.

    The model's `_read(x, y, sample_weight)` gives `Examples` of what is in
    memory, and a stream as it is; its `_source(examples, batch_size, order,
    class_weight, steps, remember)` gives what `Stream` takes.

    Attributes:
        token_labels: bool. Whether labels are one a token.
    """

    token_labels = False

    def _read_validation(self, data):
        data = data if isinstance(data, tuple) else (data,)
        return self._read(*keras.utils.unpack_x_y_sample_weight(data))

    def _begin_fit(self, stream, epochs):
        """Called before training; returns a list of further callbacks."""
        return []

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
        callbacks=None,
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
                callbacks, **kwargs: as in `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.
        """
        examples, held_out = self._read(x, y, sample_weight), None
        if validation_data is not None:
            held_out = self._read_validation(validation_data)
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
        callbacks = [*(callbacks or []), *self._begin_fit(stream, epochs)]
        # Where `ResumableCheckpoint` finds the position.
        self.training_data = stream
        try:
            with streams.errors_of(stream):
                # Keras' own method: KerasHub's would run the preprocessor.
                return keras.Model.fit(
                    self,
                    stream.for_keras(self.token_labels),
                    epochs=epochs,
                    steps_per_epoch=stream.steps,
                    callbacks=callbacks,
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
        with streams.errors_of(stream):
            return keras.Model.evaluate(
                self,
                stream.for_keras(self.token_labels),
                steps=stream.steps,
                **kwargs,
            )
