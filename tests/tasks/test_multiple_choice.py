import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.tasks.multiple_choice import ElectraMultipleChoice
from keras_electra.tasks.multiple_choice import (
    ElectraMultipleChoicePreprocessor,
)
from keras_electra.tasks.multiple_choice import ReshapeChoices
from keras_electra.tasks.multiple_choice import to_choices
from tests import checks

ROWS = checks.ids([2, 5, 3, 6, 3], [2, 5, 3, 7, 3], [2, 12, 3], [2, 9, 3])
X = {name: array.reshape(2, 2, 8) for name, array in ROWS.items()}
CONTEXTS = ["the chef", "a meal"]
CHOICES = [["ate", "cooked", "."], ["chef", "the", "."]]


def build(dtype="float32", **kwargs):
    return ElectraMultipleChoice(
        checks.tiny_backbone(dtype=dtype, dropout=0.0),
        preprocessor=ElectraMultipleChoicePreprocessor(
            checks.tiny_tokenizer(), sequence_length=10
        ),
        **kwargs,
    )


def test_every_choice_is_scored_alone():
    task = build(dropout=0.5)
    vectors = task.backbone(
        {name: ops.convert_to_tensor(array) for name, array in ROWS.items()}
    )["sequence_output"]
    hidden = task.hidden_dense(vectors[:, 0])
    logits = ops.convert_to_numpy(task.output_dense(hidden))
    np.testing.assert_allclose(
        checks.outputs_of(task, X), logits.reshape(2, 2), atol=1e-5
    )


def test_learns_and_chooses():
    task = build()
    checks.compile_eagerly(task, optimizer=keras.optimizers.Adam(0.02))
    x, y = (CONTEXTS, CHOICES), [1, 2]
    task.fit(x, y, batch_size=2, epochs=20, verbose=0)
    assert task.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] == 1.0
    first, second = task.choose(CONTEXTS, CHOICES)
    assert (first[0][0], second[0][0]) == ("cooked", ".")
    assert sum(p for _, p in first) == pytest.approx(1.0, abs=1e-5)
    assert first == sorted(first, key=lambda pair: -pair[1])
    # As many choices as one likes.
    few, one = task.choose(CONTEXTS, [CHOICES[0][:2], CHOICES[1]])
    assert few[0][0] == "cooked" and [text for text, _ in one] == (
        [text for text, _ in second]
    )
    assert len(task.choose("the chef", ["ate", "a"])) == 2
    assert task.predict(x, verbose=0).shape == (2, 3)


def test_errors():
    task = build()
    x = (CONTEXTS, CHOICES)
    with pytest.raises(ValueError, match="from 0 to 2.*Label 1 is 3"):
        task.fit(x, [1, 3])
    with pytest.raises(ValueError, match="same number of choices"):
        task.fit((CONTEXTS, [["a", "b"], ["a"]]), [0, 0])
    with pytest.raises(ValueError, match=r"lengths \[1\]"):
        task.choose("the", ["a"])
    with pytest.raises(TypeError, match="tuple of two lists"):
        task.fit(CONTEXTS, [0, 0])
    with pytest.raises(TypeError, match="choices as strings. Entry 0 is 3"):
        task.choose("the", ["a", 3])
    with pytest.raises(ValueError, match="different lengths"):
        task.choose(CONTEXTS, CHOICES[:1])
    with pytest.raises(ValueError, match="choose.*preprocessor"):
        ElectraMultipleChoice(checks.tiny_backbone()).choose("the", ["a", "b"])


def test_saving(tmp_path):
    task = build(dropout=0.2)
    checks.check_config(task)
    checks.check_preset(task, X, tmp_path / "preset")
    checks.check_keras_file(task, X, tmp_path / "task.keras")


def test_precisions():
    checks.check_precisions(build, X, (2, 2))


def test_lora_and_quantization():
    checks.check_quantize(build(), X, atol=0.2)
    checks.check_lora(build())


def test_a_row_for_each_choice():
    preprocess = ElectraMultipleChoicePreprocessor(
        checks.tiny_tokenizer(), sequence_length=6
    )
    x, y = preprocess((["the chef"], [["ate", "a"]]), [1])
    assert x["token_ids"].tolist() == [
        [[2, 5, 6, 3, 9, 3], [2, 5, 6, 3, 12, 3]]
    ]
    assert x["segment_ids"].tolist() == [[[0, 0, 0, 0, 1, 1]] * 2]
    assert y == [1]
    assert preprocess.get_config()["sequence_length"] == 6


def test_forms_of_choices():
    expected = (["q", "r"], [["a", "b"], ["c", "d"]])
    for choices in (
        [["a", "b"], ["c", "d"]],
        (["a", "c"], ["b", "d"]),
    ):
        assert to_choices((["q", "r"], choices)) == expected
    assert to_choices((["q", "r"], ["a", "c"], ["b", "d"])) == expected


def test_round_trip():
    x = np.arange(12, dtype="int32").reshape(2, 3, 2)
    flat = ReshapeChoices()(x)
    assert tuple(flat.shape) == (6, 2)
    scores = ops.cast(flat, "float32")[:, :1]
    back = ops.convert_to_numpy(ReshapeChoices()(scores, x))
    np.testing.assert_array_equal(back, x[:, :, 0])
