"""Calling back from TensorFlow graphs, on every backend."""

import pytest

from keras_electra.backend.graph_text import is_in_graph
from keras_electra.backend.graph_text import numpy_function

tf = pytest.importorskip("tensorflow")


def code_points(texts):
    return [[ord(character) for character in text] for text in texts]


def test_is_in_graph():
    seen = []

    @tf.function
    def trace(x):
        seen.append(is_in_graph())
        return x

    trace(tf.constant("a"))
    assert seen == [True]
    assert not is_in_graph()


def apply(inputs, signature=None, function=code_points, **settings):
    @tf.function(input_signature=signature and [signature])
    def graph(x):
        return numpy_function(function, x, **settings)

    return graph(inputs)


def test_scalar_and_batch():
    assert apply(tf.constant("aé")).numpy().tolist() == [97, 233]
    assert apply(tf.constant("")).shape == (0,)
    batch = apply(tf.constant(["a", "", "bc"]))
    assert batch.dtype == tf.int32
    assert batch.to_list() == [[97], [], [98, 99]]
    assert apply(tf.zeros([0], tf.string)).to_list() == []


def test_more_dimensions():
    nested = apply(tf.constant([["a", "bc"], ["d", ""]]))
    assert nested.to_list() == [[[97], [98, 99]], [[100], []]]
    ragged = apply(tf.ragged.constant([["a"], [], ["bc", "d"]]))
    assert ragged.to_list() == [[[97]], [], [[98, 99], [100]]]


def test_sequence_length():
    def padded(texts):
        return [(row + [0, 0])[:2] for row in code_points(texts)]

    settings = {"function": padded, "sequence_length": 2, "dtype": "int64"}
    assert apply(tf.constant("a"), **settings).numpy().tolist() == [97, 0]
    inputs = tf.constant([["a", "bcd"]])
    result = apply(inputs, **settings)
    assert result.dtype == tf.int64
    assert result.numpy().tolist() == [[[97, 0], [98, 99]]]


def test_strings_out():
    def halves(texts):
        return [[text[:1], text[1:]] for text in texts]

    result = apply(tf.constant(["éa"]), function=halves, dtype="string")
    assert result.to_list() == [["é".encode(), b"a"]]


def test_errors():
    with pytest.raises(TypeError, match="of strings.*int32"):
        apply(tf.constant([1]))
    with pytest.raises(TypeError, match="known rank"):
        apply(tf.constant("a"), tf.TensorSpec(None, tf.string))
