"""What is written, transformers opens whole, and comes back bit for bit."""

import logging

import keras
import numpy as np
import pytest

import keras_electra
from keras_electra.conversion.heads import HEADS
from keras_electra.conversion.heads import google_bias
from keras_electra.conversion.heads import google_to_transformers
from tests import checks
from tests.conversion import foreign

LABELS = ["bad", "good", "so so"]
BUILD = {
    "ElectraReplacedTokenDetector": {},
    "ElectraMaskedLM": {},
    "ElectraTextClassifier": {"labels": LABELS, "head": "transformers"},
    "ElectraTokenClassifier": {"labels": LABELS},
    "ElectraQuestionAnswering": {"head": "simple"},
    "ElectraMultipleChoice": {},
}
KINDS = {
    "google classifier": (
        "ElectraTextClassifier",
        {"labels": LABELS, "head": "google"},
    ),
    "regression": (
        "ElectraTextClassifier",
        {"num_classes": 1, "head": "transformers"},
    ),
    "untied": ("ElectraMaskedLM", {"tie_embeddings": False}),
    **{name: (name, arguments) for name, arguments in BUILD.items()},
}


def randomize(model):
    rng = np.random.default_rng(3)
    for weight in model.weights:
        values = rng.normal(0, 0.3, weight.shape)
        weight.assign(values + (1.0 if weight.name == "gamma" else 0.0))


def build(name, arguments, **sizes):
    cls = getattr(keras_electra, name)
    task = cls(
        checks.tiny_backbone(**sizes),
        preprocessor=cls.preprocessor_cls(
            checks.tiny_tokenizer(), sequence_length=8
        ),
        compile=False,
        **arguments,
    )
    randomize(task)
    return task


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_there_and_back(kind, tmp_path, caplog):
    name, arguments = KINDS[kind]
    task = build(name, arguments)
    task.export_to_transformers(tmp_path)
    import transformers

    architecture = HEADS[name].architecture
    with caplog.at_level(logging.WARNING, logger="transformers"):
        network, info = getattr(transformers, architecture).from_pretrained(
            str(tmp_path), output_loading_info=True
        )
    assert not any(info.values()), info
    assert not caplog.records
    labels = arguments.get("labels")
    if labels:
        assert network.config.id2label == dict(enumerate(labels))
    again = type(task).from_preset(tmp_path)
    assert foreign.same_weights(task, again)
    assert again.conversion_summary.new == {}
    assert getattr(again, "labels", None) == labels
    assert getattr(again, "head", None) == arguments.get("head") or (
        not isinstance(again.head, str)
    )
    result = foreign.compare_with_source(again, tmp_path)
    print(f"\n{keras.config.backend()} {kind}: {result}")
    assert result.same_tokens
    assert result.hidden_states < 1e-4 and result.logits < 1e-4


def test_tagger_of_another_segment_warns(tmp_path):
    task = build("ElectraTokenClassifier", {"labels": LABELS})
    task.preprocessor.segment_id = 1
    task.calibration = {"method": "temperature", "scale": [0.5], "bias": [0.0]}
    with pytest.warns(UserWarning, match="trained with segment_id=1"):
        with pytest.warns(UserWarning, match="leaves out `calibration`"):
            task.export_to_transformers(tmp_path)


def test_embedder_is_an_encoder(tmp_path):
    task = build("ElectraTextEmbedder", {})
    task.export_to_transformers(tmp_path)
    again = keras_electra.ElectraTextEmbedder.from_preset(tmp_path)
    assert foreign.same_weights(task.backbone, again.backbone)
    assert foreign.compare_with_source(again, tmp_path).logits is None


def test_pretrainer_there_and_back(discriminator, generator, tmp_path):
    pretrainer = keras_electra.ElectraPretrainer.from_preset(
        discriminator=discriminator, generator=generator
    )
    pretrainer.export_to_transformers(tmp_path)
    again = keras_electra.ElectraPretrainer.from_preset(tmp_path)
    assert foreign.same_weights(pretrainer, again)
    assert again.generator.embeddings is again.backbone.embeddings
    for cls, part, network in (
        ("ElectraReplacedTokenDetector", "discriminator", again.backbone),
        ("ElectraMaskedLM", "generator", again.generator),
    ):
        task = getattr(keras_electra, cls).from_preset(tmp_path)
        assert foreign.same_weights(task.backbone, network)
        result = foreign.compare_with_source(task, tmp_path / part)
        assert result.hidden_states < 1e-4 and result.logits < 1e-4


def test_original_head_is_rebuilt_only_if_it_is_untouched():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(5, 2)).astype("float32")
    bias = rng.normal(size=2).astype("float32")
    norm = rng.normal(size=(2, 5)).astype("float32")
    arrays, true_bias = google_to_transformers(kernel, bias, *norm)
    config = {"keras_electra_head": {"kind": "google", "bias": true_bias}}
    np.testing.assert_array_equal(google_bias(config, arrays.get), bias)
    assert google_bias({}, arrays.get) is None
    arrays["classifier/out_proj/bias"][0] += 1e-3  # trained further
    assert google_bias(config, arrays.get) is None


@pytest.mark.parametrize(
    "name, arguments, sizes, message",
    [
        (
            "ElectraQuestionAnswering",
            {"head": "joint"},
            {},
            "of 'simple'",
        ),
        (
            "ElectraMaskedLM",
            {"head_activation": "gelu_approximate"},
            {},
            "`head_activation` must be one of 'gelu'",
        ),
        (
            "ElectraReplacedTokenDetector",
            {},
            {"activation": "elu"},
            "`activation` must be one of.*'elu'",
        ),
    ],
)
def test_what_transformers_has_not(name, arguments, sizes, message, tmp_path):
    task = build(name, arguments, **sizes)
    with pytest.raises(ValueError, match=message):
        task.export_to_transformers(tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_texts_give_the_same_tokens_there(tmp_path):
    task = build("ElectraReplacedTokenDetector", {})
    for settings in (
        {"lowercase": True},
        {"lowercase": False},
        {"lowercase": True, "strip_accents": False, "split_on_cjk": False},
    ):
        tokenizer = keras_electra.ElectraTokenizer(
            [*checks.VOCABULARY, "é", "e", "A", "北", "##京", "京", "北京"],
            **settings,
        )
        task = keras_electra.ElectraReplacedTokenDetector(
            checks.tiny_backbone(vocabulary_size=20),
            preprocessor=task.preprocessor_cls(tokenizer, sequence_length=8),
            compile=False,
        )
        task.export_to_transformers(tmp_path)
        import transformers

        theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
        again = keras_electra.ElectraTokenizer.from_preset(tmp_path)
        assert again.get_vocabulary() == tokenizer.get_vocabulary()
        texts = ["A é 北京 chef", "The [MASK] cooked"]
        ids = tokenizer.encode_batch(texts, special_tokens=True)
        assert again.encode_batch(texts, special_tokens=True) == ids
        assert [row[1:-1] for row in theirs(texts)["input_ids"]] == ids
