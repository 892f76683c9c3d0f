"""The card says what is known, and hand-written ones stay."""

import numpy as np

import keras_electra
from keras_electra.presets_saving import known_rows
from tests import checks


def build():
    return keras_electra.ElectraPretrainer(
        checks.tiny_backbone(),
        checks.tiny_backbone(hidden_dim=4),
        preprocessor=keras_electra.ElectraPretrainerPreprocessor(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        compile=False,
    )


def test_rows_of_a_pretrainer():
    pretrainer = build()
    rows = known_rows(pretrainer)
    assert rows["parameters"] == f"{pretrainer.count_params():,}"
    assert "width 8" in rows["discriminator"]
    assert "width 4" in rows["generator"]
    assert rows["vocabulary"] == "13 word pieces"
    assert rows["text is lowered"] == rows["accents are stripped"] == "yes"
    assert rows["sequence length"] == "8 tokens"
    assert "0.15 of the tokens" in rows["recipe"]
    assert "steps" not in rows


def test_steps_and_metrics_of_a_training(tmp_path):
    classifier = keras_electra.ElectraTextClassifier(
        checks.tiny_backbone(), num_classes=2, compile=False
    )
    checks.compile_quickly(classifier)
    rows = checks.ids([2, 5, 6, 7, 3])
    history = classifier.fit(rows, np.array([1]), batch_size=1, verbose=0)
    card = {"corpus": "two lines", "licence": "Apache-2.0"}
    classifier.save_to_preset(tmp_path, card=card)
    text = (tmp_path / "README.md").read_text()
    assert "| steps | 1 |" in text
    assert f"| loss | {history.history['loss'][-1]:.4g} |" in text
    assert "| corpus | two lines |" in text
    assert "\nlicense: apache-2.0\n" in text
    assert "keras_electra.ElectraTextClassifier.from_preset" in text


def test_written_anew_unless_somebody_wrote_it(tmp_path):
    classifier = keras_electra.ElectraTextClassifier(
        checks.tiny_backbone(), labels=["bad", "good"], compile=False
    )
    classifier.save_to_preset(tmp_path)
    card = tmp_path / "README.md"
    assert "| labels | bad, good |" in card.read_text()
    assert "pipeline_tag: text-classification" in card.read_text()
    classifier.save_to_preset(tmp_path, card={"labels": "two"})
    assert "| labels | two |" in card.read_text()
    card.write_text("Mine.")
    classifier.save_to_preset(tmp_path)
    assert card.read_text() == "Mine."


def test_a_converted_model_says_from_where(tmp_path, golden):
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(
        golden / "tiny_ckpt"
    )
    assert "Google's TF1" in known_rows(detector)["converted from"]
