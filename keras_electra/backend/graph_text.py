"""Python functions on texts inside TensorFlow graphs, such as `tf.data`.

Only TensorFlow has graphs with strings in them. Price of `tf.numpy_function`:
the graph runs only in the process that built it, and not under XLA.
"""

import sys

import numpy as np


def is_in_graph():
    """Whether TensorFlow is tracing a graph right now; never imports it."""
    tf = sys.modules.get("tensorflow")
    return hasattr(tf, "executing_eagerly") and not tf.executing_eagerly()


def numpy_function(function, inputs, dtype="int32", sequence_length=None):
    """Apply a function on texts to a tensor of strings in a graph.

    Args:
        function: from list of str to a list of lists, one for each text.
        inputs: string tensor of known rank, dense or ragged.
        dtype: str, type of the items of the lists. Defaults to `"int32"`.
        sequence_length: int or `None`. Items in every list, if they are all
            alike; the result is dense then. Defaults to `None`.

    Returns:
        Tensor of one more axis than `inputs`: ragged, but for a scalar.
    """
    import tensorflow as tf

    settings = dtype, sequence_length
    if isinstance(inputs, tf.RaggedTensor):
        flat = numpy_function(function, inputs.flat_values, *settings)
        return inputs.with_flat_values(flat)
    inputs = tf.convert_to_tensor(inputs)
    if inputs.dtype != tf.string:
        raise TypeError(
            "`inputs` must be a tensor of strings. "
            f"Received a tensor of type {inputs.dtype.name}."
        )
    rank = inputs.shape.rank
    if rank is None:
        raise ValueError(
            "`inputs` must have a known rank. Call `set_shape` on it first."
        )
    if rank == 0:
        return numpy_function(function, inputs[tf.newaxis], *settings)[0]
    if rank > 1:
        nested = tf.RaggedTensor.from_tensor(inputs, ragged_rank=rank - 1)
        nested = numpy_function(function, nested, *settings)
        shape = [*inputs.shape, sequence_length]
        return nested.to_tensor(shape=shape) if sequence_length else nested
    dtype = tf.as_dtype(dtype)

    def call(texts):
        rows = function(_decode(texts.tolist()))
        lengths = np.array([len(row) for row in rows], dtype="int64")
        items = [item for row in rows for item in row]
        if dtype == tf.string:
            items = [item.encode("utf-8") for item in items]
        return np.array(items, dtype=dtype.as_numpy_dtype), lengths

    items, lengths = tf.numpy_function(
        call, [inputs], (dtype, tf.int64), stateful=False
    )
    items.set_shape([None])
    lengths.set_shape(inputs.shape)
    rows = tf.RaggedTensor.from_row_lengths(items, lengths, validate=False)
    shape = [None, sequence_length]
    return rows.to_tensor(shape=shape) if sequence_length else rows


def call_python(function, inputs, spec):
    """Calls a Python function on nested tensors in a graph.

    Args:
        function: takes the parts of `inputs`, with lists of str in place of
            tensors of strings and arrays in place of others, and returns
            nested arrays.
        inputs: tuple of nested tensors or `None`. The last axis of a ragged
            tensor is joined to strings with spaces between the items.
        spec: nested like the result, with objects that have `shape` and
            `dtype` in place of arrays.

    Returns:
        The function's result, with tensors in place of arrays.
    """
    import tensorflow as tf

    def join(part):
        if not isinstance(part, tf.RaggedTensor):
            return part
        words = part if part.dtype == tf.string else tf.strings.as_string(part)
        return tf.strings.reduce_join(words, axis=-1, separator=" ")

    flat = [join(part) for part in tf.nest.flatten(inputs)]
    flat_spec = tf.nest.flatten(spec)

    def call(*values):
        values = iter(values)
        nested = tf.nest.pack_sequence_as(
            inputs, [part if part is None else next(values) for part in flat]
        )
        nested = tf.nest.map_structure(_to_python, nested)
        outputs = tf.nest.flatten(function(*nested))
        return [
            np.asarray(output).astype(part.dtype)
            for output, part in zip(outputs, flat_spec, strict=True)
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
    strings = isinstance(value, np.ndarray) and value.dtype.kind == "O"
    return _decode(value.tolist()) if strings else value


def _decode(texts):
    if isinstance(texts, list):
        return [_decode(text) for text in texts]
    return texts.decode("utf-8", errors="ignore")


def to_dataset(generator, spec):
    """A `tf.data` set of nested arrays that `generator()` iterates over.

    `spec` is nested like an item, with objects that have `shape` and `dtype`.
    """
    import tensorflow as tf

    signature = tf.nest.map_structure(
        lambda part: tf.TensorSpec(part.shape, part.dtype), spec
    )
    data = tf.data.Dataset.from_generator(generator, output_signature=signature)
    return data.prefetch(2)
