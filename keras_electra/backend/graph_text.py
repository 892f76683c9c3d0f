"""Python functions on texts inside TensorFlow graphs, such as `tf.data`.

Only TensorFlow has graphs with strings in them. Price of `tf.numpy_function`:
the graph runs only in the process that built it, and not under XLA.
"""

import sys
from typing import Any

import numpy as np


def is_in_graph() -> Any:
    """Whether TensorFlow is tracing a graph right now; never imports it."""
    tf = sys.modules.get("tensorflow")
    return hasattr(tf, "executing_eagerly") and not tf.executing_eagerly()


def numpy_function(function, inputs, dtype="int32", sequence_length=None):
    """Apply a function on lists of str to a tensor of strings in a graph.

    It makes a list of items of a `dtype` of each text. The result is ragged,
    but for a scalar, or if the lists all have `sequence_length` items.
    """
    import tensorflow as tf

    if isinstance(inputs, tf.RaggedTensor):
        flat = inputs.flat_values, dtype, sequence_length
        return inputs.with_flat_values(numpy_function(function, *flat))
    inputs = tf.convert_to_tensor(inputs)
    rank = inputs.shape.rank
    if inputs.dtype != tf.string or rank is None:
        raise TypeError(
            f"Expected a tensor of strings of known rank, received: {inputs}."
        )

    def flat_rows(texts):
        rows = function(texts)
        items = [item for row in rows for item in row]
        return np.array(items, object), np.array([len(row) for row in rows])

    spec = tf.TensorSpec([None], dtype), tf.TensorSpec([None], tf.int64)
    items, lengths = call_python(flat_rows, (tf.reshape(inputs, [-1]),), spec)
    if sequence_length:
        shape = tf.concat([tf.shape(inputs), [sequence_length]], 0)
        rows = tf.reshape(items, shape)
        return tf.ensure_shape(rows, [*inputs.shape, sequence_length])
    if rank == 0:
        return items
    rows = tf.RaggedTensor.from_row_lengths(items, lengths, validate=False)
    if rank == 1:
        return rows
    nesting = tf.RaggedTensor.from_tensor(inputs, ragged_rank=rank - 1)
    return nesting.with_flat_values(rows)


def call_python(function: Any, inputs: Any, spec: Any = None) -> Any:
    """Calls a Python function on nested tensors in a graph.

    It gets the parts of the tuple `inputs`, tensors of strings as lists of str
    and others as arrays, and returns arrays, which become tensors; `spec` is
    nested like them, with a `shape` and `dtype` each: by default those of what
    is made of two zeros as text, of which only the last axis is fixed. The last
    axis of a ragged tensor is joined to strings with spaces between the items.
    """
    import tensorflow as tf

    def join(part):
        if not isinstance(part, tf.RaggedTensor):
            return part
        words = part if part.dtype == tf.string else tf.strings.as_string(part)
        return tf.strings.reduce_join(words, axis=-1, separator=" ")

    def sample(part):
        value = b"0 0" if part.dtype == tf.string else 0
        shape = [size or 2 for size in part.shape[1:]]
        return np.full([1, *shape], value, part.dtype.as_numpy_dtype)

    def spec_of(array):
        last = array.shape[1:][-1:]  # if that is not the first one
        middle = [None] * (array.ndim - len(last))
        return tf.TensorSpec([*middle, *last], array.dtype)

    flat = [join(part) for part in tf.nest.flatten(inputs)]
    if spec is None:
        parts = [p if p is None else _to_python(sample(p)) for p in flat]
        with tf.init_scope():  # out of the graph
            outputs = function(*tf.nest.pack_sequence_as(inputs, parts))
        spec = tf.nest.map_structure(spec_of, outputs)
    flat_spec = tf.nest.flatten(spec)

    def call(*values):
        values = map(_to_python, values)
        parts = [part if part is None else next(values) for part in flat]
        outputs = function(*tf.nest.pack_sequence_as(inputs, parts))
        return [
            np.asarray(output, tf.as_dtype(part.dtype).as_numpy_dtype)
            for output, part in zip(tf.nest.flatten(outputs), flat_spec)
        ]

    outputs = tf.numpy_function(
        call,
        [part for part in flat if part is not None],
        [tf.as_dtype(part.dtype) for part in flat_spec],
    )
    for output, part in zip(outputs, flat_spec):
        output.set_shape(part.shape)
    return tf.nest.pack_sequence_as(spec, outputs)


def _to_python(value):
    """Nested lists of str in place of arrays of bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="ignore")
    if isinstance(value, list) or value.dtype.kind == "O":
        return [_to_python(part) for part in value]
    return value


def to_dataset(generator: Any, spec: Any) -> Any:
    """A `tf.data` set of what `generator()` yields, of a nested `spec`."""
    import tensorflow as tf

    signature = tf.nest.map_structure(
        lambda part: tf.TensorSpec(part.shape, part.dtype), spec
    )
    data = tf.data.Dataset.from_generator(generator, output_signature=signature)
    return data.prefetch(2)
