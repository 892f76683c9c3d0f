"""What all tasks share: data in, checked, batched and trained on.

Whatever holds examples goes through `data/inputs.py`. What is in memory is
checked as a whole, becomes rows of token ids once and is batched by
`data/batches.py`; streams are read batch by batch. Keras gets finished rows,
so nothing of this is repeated in an epoch. Price: rows of all examples in
memory are kept, without padding, while they are trained on.
"""

import contextlib
import functools
import warnings

import keras
import numpy as np

from keras_electra.arguments import check_count
from keras_electra.arguments import keyword_names
from keras_electra.arguments import known_keywords
from keras_electra.data import batches as batching
from keras_electra.data import inputs
from keras_electra.tasks import labels
from keras_electra.training.optimizers import ElectraAdamW
from keras_electra.training.recipes import finetuning_rate

# Examples that become rows at a time.
CHUNK = 1024


class ElectraTask:
    """Training and use of a task; mixed in before KerasHub's base class.

    A preprocessor has `rows(x, y, sample_weight)`, which packs checked columns
    to `(x, y, sample_weight)` as Keras packs them, `x` a dict of arrays only
    as long as the longest row.

    Args:
        backbone: `ElectraBackbone`.
        preprocessor: the task's preprocessor, or `None`, the default, to pass
            rows of token ids instead of raw inputs.
        **kwargs: `name` and `compile` of `keras_hub.models.Task`.

    Call arguments:
        A dict of rows: int arrays of shape `(batch, length)`, `token_ids`,
        `segment_ids` and `padding_mask`.

    Attributes:
        names: `data.inputs.Names`. Columns that are read from tables.
        token_labels: bool. Whether labels are one a token.
        token_outputs: bool. Whether axes of outputs that vary are of tokens.
        free_order: bool. Whether it changes nothing which rows meet in a
            batch of `evaluate`, and little in `fit`.
        unsaved: tuple of str. Arguments of the constructor that are not part
            of the configuration.
    """

    names = inputs.Names((("text",),))
    token_labels = False
    token_outputs = False
    free_order = True
    unsaved = ("backbone", "preprocessor")

    # === What a task says ===

    def default_loss(self):
        """The loss that `compile` sets by default."""
        raise NotImplementedError

    def default_metrics(self, loss):
        """List of metrics for a loss that `compile` sets by default.

        They are weighted as the loss where labels are one a token.
        """
        return []

    def needs_labels(self, x):
        """Whether `fit` and `evaluate` need `y` for these inputs."""
        return True

    def check_inputs(self, x):
        """Raises for raw inputs, columns, that the task does not take."""
        inputs.check_texts(x)

    def encode_labels(self, x, y):
        """Checked labels, as the preprocessor takes them."""
        return y

    def rows_together(self, x):
        """How many neighbouring rows stay in one batch; see `Batches`."""
        return 1

    def finish_batch(self, x, y=None, sample_weight=None, training=False):
        """What is done to a batch of rows anew every time it is used."""
        return x, y, sample_weight

    # === Training ===

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
            optimizer: an optimizer or its name. `"auto"`, the default, is
                `ElectraAdamW` at the paper's rate for the size of the
                network (3e-4 small, 1e-4 base, 5e-5 large), constant. It has
                no warm-up, as nobody knows how long the run will be, and
                corrects the bias of its moments instead.
            loss: a loss or its name. Defaults to `"auto"`, the task's: see
                its class. Labels are taken in the form that the loss needs.
            metrics: list of metrics. Defaults to `"auto"`, the task's.
            weighted_metrics: list of metrics that are weighted as the loss
                is. Defaults to `"auto"`, where labels are one a token the
                task's, unless `metrics` are given.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if isinstance(optimizer, str) and optimizer == "auto":
            optimizer = default_optimizer(self.backbone)
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
                columns, a table or data set with columns by name; rows of
                token ids; or a stream of examples or of batches, with their
                labels: a loader, `tf.data`, `grain`, a generator, ...
            y: labels as the class describes them; `None` for a stream or a
                table that holds them.
            batch_size: int or `None`. Examples a step where they do not come
                in batches. Defaults to `32`.
            epochs: int. Defaults to `1`.
            sample_weight: one weight an example, or `None`.
            validation_data: tuple of `x` and `y`, a table or a stream.
            validation_split: float. Share of the examples in memory, from the
                end, to validate on. Defaults to `0.0`.
            shuffle: bool. Whether examples in memory are shuffled and grouped
                by length. Defaults to `True`.
            class_weight: dict from classes, names or numbers, to weights;
                `"balanced"` for weights that make up for the numbers of
                examples in memory; or `None`.
            steps_per_epoch: int or `None`. Defaults to one pass.
            validation_steps: int or `None`. Defaults to one pass.
            validation_batch_size: int or `None`. Defaults to `batch_size`.
            **kwargs: `callbacks`, `verbose` and the like of
                `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            TypeError: when an entry is missing or of another type.
            ValueError: when texts or labels are not what the task takes, or
                there are no labels.
        """
        examples = self._read(x, y, sample_weight)
        if validation_split and validation_data is None:
            examples, held_out = _split(examples, validation_split)
            validation_data = self._source(
                held_out, validation_batch_size or batch_size, "by_length"
            )
        elif validation_data is not None:
            if not isinstance(validation_data, tuple):
                validation_data = (validation_data,)
            validation_data = self._source(
                self._read(
                    *keras.utils.unpack_x_y_sample_weight(validation_data)
                ),
                validation_batch_size or batch_size,
                "by_length",
                steps=validation_steps,
            )
        source = self._source(
            examples,
            batch_size,
            "grouped" if shuffle else "given",
            class_weight,
            remember=epochs > 1 and steps_per_epoch is None,
        )
        stream = batching.Stream(source, steps_per_epoch)
        if validation_data is not None:
            held_out = batching.Stream(validation_data, validation_steps)
            kwargs["validation_data"] = held_out.for_keras(self.token_labels)
            kwargs["validation_steps"] = held_out.steps
        # Where `ResumableCheckpoint` finds the position.
        self.training_data = stream
        try:
            with _errors_of(stream):
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
        stream = batching.Stream(source, steps)
        with _errors_of(stream):
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
            batch_size: int or `None`. Rows computed together, those of alike
                length. Defaults to `32`.
            verbose: as in `keras.Model.predict`.
            steps: int or `None`. Batches after which a stream is left.
            callbacks: list of callbacks, or `None`.

        Returns:
            Outputs in the order of the examples. An axis of tokens is as long
            as `sequence_length` says; behind a row's last token is 0.
        """
        rows = self._input_rows(x, batch_size, steps)
        width = rows.width if rows is not None else 0
        if not inputs_are_rows(x) and self.preprocessor is not None:
            width = getattr(self.preprocessor, "sequence_length", width)
        outputs = []
        if rows is not None:
            outputs = self.predict_rows(
                rows, batch_size, verbose=verbose, callbacks=callbacks
            )

        def gather(spec, *parts):
            # Axes that vary are of tokens, of which a batch has as many as
            # its longest row.
            shape = (
                [
                    (width if self.token_outputs else max(sizes, default=0))
                    if size is None
                    else size
                    for size, sizes in zip(
                        spec.shape[1:], zip(*(part.shape for part in parts))
                    )
                ]
                if parts
                else [size or width for size in spec.shape[1:]]
            )
            dtype = parts[0].dtype if parts else spec.dtype
            whole = np.zeros((len(parts), *shape), dtype)
            for place, part in enumerate(parts):
                whole[(place, *map(slice, part.shape))] = part
            return whole

        return keras.tree.map_structure(gather, self.output, *outputs)

    def predict_rows(self, rows, batch_size=None, verbose=0, callbacks=None):
        """Runs rows through the network, those of alike length together.

        Args:
            rows: `data.batches.Rows`, or a dict of arrays.
            batch_size: int or `None`. Rows computed together. Defaults to
                `32`.
            verbose: as in `keras.Model.predict`. Defaults to `0`.
            callbacks: list of callbacks, or `None`.

        Returns:
            List of the network's outputs for each row, nested arrays; an axis
            of tokens is at least as long as the row.
        """
        if isinstance(rows, dict):
            if not len(rows["token_ids"]):
                return []
            rows = batching.Rows([(rows, None, None)])
        batches = batching.Batches(
            rows,
            _checked_size(batch_size),
            "by_length",
            finish=self.finish_batch,
        )
        results, steps = [None] * len(rows), len(batches) if len(rows) else 0
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

    def predict_columns(self, x, batch_size=None):
        """`predict_rows` of checked columns."""
        examples = inputs.Examples(x)
        if not len(examples):
            return []
        return self.predict_rows(
            self._memory_rows(examples, checked=True), batch_size
        )

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """A batch of raw data to a batch of rows; see `fit`."""
        return keras.utils.pack_x_y_sample_weight(
            *self._to_rows(x, y, sample_weight)
        )

    # === One way from what is given to batches ===

    def read_inputs(self, x, method):
        """Checked columns, for the methods that answer in Python's objects.

        Args:
            x: one example, or anything that `fit` takes.
            method: str. Its name, for messages.

        Returns:
            `(columns, is_one)`.
        """
        if self.preprocessor is None:
            raise ValueError(
                f"`{method}` needs a tokenizer, but `preprocessor` is None. "
                f"Build the {type(self).__name__} with a `preprocessor`, or "
                "open it with `from_preset`."
            )
        parts = x if isinstance(x, tuple) else (x,)
        is_one = bool(parts) and all(map(inputs.is_text, parts))
        if is_one:
            columns = tuple([inputs.to_python(part)] for part in parts)
            x = columns if isinstance(x, tuple) else columns[0]
        elif not all(
            hasattr(part, "__iter__") or hasattr(part, "__getitem__")
            for part in parts
        ):
            raise TypeError(
                f"`{method}` takes a string or a list of strings. Received: "
                f"{x!r} of type {type(x).__name__}."
            )
        elif inputs.is_in_memory(x):
            x = inputs.read_memory(x, None, None, self.names).x
        else:
            x = inputs.read_all(x, self.names)
        self.check_inputs(x)
        return x, is_one

    def _read(self, x, y=None, sample_weight=None):
        """`Examples` of what is in memory; a stream as it is."""
        if x is None or inputs.is_text(x):
            raise TypeError(
                "`x` must be examples: a list, an array, a data set, ... "
                f"Received: {x!r}."
            )
        if not inputs.is_in_memory(x):
            for name, value in (("y", y), ("sample_weight", sample_weight)):
                if value is not None:
                    raise ValueError(
                        f"`{name}` must come with the examples of a stream, "
                        f"as `(x, y)`. Received: {name} and x of type "
                        f"{type(x).__name__}. Leave `{name}` out."
                    )
            return x
        return inputs.read_memory(x, y, sample_weight, self.names)

    def _source(
        self,
        examples,
        batch_size,
        order,
        class_weight=None,
        steps=None,
        remember=True,
    ):
        """Batches of examples, for training or evaluation."""
        size = _checked_size(batch_size)
        finish = functools.partial(
            self.finish_batch, training=order != "by_length"
        )
        if not isinstance(examples, inputs.Examples):
            weights = self._class_weights(class_weight)

            def prepare(x, y, sample_weight):
                self._require_labels(x, y)
                data = self._to_rows(x, y, sample_weight)
                data = labels.weigh(data, weights)
                rows = batching.Rows([data], token_labels=self.token_labels)
                whole = batching.Batches(rows, max(1, len(rows)), finish=finish)
                return whole.batch(0)

            return inputs.StreamBatches(
                examples, self.names, size, prepare, remember
            )
        if not len(examples):
            raise ValueError("`x` must hold at least one example.")
        self._require_labels(examples.x, examples.y)
        if steps is not None:
            examples = examples.part(slice(steps * size))
        if not self.free_order:
            order = {"grouped": "shuffled", "by_length": "given"}.get(
                order, order
            )
        return batching.Batches(
            self._memory_rows(examples, class_weight),
            size,
            order,
            self.rows_together(examples.x),
            finish=finish,
        )

    def _require_labels(self, x, y):
        if y is None and self.needs_labels(x) and self.loss is not None:
            raise ValueError(
                f"`y` is needed: {type(self).__name__} is trained on labels. "
                "Received only `x`. Pass `fit(x, y)`, or a stream or table "
                f"that holds {' or '.join(map(repr, self.names.labels))}."
            )

    def _memory_rows(self, examples, class_weight=None, checked=False):
        """`Rows` of checked examples."""
        x, y, sample_weight = examples
        are_rows = inputs_are_rows(x)
        if are_rows:
            x, y, sample_weight = inputs.map_columns(np.asarray, examples)
        else:
            self._require_preprocessor(x)
            if not checked:
                self.check_inputs(x)
            if y is not None or not self.needs_labels(x):
                y = self.encode_labels(x, y)
        weights = self._class_weights(class_weight, y)
        examples = inputs.Examples(x, y, sample_weight)

        def chunks():
            for start in range(0, len(examples), CHUNK):
                data = tuple(examples.part(slice(start, start + CHUNK)))
                if not are_rows:
                    data = self._pack(*data)
                yield labels.weigh(data, weights)

        pad = 0
        if self.preprocessor is not None:
            pad = self.preprocessor.tokenizer.pad_token_id
        return batching.Rows(chunks(), pad, self.token_labels)

    def _class_weights(self, class_weight, y=None):
        if class_weight is None:
            return None
        if not hasattr(self, "label_encoder"):
            raise ValueError(
                f"`class_weight` needs classes, which {type(self).__name__} "
                "has not. Pass `sample_weight` instead."
            )
        return self.label_encoder.weights(class_weight, y)

    def _input_rows(self, x, batch_size=None, steps=None):
        """`Rows` of inputs without labels, `None` if there are none."""
        x = self._read(x)
        if not isinstance(x, inputs.Examples):
            stream = inputs.StreamBatches(
                x, self.names, batch_size, lambda x, y, weight: (x, None, None)
            )
            chunks = [
                (self._to_rows(*data)[0], None, None)
                for data in stream.first(steps)
            ]
            return batching.Rows(chunks) if chunks else None
        if steps is not None:
            x = x.part(slice(steps * _checked_size(batch_size)))
        if not len(x):
            return None
        return self._memory_rows(inputs.Examples(x.x))

    def _to_rows(self, x, y=None, sample_weight=None):
        """Checked rows of a batch: `(x, y, sample_weight)`."""
        if inputs_are_rows(x):
            return inputs.map_columns(np.asarray, (x, y, sample_weight))
        self._require_preprocessor(x)
        x, y, sample_weight = inputs.map_columns(
            inputs.to_column, (x, y, sample_weight)
        )
        self.check_inputs(x)
        if y is not None or not self.needs_labels(x):
            y = self.encode_labels(x, y)
        return self._pack(x, y, sample_weight)

    def _pack(self, x, y, sample_weight):
        # Not through `__call__` if it can be helped: Keras would wrap errors.
        make_rows = getattr(self.preprocessor, "rows", self.preprocessor)
        data = make_rows(x, y=y, sample_weight=sample_weight)
        return keras.utils.unpack_x_y_sample_weight(data)

    def _require_preprocessor(self, x):
        if self.preprocessor is None:
            raise ValueError(
                "`x` must be a dict of `token_ids`, `segment_ids` and "
                "`padding_mask` where `preprocessor` is None. Received: "
                f"{type(x).__name__}. Give the {type(self).__name__} a "
                "`preprocessor` to use it on texts."
            )

    def get_config(self):
        config = super().get_config()
        for name in keyword_names(type(self).__init__):
            if name not in self.unsaved:
                value = getattr(self, name)
                if callable(value):
                    value = keras.activations.serialize(value)
                config[name] = value
        return config


def inputs_are_rows(x):
    """Whether inputs are rows of token ids already."""
    return isinstance(x, dict) and "token_ids" in x


def default_optimizer(backbone):
    """The optimizer for fine-tuning a network, at a constant rate.

    A default cannot know how many steps a run has, so it has neither the
    warm-up nor the decay of the original fine-tuning. It corrects the bias of
    Adam's moments instead, which holds the first steps back in a similar way.
    Weight decay is 0.01 (original `configure_finetuning.py:55`).

    Args:
        backbone: `ElectraBackbone`.

    Returns:
        An `ElectraAdamW` with the rate of `finetuning_rate`.
    """
    return ElectraAdamW(
        finetuning_rate(backbone.hidden_dim),
        weight_decay=0.01,
        bias_correction=True,
    )


def _checked_size(batch_size):
    if batch_size is None:
        return 32
    check_count("batch_size", batch_size)
    return int(batch_size)


def _split(examples, share):
    """Parts examples in memory into those to train and to validate on."""
    if not isinstance(examples, inputs.Examples):
        raise ValueError(
            "`validation_split` is for data in memory. Received: "
            f"validation_split={share} and a data set, "
            f"{type(examples).__name__}. Pass `validation_data` instead."
        )
    size = int(len(examples) * (1 - share))
    if not 0 < size < len(examples):
        raise ValueError(
            "`validation_split` must leave examples to train and to validate "
            f"on. Received: validation_split={share} for {len(examples)} "
            "examples."
        )
    return examples.part(slice(size)), examples.part(slice(size, None))


@contextlib.contextmanager
def _errors_of(stream):
    """Raises what went wrong in the data as it was, not as graphs report it."""
    with warnings.catch_warnings():
        if stream.steps is None:
            # A pass whose length nobody knew is not too short.
            warnings.filterwarnings("ignore", message="Your input ran out")
        try:
            yield
        except Exception as error:
            if stream.error is None or stream.error is error:
                raise
            raise stream.error from None
