"""Examples as users give them -> rows of token ids -> batches, for a task.

What is in memory is checked as a whole, becomes rows once and is batched by
`data/batches.py`; streams are read batch by batch. Keras gets finished rows,
so nothing of this is repeated in an epoch. Price: rows of all examples in
memory are kept, without padding, while they are trained on.
"""

import functools
import itertools

import keras
import numpy as np

from keras_electra.data import inputs
from keras_electra.data import streams
from keras_electra.data.batches import Batches
from keras_electra.data.batches import Rows
from keras_electra.data.inputs import checked_size
from keras_electra.data.rows import is_rows
from keras_electra.tasks import labels

# Examples that become rows at a time.
CHUNK = 1024


class TakesExamples:
    """What a task says of its data, and how that becomes batches."""

    names = inputs.Names((("text",),))  # of columns of tables
    label_encoder = None  # where there are classes, a `LabelEncoder`
    # Whether it changes little which rows meet in a batch.
    free_order = True

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
        """How many neighbouring rows stay in one batch."""
        return 1

    def finish_batch(self, x, y=None, sample_weight=None, training=False):
        """What is done to a batch of rows anew every time it is used."""
        return x, y, sample_weight

    def preprocess_samples(self, x, y=None, sample_weight=None):
        """A batch of raw data to a batch of rows, for `train_on_batch`."""
        data = inputs.map_columns(inputs.to_column, (x, y, sample_weight))
        return keras.utils.pack_x_y_sample_weight(*self._to_rows(*data))

    def read_inputs(self, x, method):
        """`(columns, is_one)` of one example, or of what `fit` takes."""
        if self.preprocessor is None:
            raise ValueError(f"`{method}` needs a `preprocessor`, not None.")
        parts = x if isinstance(x, tuple) else (x,)
        is_one = bool(parts) and all(map(inputs.is_text, parts))
        if is_one:
            x = inputs.map_columns(lambda text: [inputs.to_python(text)], x)
        x = self._read(x)
        is_stream = not isinstance(x, inputs.Examples)
        x = streams.read_all(x, self.names) if is_stream else x.x
        self.check_inputs(x)
        return x, is_one

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

    def _source(
        self, examples, size, order, weights=None, steps=None, remember=True
    ):
        """Batches of what `_read` returns; `"by_length"` is evaluation."""
        size, training = checked_size(size), order != "by_length"
        finish = functools.partial(self.finish_batch, training=training)
        if not isinstance(examples, inputs.Examples):
            weights = labels.class_weights(self.label_encoder, weights)

            def prepare(x, y, sample_weight):
                self._require_labels(x, y)
                data = self._to_rows(x, y, sample_weight)
                rows = self._rows([labels.weigh(data, weights)])
                return Batches(rows, max(1, len(rows)), finish=finish).batch(0)

            return streams.StreamBatches(
                examples, self.names, size, prepare, remember
            )
        if not len(examples):
            raise ValueError("`x` must hold at least one example.")
        self._require_labels(examples.x, examples.y)
        if steps is not None:
            examples = examples.part(slice(steps * size))
        if not self.free_order:
            others = {"grouped": "shuffled", "by_length": "given"}
            order = others.get(order, order)
        rows = self._memory_rows(examples, weights)
        unit = self.rows_together(examples.x)
        return Batches(rows, size, order, unit, finish=finish)

    def _require_labels(self, x, y):
        if y is None and self.needs_labels(x) and self.loss is not None:
            raise ValueError(
                "`y` is needed for training. Received only `x`. Pass both, or "
                f"a table or stream with {' or '.join(self.names.labels)}."
            )

    def _input_rows(self, x, batch_size=None, steps=None):
        """`Rows` of inputs without labels."""
        x = self._read(x)
        if isinstance(x, inputs.Examples):
            if steps is not None:
                x = x.part(slice(steps * checked_size(batch_size)))
            x = inputs.Examples(x.x)
            return self._memory_rows(x) if len(x) else self._rows(())
        stream = streams.StreamBatches(
            x, self.names, batch_size, lambda x, *labels: self._to_rows(x)
        )
        return self._rows(itertools.islice(stream, steps))

    def _memory_rows(self, examples, weights=None, checked=False):
        """`Rows` of examples in memory, which may be checked already."""
        examples = self._encode(*examples, checked)
        weights = labels.class_weights(self.label_encoder, weights, examples.y)

        def chunks():
            for start in range(0, len(examples), CHUNK):
                part = examples.part(slice(start, start + CHUNK))
                yield labels.weigh(self._pack(*part), weights)

        return self._rows(chunks())

    def _to_rows(self, x, y=None, sample_weight=None):
        """Columns to rows, checked: `(x, y, sample_weight)`."""
        return self._pack(*self._encode(x, y, sample_weight))

    def _rows(self, chunks):
        tokenizer = getattr(self.preprocessor, "tokenizer", None)
        pad = tokenizer.pad_token_id if tokenizer else 0
        return Rows(chunks, pad, self.token_labels)

    def _encode(self, x, y=None, sample_weight=None, checked=False):
        """Checked `Examples`, with labels as the preprocessor takes them."""
        if is_rows(x):
            data = inputs.map_columns(np.asarray, (x, y, sample_weight))
            return inputs.Examples(*data)
        if self.preprocessor is None:
            raise ValueError(
                "`x` must be a dict of rows where `preprocessor` is None. "
                f"Received: {type(x).__name__}. For texts give a preprocessor."
            )
        if not checked:
            self.check_inputs(x)
        if y is not None or not self.needs_labels(x):
            y = self.encode_labels(x, y)
        return inputs.Examples(x, y, sample_weight)

    def _pack(self, x, y, sample_weight):
        if is_rows(x):
            return x, y, sample_weight
        # Not through `__call__` if it can be helped: Keras would wrap errors.
        make_rows = getattr(self.preprocessor, "rows", self.preprocessor)
        return keras.utils.unpack_x_y_sample_weight(
            make_rows(x, y=y, sample_weight=sample_weight)
        )
