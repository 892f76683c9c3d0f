"""Python functions on texts inside TensorFlow graphs, such as `tf.data`.

Lives in the one room that may import a backend, because only TensorFlow has
graphs with strings in them. Price of `tf.numpy_function`: the graph runs only
in the process that built it, and not under XLA.
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
        For a scalar a tensor of shape `(items,)`, for a batch a ragged tensor
        `(batch, None)`, with `sequence_length` a dense one. More dimensions
        of `inputs` stay in front.
    """
    import tensorflow as tf

    dtype = tf.as_dtype(dtype)

    def call(texts):
        rows = function(
            [text.decode("utf-8", errors="ignore") for text in texts.tolist()]
        )
        lengths = np.array([len(row) for row in rows], dtype="int64")
        items = [item for row in rows for item in row]
        if dtype == tf.string:
            items = [item.encode("utf-8") for item in items]
            return np.array(items, dtype=object), lengths
        return np.array(items, dtype=dtype.as_numpy_dtype), lengths

    def map_flat(texts):
        items, lengths = tf.numpy_function(
            call, [texts], (dtype, tf.int64), stateful=False
        )
        items.set_shape([None])
        lengths.set_shape(texts.shape)
        rows = tf.RaggedTensor.from_row_lengths(items, lengths, validate=False)
        if sequence_length:
            return rows.to_tensor(shape=[None, sequence_length])
        return rows

    if isinstance(inputs, tf.RaggedTensor):
        return inputs.with_flat_values(map_flat(inputs.flat_values))
    inputs = tf.convert_to_tensor(inputs)
    if inputs.dtype != tf.string:
        raise TypeError(
            "`inputs` must be a tensor of strings. "
            f"Received a tensor of type {inputs.dtype.name}."
        )
    if inputs.shape.rank == 0:
        return map_flat(inputs[tf.newaxis])[0]
    if inputs.shape.rank == 1:
        return map_flat(inputs)
    if inputs.shape.rank is None:
        raise ValueError(
            "`inputs` must have a known rank. Call `set_shape` on it first."
        )
    rows = map_flat(tf.reshape(inputs, [-1]))
    if sequence_length:
        shape = tf.concat([tf.shape(inputs), [sequence_length]], axis=0)
        return tf.reshape(rows, shape)
    for axis in range(inputs.shape.rank - 1, 0, -1):
        rows = tf.RaggedTensor.from_uniform_row_length(
            rows, tf.shape(inputs, out_type=tf.int64)[axis]
        )
    return rows


def call_python(function, inputs, spec):
    """Calls a Python function on nested tensors in a graph.

    Args:
        function: takes the parts of `inputs`, with lists of str in place of
            tensors of strings and arrays in place of others, and returns
            nested arrays.
        inputs: tuple of nested tensors or `None`. The last dimension of a
            ragged tensor is joined to strings with spaces between the items.
        spec: nested like the result, with objects that have `shape` and
            `dtype` in place of arrays.

    Returns:
        The function's result, with tensors in place of arrays.
    """
    import tensorflow as tf

    inputs = tf.nest.map_structure(
        lambda part: _join_ragged(tf, part), inputs, expand_composites=False
    )
    flat = tf.nest.flatten(inputs)
    given = [part for part in flat if part is not None]
    flat_spec = tf.nest.flatten(spec)

    def call(*values):
        values = iter([_to_python(value) for value in values])
        nested = tf.nest.pack_sequence_as(
            inputs, [None if part is None else next(values) for part in flat]
        )
        outputs = tf.nest.flatten(function(*nested))
        return [
            np.asarray(output).astype(part.dtype)
            for output, part in zip(outputs, flat_spec, strict=True)
        ]

    outputs = tf.numpy_function(
        call, given, [tf.as_dtype(part.dtype) for part in flat_spec]
    )
    for output, part in zip(outputs, flat_spec):
        output.set_shape(part.shape)
    return tf.nest.pack_sequence_as(spec, outputs)


def _join_ragged(tf, part):
    if not isinstance(part, tf.RaggedTensor):
        return part
    if part.dtype != tf.string:
        part = tf.strings.as_string(part)
    return tf.strings.reduce_join(part, axis=-1, separator=" ")


def _to_python(value):
    """Strings as nested lists of str, in place of arrays of bytes."""
    if value.dtype != object:
        return value
    decode = np.vectorize(
        lambda text: text.decode("utf-8", errors="ignore"), otypes=[object]
    )
    return decode(value).tolist() if value.size else value.tolist()


def to_dataset(generator, spec):
    """A Python generator of nested arrays as a `tf.data` set.

    Args:
        generator: function without arguments that returns an iterator.
        spec: nested like its items, with objects that have `shape` and
            `dtype` in place of arrays.
    """
    import tensorflow as tf

    signature = tf.nest.map_structure(
        lambda part: tf.TensorSpec(part.shape, part.dtype), spec
    )
    data = tf.data.Dataset.from_generator(generator, output_signature=signature)
    return data.prefetch(2)
