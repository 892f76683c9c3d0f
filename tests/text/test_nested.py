"""Nestings of strings and ids, of every kind users pass."""

import keras
import numpy as np
import pytest

from keras_electra.text.nested import check_texts
from keras_electra.text.nested import map_sequences
from keras_electra.text.nested import map_strings


def lengths(texts):
    return [len(text) for text in texts]


def test_map_strings_keeps_the_nesting():
    assert map_strings(lengths, "abc") == (3, True)
    assert map_strings(lengths, "é".encode()) == (1, True)
    assert map_strings(lengths, ["a", "bc"]) == ([1, 2], False)
    assert map_strings(lengths, ("a", b"bc")) == ([1, 2], False)
    ragged = [["a"], [], ["bc", "d"]]
    assert map_strings(lengths, ragged) == ([[1], [], [2, 1]], False)
    assert map_strings(lengths, []) == ([], False)


def test_map_strings_of_arrays():
    assert map_strings(lengths, np.array("abc")) == (3, True)
    assert map_strings(lengths, np.array(["a", "bc"])) == ([1, 2], False)
    objects = np.array([["a"], [b"bc"]], dtype=object)
    assert map_strings(lengths, objects) == ([[1], [2]], False)


def test_map_strings_of_tensors():
    tf = pytest.importorskip("tensorflow")
    assert map_strings(lengths, tf.constant("abc")) == (3, True)
    ragged = tf.ragged.constant([["a"], ["bc", "d"]])
    assert map_strings(lengths, ragged) == ([[1], [2, 1]], False)
    listed = [tf.constant("a"), tf.constant("bc")]
    assert map_strings(lengths, listed) == ([1, 2], False)


def test_map_strings_skips_what_is_not_utf8():
    assert map_strings(lengths, b"a\xffb") == (2, True)


def test_map_strings_refuses_the_rest():
    with pytest.raises(TypeError, match="type float: 1.5"):
        map_strings(lengths, [["a"], [1.5]])
    with pytest.raises(TypeError, match="type dict"):
        map_strings(lengths, {"text": "a"})


def test_map_sequences():
    assert map_sequences(sum, [1, 2]) == 3
    assert map_sequences(sum, 5) == 5
    assert map_sequences(sum, []) == 0
    assert map_sequences(sum, [[1, 2], [], (3,)]) == [3, 0, 3]
    assert map_sequences(sum, np.array([[1, 2], [3, 4]])) == [3, 7]
    tensor = keras.ops.convert_to_tensor([1, 2])
    assert map_sequences(sum, tensor) == 3
    assert map_sequences(sum, [tensor, tensor]) == [3, 3]
    with pytest.raises(TypeError, match="type float"):
        map_sequences(sum, [1.0])


def test_check_texts():
    check_texts(["a", ""])
    check_texts([])
    with pytest.raises(TypeError, match="one bytes"):
        check_texts(b"a")
    with pytest.raises(TypeError, match="type int: 1"):
        check_texts(["a", 1])
