import numpy as np
import pytest

from keras_electra.arguments import check_option
from keras_electra.tasks.labels import LabelEncoder
from keras_electra.tasks.labels import sigmoid
from keras_electra.tasks.labels import softmax
from keras_electra.tasks.labels import weigher

NAMES = ["bad", "fair", "good"]


def test_numbers_and_names():
    encoder = LabelEncoder(3, NAMES)
    for y in ([2, 0], ["good", "bad"], [b"good", "bad"], np.array([2, 0])):
        encoded = encoder.encode(y)
        assert encoded.tolist() == [2, 0] and encoded.dtype == "int32"
    assert encoder.encode([[2], [0]]).tolist() == [2, 0]
    assert encoder.names[1] == "fair"
    assert LabelEncoder(3).names[np.int64(1)] == 1


@pytest.mark.parametrize(
    "y, message",
    [
        ([0, 3], "from 0 to 2.*Label 1 is 3"),
        ([-1], "Label 0 is -1"),
        ([0.5], "integers from 0 to 2, or names.*Label 0 is 0.5"),
        (["great"], "names, .*'fair'.*Label 0 is 'great'"),
        ([[0, 1]], "class an example.*rows of several"),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        LabelEncoder(3, NAMES).encode(y)


def test_missing_and_float_labels():
    for value in (None, float("nan")):
        with pytest.raises(TypeError, match="none missing. Label 1 is"):
            LabelEncoder(3, NAMES).encode([1, value])
    assert LabelEncoder(3).encode([1.0, 2.0]).tolist() == [1, 2]


def test_labels_take_the_form_of_the_loss():
    encoder = LabelEncoder(2, ["bad", "good"])
    rows = [[0.9, 0.1], [0.0, 1.0]]
    loss = "categorical_crossentropy"
    np.testing.assert_allclose(encoder.encode(rows, loss), rows)
    for y in (["bad", "good"], [0, 1]):
        assert encoder.encode(y, loss).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(ValueError, match="sparse.*rows of several"):
        encoder.encode(rows, "sparse_categorical_crossentropy")
    ours = lambda y, outputs: outputs  # noqa: E731
    assert encoder.encode([1], ours).tolist() == [1]
    np.testing.assert_allclose(encoder.encode(rows, ours), rows)


def test_class_weights():
    encoder = LabelEncoder(2, ["bad", "good"])

    def weights(class_weight, y=None, sample_weight=None):
        data = ({}, np.array([0, 1]), sample_weight)
        return weigher(encoder, class_weight, y)(data)[2]

    assert weights(None) is None
    assert weights({"good": 3}).tolist() == [1, 3]
    assert weights({1: 3, 0: 2}, None, [1.0, 0.5]).tolist() == [2, 1.5]
    balanced = weights("balanced", np.array([0, 1, 1, 1]))
    np.testing.assert_allclose(balanced, [2, 2 / 3])
    words = weights("balanced", [[0, 1], [1, 1]])
    np.testing.assert_allclose(words, balanced)
    for class_weight in ("balanced", "even", {"great": 1}, {2: 1}):
        with pytest.raises(ValueError, match="`class_weight` must"):
            weights(class_weight)


def test_names_without_names():
    with pytest.raises(
        ValueError,
        match="integers.*labels=None, none missing. Label 0 is 'good'",
    ):
        LabelEncoder(3).encode(["good"])


def test_several_labels():
    encoder = LabelEncoder(3, NAMES, "multi_label")
    expected = [[1, 0, 1], [0, 0, 0]]
    for y in (expected, np.array(expected), [["good", "bad"], []]):
        assert encoder.encode(y).tolist() == expected
    for y, message in (
        ([[1, 0]], "3 values from 0 to 1"),
        ([[0, 0, 2]], "3 values from 0 to 1"),
        ([["great"]], "names.*Label 0 is 'great'"),
        ([1], "3 values from 0 to 1, or lists of names"),
    ):
        with pytest.raises(ValueError, match=message):
            encoder.encode(y)


def test_targets():
    encoder = LabelEncoder(1, problem_type="regression")
    assert encoder.encode([1, 0.5]).tolist() == [1.0, 0.5]
    two = LabelEncoder(2, problem_type="regression")
    assert two.encode([[1, 2]]).tolist() == [[1.0, 2.0]]
    for value in ("good", float("inf")):
        with pytest.raises(ValueError, match="finite numbers.*Label 0"):
            encoder.encode([value])


def test_names_of_classes():
    assert LabelEncoder(None, ("a", "b")).num_classes == 2
    assert LabelEncoder(4).labels is None
    for labels, count, message in (
        ([], None, "num_classes=0"),
        (["a", "a"], None, "different names"),
        (["a", "b"], 3, "num_classes=3"),
    ):
        with pytest.raises(ValueError, match=message):
            LabelEncoder(count, labels)


def test_options():
    check_option("head", None, ("a", None))
    with pytest.raises(ValueError, match="`head` must be one of.*head='b'"):
        check_option("head", "b", ("a",))


def test_probabilities():
    logits = np.log([[1.0, 3.0], [4.0, 1.0]])
    np.testing.assert_allclose(softmax(logits), [[0.25, 0.75], [0.8, 0.2]])
    np.testing.assert_allclose(sigmoid(np.log([1.0, 3.0])), [0.5, 0.75])


def test_large_logits():
    with np.errstate(over="raise"):
        assert softmax(np.array([900.0, 0.0])).tolist() == [1.0, 0.0]
        assert sigmoid(np.array([-900.0, 900.0])).tolist() == [0.0, 1.0]
