"""The list of presets, and that each class shows it."""

import keras_electra

FACTS = {"parameters", "language", "corpus", "licence", "source", "verified"}


def test_what_is_listed():
    found = keras_electra.presets()
    assert all(set(facts) == FACTS for facts in found.values())
    ours = found["electra_tiny_en"]
    assert ours["parameters"] > 1e6 and "run by the tests" in ours["verified"]
    kerashub = [n for n in found if n.endswith("_uncased_en")]
    assert len(kerashub) == 6
    google = [n for n in found if n.startswith("hf://google/")]
    assert len(google) == 6
    # Nothing that was not tried is said to be.
    for name, facts in found.items():
        if name.startswith("hf://") or name in kerashub:
            assert "not downloaded" in facts["verified"]


def test_every_class_lists_them():
    names = set(keras_electra.presets())
    for cls in (
        keras_electra.ElectraBackbone,
        keras_electra.ElectraPretrainer,
        keras_electra.ElectraTextClassifier,
        keras_electra.ElectraMaskedLM,
    ):
        assert names <= set(cls.presets)
        entry = cls.presets["hf://google/electra-base-generator"]
        assert entry["metadata"]["params"] == 33_511_168
        assert entry["kaggle_handle"] == "hf://google/electra-base-generator"
