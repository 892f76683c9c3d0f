import keras
import numpy as np
import pytest

import keras_electra
from keras_electra.tasks.prompt_classifier import ElectraPromptClassifier
from keras_electra.tasks.prompt_classifier import (
    ElectraPromptClassifierPreprocessor,
)
from tests import checks

TEMPLATES = ["{text} a {label}.", "{label} {text}"]
WORDS = {"bad": ["cooked", "the"], "good": "meal"}  # `cooked`: two pieces
TEXTS = ["the chef ate", "chef", "a meal", "ate . the a chef chef"]


def preprocessor(templates=TEMPLATES, verbalizers=WORDS, sequence_length=9):
    return ElectraPromptClassifierPreprocessor(
        checks.tiny_tokenizer(), sequence_length, templates, verbalizers
    )


def build(dtype="float32", **kwargs):
    backbone = checks.tiny_backbone(dtype=dtype, dropout=0.0)
    return ElectraPromptClassifier(backbone, preprocessor(**kwargs))


@pytest.fixture(scope="module")
def task():
    return build()


def test_rows_have_every_prompt():
    x = preprocessor().rows(["the chef", "the chef ate a meal ."])
    rows = x["token_ids"].tolist()
    assert rows[0] == [
        [2, 5, 6, 12, 7, 8, 11, 3, 0],
        [2, 5, 6, 12, 5, 11, 3, 0, 0],
        [2, 5, 6, 12, 10, 11, 3, 0, 0],
        [2, 7, 8, 5, 6, 3, 0, 0, 0],
        [2, 5, 5, 6, 3, 0, 0, 0, 0],
        [2, 10, 5, 6, 3, 0, 0, 0, 0],
    ]
    # The text is cut, the prompt is not.
    assert rows[1][0] == [2, 5, 6, 9, 12, 7, 8, 11, 3]
    assert x["verbalizer_mask"][0].argmax(-1).tolist() == [4, 4, 4, 1, 1, 1]
    assert x["verbalizer_mask"][0].sum(-1).tolist() == [2, 1, 1, 2, 1, 1]
    pairs = preprocessor("{text1} {label} {text2}")
    x = pairs((["the chef", "a"], ["ate", "meal"]), y=None)
    assert x["token_ids"][1, 2].tolist() == [2, 12, 10, 10, 3, 0, 0, 0, 0]


def test_scores_are_those_of_the_detector(task):
    detector = keras_electra.ElectraReplacedTokenDetector(
        task.backbone, head=task.head
    )
    x = task.preprocessor.rows(TEXTS)
    flat = {name: x[name].reshape(-1, 9) for name in detector.input}
    logits = checks.outputs_of(detector, flat).reshape(4, 6, 9)
    mask = x["verbalizer_mask"]
    scores = -(logits * mask).sum(-1) / mask.sum(-1)
    bad = scores[:, [0, 1, 3, 4]].mean(-1)
    expected = np.stack([bad, scores[:, [2, 5]].mean(-1)], axis=-1)
    found = task.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    best = task.classify(TEXTS[0])[0]
    assert best[0] == ("bad", "good")[expected[0].argmax()]
    assert task.classify(TEXTS, abstain_below=0.999999) == [[]] * 4


def test_learns_and_is_saved(tmp_path):
    task = build()
    checks.compile_quickly(task, optimizer=keras.optimizers.Adam(0.01))
    labels = ["bad", "good", "good", "bad"]
    task.fit(TEXTS, labels, batch_size=4, epochs=20, verbose=0)
    assert [row[0][0] for row in task.classify(TEXTS)] == labels
    x = task.preprocessor.rows(TEXTS)
    opened = checks.check_preset(task, x, tmp_path / "preset")
    assert opened.preprocessor.verbalizers["bad"] == ["cooked", "the"]
    checks.check_config(task)
    task.save(tmp_path / "task.keras")
    opened = keras.saving.load_model(tmp_path / "task.keras")
    assert opened.classify(TEXTS) == task.classify(TEXTS)
    task.calibrate(TEXTS, labels)
    assert task.coverage_report(TEXTS, labels).accuracy == 1.0


def test_opens_detectors_and_pretrainers(tmp_path):
    tokenizer = checks.tiny_tokenizer()
    backbone = checks.tiny_backbone()
    detector = keras_electra.ElectraReplacedTokenDetector(
        backbone,
        keras_electra.ElectraReplacedTokenDetectorPreprocessor(tokenizer, 9),
    )
    pretrainer = keras_electra.ElectraPretrainer(
        backbone,
        checks.tiny_backbone(embeddings=backbone.embeddings, name="generator"),
        keras_electra.ElectraPretrainerPreprocessor(tokenizer, 9),
    )
    for name, saved in (("detector", detector), ("whole", pretrainer)):
        folder = str(tmp_path / name)
        saved.save_to_preset(folder)
        task = ElectraPromptClassifier.from_preset(
            folder, templates=TEMPLATES, verbalizers=WORDS, sequence_length=9
        )
        head = getattr(saved, "head", None) or saved.discriminator_head
        for mine, theirs in zip(task.head.weights, head.weights, strict=True):
            np.testing.assert_array_equal(*map(np.asarray, (mine, theirs)))


def test_errors(task):
    for templates in ("{text}", "{label}", "{text!r} {label}", "{", 3):
        with pytest.raises(ValueError, match="`templates` must hold strings"):
            preprocessor([templates])
    for words in (None, {"a": "the"}, {"a": "the", "b": []}, {"a": 1, "b": 2}):
        with pytest.raises(ValueError, match="`verbalizers` must be a dict"):
            preprocessor(verbalizers=words)
    with pytest.raises(ValueError, match="be all for texts or"):
        preprocessor(["{text} {label}", "{text1} {label} {text2}"])
    with pytest.raises(ValueError, match="`preprocessor` must be one with"):
        ElectraPromptClassifier(checks.tiny_backbone())
    with pytest.raises(ValueError, match="6 tokens of a prompt"):
        preprocessor(sequence_length=6).rows(TEXTS)
    with pytest.raises(ValueError, match="single texts, but `x` holds pairs"):
        task.classify((["the"], ["a"]))
    with pytest.raises(ValueError, match="no form for the prompts"):
        task.export("graph")


def test_precisions():
    for policy in checks.PRECISIONS:
        assert np.isfinite(build(policy).predict(TEXTS, verbose=0)).all()
