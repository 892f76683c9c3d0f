"""Completely or not at all, and what the summary says."""

import keras
import numpy as np
import pytest

import keras_electra
from keras_electra.conversion import weights
from keras_electra.conversion.weights import Summary
from keras_electra.conversion.weights import assign
from tests import checks
from tests.conversion import foreign
from tests.original import Arrays


@pytest.fixture
def variables():
    return {
        ("whole",): keras.Variable(np.zeros(2, "float32")),
        ("left", "right"): keras.Variable(np.zeros((2, 4), "float32")),
    }


def arrays_for(table):
    shapes = weights.shapes_of(table)
    return {name: np.full(shape, 2.0) for name, shape in shapes.items()}


def test_everything_is_used_or_named(variables):
    checkpoint = Arrays({**arrays_for(variables), "extra": np.ones(1)})
    new = {"head/kernel": "fresh"}
    summary = assign(checkpoint, "generator", variables, new, ["a note"])
    for variable in variables.values():
        assert np.all(variable.numpy() == 2)
    assert summary == Summary(
        source="here",
        form="arrays",
        used=3,
        dropped={"extra": "on purpose"},
        new={"head/kernel": "fresh"},
        notes=["a note"],
    )
    assert str(summary).splitlines() == [
        "here (arrays): 3 tensors used",
        "  dropped: extra (on purpose)",
        "  new: head/kernel (fresh)",
        "  note: a note",
    ]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"left": None}, "Missing: left. Left over: none"),
        ({"more": np.ones(1)}, "Missing: none. Left over: more"),
        (
            {"right": np.ones((2, 3))},
            r"shape: right \(2, 3\) in place of \(2, 2\)",
        ),
    ],
)
def test_nothing_is_touched_before_all_is_checked(variables, change, message):
    arrays = {**arrays_for(variables), **change}
    arrays = {n: array for n, array in arrays.items() if array is not None}
    with pytest.raises(ValueError, match=message):
        assign(Arrays(arrays), "generator", variables, {}, [])
    for variable in variables.values():
        assert np.all(variable.numpy() == 0)


def test_a_long_list_fits_one_screen():
    dropped = {f"name_{i}": "slots" for i in range(500)}
    text = str(Summary("here", "arrays", 1, dropped, {}, []))
    assert "500 in all" in text and len(text) < 200


def test_summary_is_shown_once(discriminator, capsys):
    opened = keras_electra.ElectraBackbone.from_preset
    backbone = opened(discriminator)
    assert "39 tensors used" in capsys.readouterr().out
    assert backbone.conversion_summary.used == 39
    keras_electra.ElectraPretrainer.from_preset(discriminator)
    assert capsys.readouterr().out.count("tensors used") == 1


def test_networks_without_weights(discriminator):
    loaded = keras_electra.ElectraReplacedTokenDetector.from_preset(
        discriminator
    )
    fresh = keras_electra.ElectraReplacedTokenDetector.from_preset(
        discriminator, load_weights=False
    )
    assert fresh.get_config().keys() == loaded.get_config().keys()
    assert not foreign.same_weights(fresh, loaded)
    assert fresh.preprocessor.tokenizer.vocabulary_size() == 13


def test_a_backbone_and_a_preprocessor_may_be_given(discriminator):
    backbone = keras_electra.ElectraBackbone.from_preset(discriminator)
    task = keras_electra.ElectraTextClassifier.from_preset(
        discriminator, backbone=backbone, preprocessor=None, num_classes=2
    )
    assert task.backbone is backbone and task.preprocessor is None


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16"])
def test_precision(dtype, discriminator):
    task = keras_electra.ElectraReplacedTokenDetector.from_preset(
        discriminator, dtype=dtype
    )
    expected = "bfloat16" if dtype == "bfloat16" else "float32"
    assert {w.dtype for w in task.weights} == {expected}


def test_preprocessors_and_tokenizers(discriminator, made, tmp_path):
    tokenizer = keras_electra.ElectraTokenizer.from_preset(discriminator)
    assert tokenizer.fingerprint() == checks.tiny_tokenizer().fingerprint()
    for name in dir(keras_electra):
        if name.endswith("Preprocessor"):
            cls, given = getattr(keras_electra, name), {}
            if "Prompt" in name:
                given = {"verbalizers": {"bad": "meal", "good": "chef"}}
            preprocessor = cls.from_preset(discriminator, **given)
            assert type(preprocessor) is cls
            assert preprocessor.sequence_length == 16
            given["sequence_length"] = 8
            again = cls.from_preset(discriminator, **given)
            assert again.sequence_length == 8
    model = foreign.network("ElectraForPreTraining")
    foreign.save(model, tmp_path, vocabulary=None)
    with pytest.raises(FileNotFoundError, match="no vocabulary.*vocab.txt"):
        keras_electra.ElectraTokenizer.from_preset(tmp_path)
