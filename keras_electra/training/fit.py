"""Examples as users give them -> rows of token ids -> `fit` and `evaluate`.

What is in memory becomes rows once; streams are read batch by batch.
"""

import functools
import typing
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_electra.arguments import check_number
from keras_electra.arguments import known_keywords
from keras_electra.data import inputs
from keras_electra.data import streams
from keras_electra.data.batches import Batches
from keras_electra.data.batches import Rows
from keras_electra.data.batches import own_part
from keras_electra.data.inputs import checked_size
from keras_electra.data.rows import is_rows
from keras_electra.training.steps import GuardedSteps
from keras_electra.training.steps import StopOnSkippedSteps

CHUNK = 1024  # examples that become rows at a time
# Columns of tables with texts or pairs of texts.
TEXT_COLUMNS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("question", "sentence"),
    ("text",),
    ("sentence",),
)


class FitsExamples(GuardedSteps):
    """What a model says of its data, and training; before KerasHub's base."""

    names: Any = inputs.Names((("text",),))  # of columns of tables
    token_labels = False  # whether labels are one a token
    may_be_empty = False  # whether texts to train on may
    free_order = True  # whether it changes little which rows meet in a batch

    def needs_labels(self, x: object) -> bool:
        """Whether `fit` and `evaluate` need `y` for these inputs."""
        return True

    def check_inputs(self, x: object) -> None:
        """Raises for raw inputs, columns, that the model does not take."""
        inputs.check_texts(x)

    def encode_labels(self, x: object, y: object) -> object:
        """Checked labels, as the preprocessor takes them."""
        return y

    def rows_together(self, x: object) -> int:
        """How many neighbouring rows stay in one batch."""
        return 1

    def finish_batch(self, x, y=None, sample_weight=None, training=False):
        """What is done to a batch of rows anew every time it is used."""
        return x, y, sample_weight

    def _weigher(self, class_weight, y=None):
        """A function that weighs data by classes, of which `y` are labels."""
        return lambda data: data

    def compile_from_config(self, config: dict[str, object]) -> None:
        # Keras leaves it undone for a class with a `compile` of its own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        # So that the slots of a saved optimizer find their place.
        self.optimizer.build(self.trainable_variables)

    def _begin_fit(self, stream, epochs, initial_epoch, callbacks):
        """Called before training; may add to the callbacks, a list."""

    @known_keywords(keras.Model.fit)
    def fit(
        self,
        x: object = None,
        y: object = None,
        batch_size: int | None = None,
        epochs: int = 1,
        sample_weight: object = None,
        validation_data: object = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        class_weight: object = None,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        callbacks: object = None,
        **kwargs: object,
    ) -> keras.callbacks.History:
        """Trains on raw data or on rows of token ids; see `keras.Model.fit`.

        Examples in memory come in a new order every epoch, those of alike
        length together; streams in their own. What can be read once only is
        remembered if there are several epochs and no `steps_per_epoch`. Steps
        whose gradients are not finite are skipped; `max_skipped_steps` (25) in
        a row end it by a `FloatingPointError`.

        Args:
            x: examples as the class describes them: a list, an array, a column
                of any library, a tuple of columns, a table; rows of token ids;
                or a loader, data set or generator of examples or batches.
            y: labels as the class describes them; `None` where `x` has them.
            batch_size: int, examples a step. Defaults to `32`.
            sample_weight: one weight an example, or `None`.
            validation_data: tuple of `x` and `y`, a table or a stream.
            validation_split: float, share of the examples, from the end.
            shuffle: bool, whether those in memory are, grouped by length.
            class_weight: dict from classes, names or numbers, to weights;
                `"balanced"` makes up for the numbers of examples; or `None`.
        """
        callbacks = self.join_processes(kwargs, callbacks)
        examples, held_out = self._read(x, y, sample_weight), None
        if validation_data is not None:
            parts, named = validation_data, self.names.labels
            # Without labels a tuple is of columns.
            if not isinstance(parts, tuple) or parts[1:] and not named:
                parts = (parts,)
            held_out = self._read(*keras.utils.unpack_x_y_sample_weight(parts))
        elif validation_split:
            parts = inputs.split_examples(examples, validation_split)
            examples, held_out = parts
        if held_out is not None:
            given = validation_batch_size or batch_size, "by_length"
            held_out = self._stream(held_out, *given, validation_steps)
            kwargs["validation_data"] = held_out.for_keras(self.token_labels)
            kwargs["validation_steps"] = held_out.steps
        order = "grouped" if shuffle else "given"
        given = examples, batch_size, order, steps_per_epoch, class_weight
        stream = self._stream(*given, epochs > 1 and steps_per_epoch is None)
        begin = kwargs.get("initial_epoch", 0)
        self._begin_fit(stream, epochs, begin, callbacks)
        stream.check_processes(self.variables)
        for one in getattr(self.optimizer, "optimizers", [self.optimizer]):
            rate = ops.convert_to_numpy(getattr(one, "learning_rate", 0.0))
            check_number("learning_rate", float(rate), at_least=0)
        callbacks.append(StopOnSkippedSteps(self.max_skipped_steps))
        kwargs.update(epochs=epochs, callbacks=callbacks, shuffle=False)
        # Where `ResumableCheckpoint` finds the position.
        self.training_data = stream
        try:
            with streams.errors_of(stream):
                x = stream.for_keras(self.token_labels)
                kwargs["steps_per_epoch"] = stream.steps
                # Keras' own method: KerasHub's would run the preprocessor.
                return keras.Model.fit(self, x, **kwargs)
        finally:
            self.training_data: Any = None

    @known_keywords(keras.Model.evaluate, "_use_cached_eval_dataset")
    def evaluate(
        self,
        x: object = None,
        y: object = None,
        batch_size: int | None = None,
        sample_weight: object = None,
        steps: int | None = None,
        **kwargs: object,
    ) -> typing.Any:
        """Reports loss and metrics; takes what `fit` takes."""
        if kwargs.get("_use_cached_eval_dataset"):
            return keras.Model.evaluate(self, x, steps=steps, **kwargs)
        self.join_processes(kwargs)
        examples = self._read(x, y, sample_weight)
        stream = self._stream(examples, batch_size, "by_length", steps)
        with streams.errors_of(stream):
            x = stream.for_keras(self.token_labels)
            return keras.Model.evaluate(self, x, steps=stream.steps, **kwargs)

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """A batch of raw data to a batch of rows, for `train_on_batch`."""
        data = inputs.to_examples(x, y, sample_weight)
        if data.y is not None:
            self._check_examples(*data[:2])
        batch = keras.utils.pack_x_y_sample_weight(*self._to_rows(*data))
        return own_part(batch)

    def _read(self, x, y=None, sample_weight=None):
        """`Examples` of what is in memory; a stream as it is."""
        parts = x if isinstance(x, tuple) else (x,)
        if inputs.is_text(x) or not all(
            hasattr(p, "__len__") or hasattr(p, "__iter__") for p in parts
        ):
            raise TypeError(
                "`x` must hold examples, as a list of strings or a data set. "
                f"Received: {x!r} of type {type(x).__name__}."
            )
        if inputs.is_in_memory(x):
            return inputs.read_memory(x, y, sample_weight, self.names)
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    f"`{name}` must come with the examples of a stream, in "
                    f"tuples. Received: {name} beside {type(x).__name__}."
                )
        return x

    def _stream(self, source, size, order, steps, weights=None, remember=True):
        """Batches of what `_read` returns; `"by_length"` is evaluation."""
        size, training = checked_size(size), order != "by_length"
        finish = functools.partial(self.finish_batch, training=training)
        if not isinstance(source, inputs.Examples):
            weigh = self._weigher(weights)

            def prepare(x, y, sample_weight):
                self._check_examples(x, y)
                rows = self._rows([weigh(self._to_rows(x, y, sample_weight))])
                return Batches(rows, max(1, len(rows)), finish=finish).batch(0)

            given = source, self.names, size, prepare, remember
            return streams.Stream(streams.StreamBatches(*given), steps)
        if not len(source):
            raise ValueError("`x` must hold at least one example.")
        self._check_examples(source.x, source.y)
        if steps is not None and not training:
            source = source.part(slice(steps * size))
        if not self.free_order:
            others = {"grouped": "shuffled", "by_length": "given"}
            order = others.get(order, order)
        given = self._memory_rows(source, weights), size, order
        unit = self.rows_together(source.x)
        return streams.Stream(Batches(*given, unit, finish=finish), steps)

    def _check_examples(self, x, y):
        """Raises for what cannot be trained on or evaluated."""
        if y is None and self.needs_labels(x) and self.loss is not None:
            raise ValueError(
                "`y` is needed for training. Received only `x`. Pass both, or "
                f"a table or stream with {' or '.join(self.names.labels)}."
            )
        for i in [] if self.may_be_empty else inputs.find_empty(x)[:1]:
            row = tuple(c[i] for c in x) if isinstance(x, tuple) else x[i]
            raise ValueError(
                f"`x` must hold texts that are not empty. Entry {i} is "
                f"{row!r:.99}. Leave it out."
            )

    def _memory_rows(self, examples, weights=None):
        """`Rows` of examples in memory."""
        if not len(examples):
            return self._rows(())
        examples = self._encode(*examples)
        weigh = self._weigher(weights, examples.y)
        starts = range(0, len(examples), CHUNK)
        parts = (examples.part(slice(i, i + CHUNK)) for i in starts)
        return self._rows(weigh(self._pack(*part)) for part in parts)

    def _to_rows(self, *data):
        len(inputs.Examples(*data))  # columns of a batch are equally long
        return self._pack(*self._encode(*data))

    def _rows(self, chunks):
        tokenizer = getattr(self.preprocessor, "tokenizer", None)
        pad = tokenizer.pad_token_id if tokenizer else 0
        return Rows(chunks, pad, self.token_labels)

    def _encode(self, x, y=None, sample_weight=None):
        """Checked `Examples`, with labels as the preprocessor takes them."""
        if is_rows(x):
            data = inputs.map_columns(np.asarray, (x, y, sample_weight))
            return inputs.Examples(*data)
        if self.preprocessor is None:
            raise ValueError(
                "`x` must be a dict of rows where `preprocessor` is None. "
                f"Received: {type(x).__name__}. For texts give a preprocessor."
            )
        self.check_inputs(x)
        if y is not None or not self.needs_labels(x):
            y = self.encode_labels(x, y)
        return inputs.Examples(x, y, sample_weight)

    def _pack(self, x, y, sample_weight):
        if is_rows(x):
            return x, y, sample_weight
        # Not through `__call__` if it can be helped: Keras would wrap errors.
        make_rows = getattr(self.preprocessor, "rows", self.preprocessor)
        rows = make_rows(x, y=y, sample_weight=sample_weight)
        return keras.utils.unpack_x_y_sample_weight(rows)
