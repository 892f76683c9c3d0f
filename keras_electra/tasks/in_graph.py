"""Preprocessing in Python, wherever it is called.

Windows, words and answers need Python. Inside a TensorFlow graph (`tf.data`,
on every backend) the graph calls back into it. Price: such a graph runs only
in the process that made it.
"""

import keras


def in_graph():
    """Whether TensorFlow is tracing a graph right now."""
    # The only place outside of training that may meet TensorFlow graphs.
    from keras_electra.backend import graph_text

    return graph_text.is_in_graph()


def run_in_python(function, inputs, spec):
    """Calls a function of raw data, also from within a TensorFlow graph.

    Args:
        function: takes `(x, y, sample_weight)` and returns what
            `keras.utils.pack_x_y_sample_weight` makes of rows.
        inputs: tuple `(x, y, sample_weight)`; columns are lists, arrays or,
            in a graph, tensors.
        spec: what the function returns, with a `keras.KerasTensor` in place
            of each array.

    Returns:
        What the function returns; in a graph tensors in place of arrays.
    """
    if in_graph():
        from keras_electra.backend import graph_text

        return graph_text.call_python(function, inputs, spec)
    return function(*inputs)


def rows_spec(sequence_length, names, middle=()):
    """The spec of a dict of int32 rows.

    Args:
        sequence_length: int. Length of the rows, in tokens.
        names: list of str.
        middle: tuple. Axes between the batch's and the tokens'.

    Returns:
        A dict from name to `keras.KerasTensor`.
    """
    shape = (None, *middle, sequence_length)
    return {name: keras.KerasTensor(shape, "int32") for name in names}
