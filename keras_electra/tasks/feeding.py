"""Examples as users give them -> rows of token ids -> batches, for a task.

Whatever holds examples goes through `data/inputs.py`. What is in memory is
checked as a whole, becomes rows of token ids once and is batched by
`data/batches.py`; streams are read batch by batch. Keras gets finished rows,
so nothing of this is repeated in an epoch. Price: rows of all examples in
memory are kept, without padding, while they are trained on.
"""

import functools
import itertools

import keras
import numpy as np

from keras_electra.data import batches as batching
from keras_electra.data import inputs
from keras_electra.data import streams
from keras_electra.data.inputs import checked_size
from keras_electra.tasks import labels

# Examples that become rows at a time.
CHUNK = 1024


class TakesExamples:
    """What a task says of its data, and how that becomes batches.

    A preprocessor has `rows(x, y, sample_weight)`, which packs checked columns
    to `(x, y, sample_weight)` as Keras packs them, `x` a dict of arrays only
    as long as the longest row.

    Attributes:
        names: `data.inputs.Names`. Columns that are read from tables.
        token_labels: bool. Whether labels are one a token.
        free_order: bool. Whether it changes nothing which rows meet in a
            batch of `evaluate`, and little in `fit`.
        padded_output: float. What `predict` gives for padding that was not
            computed.
    """

    names = inputs.Names((("text",),))
    token_labels = False
    free_order = True
    padded_output = 0.0

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

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """A batch of raw data to a batch of rows; see `fit`."""
        return keras.utils.pack_x_y_sample_weight(
            *self._to_rows(x, y, sample_weight)
        )

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
            x = streams.read_all(x, self.names)
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
        size = checked_size(batch_size)
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

            return streams.StreamBatches(
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
            stream = streams.StreamBatches(
                x, self.names, batch_size, lambda x, y, weight: (x, None, None)
            )
            chunks = [
                (self._to_rows(*data)[0], None, None)
                for data in itertools.islice(stream, steps)
            ]
            return batching.Rows(chunks) if chunks else None
        if steps is not None:
            x = x.part(slice(steps * checked_size(batch_size)))
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


def inputs_are_rows(x):
    """Whether inputs are rows of token ids already."""
    return isinstance(x, dict) and "token_ids" in x
