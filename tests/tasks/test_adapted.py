"""Quantized and adapted models are saved and opened as they are."""

import gc
import json
import warnings

import keras
import keras_hub
import numpy as np
import pytest

import keras_electra
from keras_electra.model import adapted
from tests import checks

# Files are the same on every backend; `test_backbone_and_classifier` runs on
# all of them.
on_one_backend = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="The same files everywhere."
)
TEXTS = ["the chef cooked a meal .", "a meal", "the the chef ate ."]
CHANGES = {
    "int8": ["int8"],
    "int4": ["int4"],
    "weights only": [keras.quantizers.Int8QuantizationConfig(None, None)],
    "blocks": [keras.quantizers.Int4QuantizationConfig(block_size=2)],
    "lora": ["lora"],
    "quantized lora": ["lora", "int8"],
    "adapted int8": ["int8", "lora"],
    "adapted int4": ["int4", "lora"],
}


def task(name, **kwargs):
    cls = getattr(keras_electra, f"Electra{name}")
    preprocessor = cls.preprocessor_cls(checks.tiny_tokenizer(), 8)
    return cls(checks.tiny_backbone(), preprocessor=preprocessor, **kwargs)


def pretrainer(share_embeddings=True):
    backbone, generator = (checks.tiny_backbone(name=n) for n in "bg")
    tokenizer = checks.tiny_tokenizer()
    return keras_electra.ElectraPretrainer(
        backbone,
        generator,
        keras_electra.ElectraPretrainerPreprocessor(tokenizer, 8),
        share_embeddings=share_embeddings,
        seed=0,
    )


BUILDERS = {
    "text": lambda: task("TextClassifier", num_classes=3, head="transformers"),
    "tokens": lambda: task("TokenClassifier", labels=["O", "B-A", "I-A"]),
    "questions": lambda: task("QuestionAnswering"),
    "choices": lambda: task("MultipleChoice"),
    "embedder": lambda: task("TextEmbedder"),
    "masked": lambda: task("MaskedLM"),
    "replaced": lambda: task("ReplacedTokenDetector"),
    "pretrainer": pretrainer,
    "apart": lambda: pretrainer(share_embeddings=False),
}


def networks(model):
    found = (getattr(model, "generator", None), model.backbone)
    return [network for network in found if network is not None]


def change(model, changes):
    """Quantizes or adapts; adapters and biases become something."""
    for how in changes:
        if how == "lora":
            for network in networks(model):
                network.enable_lora(2)
            for w in model.trainable_weights:
                if w.name in ("lora_kernel_b", "bias"):
                    w.assign(np.random.default_rng(0).normal(size=w.shape))
        else:
            gc.freeze()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                named = {"mode": how} if isinstance(how, str) else {}
                model.quantize(**named, config=None if named else how)
    return model


def outputs(model):
    shape = {"token_ids": [[2, 5, 6, 7, 8, 3, 0, 0], [2, 5, 5, 9, 3, 0, 0, 0]]}
    x = {n: np.array(shape["token_ids"], "int32") for n in ("token_ids",)}
    x["padding_mask"] = (x["token_ids"] > 0).astype("int32")
    x["segment_ids"] = 0 * x["padding_mask"]
    x["segment_ids"][:, 3:5] = 1
    for layer in (
        getattr(model, "mask_tokens", None),
        getattr(model, "sample_tokens", None),
    ):
        if layer is not None:
            layer.restart_evaluation()
    spec = model.input
    if "mask_positions" in spec:
        x["mask_positions"] = np.array([[1, 2], [1, 3]], "int32")
    if len(spec["token_ids"].shape) == 3:
        x = {name: array[None] for name, array in x.items()}
    for name in spec.keys() - x.keys():
        x[name] = np.full((2,), -1, "int32")
    x = {name: keras.ops.convert_to_tensor(x[name]) for name in spec}
    return [
        np.asarray(keras.ops.convert_to_numpy(v), "float32")
        for v in keras.tree.flatten(model(x, training=False))
    ]


def changes_of(model):
    """As a file holds them, where a tuple is a list."""
    return json.loads(json.dumps(adapted.changes_in_config(model)))


def check_same(model, opened):
    for mine, theirs in zip(outputs(model), outputs(opened), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert [w.name for w in model.trainable_weights] == [
        w.name for w in opened.trainable_weights
    ]
    for mine, theirs in zip(networks(model), networks(opened)):
        assert changes_of(mine) == changes_of(theirs)


@pytest.mark.parametrize("changes", CHANGES)
def test_backbone_and_classifier(changes, tmp_path):
    model = change(BUILDERS["text"](), CHANGES[changes])
    model.save_to_preset(tmp_path)
    keras.utils.set_random_seed(1)
    check_same(model, type(model).from_preset(tmp_path))
    check_same(
        model, keras_hub.models.TextClassifier.from_preset(str(tmp_path))
    )
    model.save(tmp_path / "model.keras")
    check_same(model, keras.saving.load_model(tmp_path / "model.keras"))
    x = checks.ids([2, 5, 6, 3])
    for cls in (type(model.backbone), keras_hub.models.Backbone):
        opened = cls.from_preset(str(tmp_path))
        np.testing.assert_array_equal(
            *(
                keras.ops.convert_to_numpy(m(x)["sequence_output"])
                for m in (model.backbone, opened)
            )
        )
    # A fresh head learns.
    fresh = type(model).from_preset(tmp_path, num_classes=2)
    assert fresh.output_dense.quantization_mode is None
    assert changes_of(fresh.backbone) == changes_of(model.backbone)


@on_one_backend
@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("changes", ["int8", "adapted int4"])
def test_every_task(name, changes, tmp_path):
    model = change(BUILDERS[name](), CHANGES[changes])
    model.save_to_preset(tmp_path)
    keras.utils.set_random_seed(1)
    check_same(model, type(model).from_preset(tmp_path))
    model.save(tmp_path / "model.keras")
    check_same(model, keras.saving.load_model(tmp_path / "model.keras"))


@pytest.mark.parametrize("name", ["masked", "replaced"])
def test_part_of_a_pretrainer(name, tmp_path):
    whole = change(pretrainer(), ["int8", "lora"])
    whole.save_to_preset(tmp_path / "whole")
    cls = type(BUILDERS[name]())
    part = cls.from_preset(tmp_path / "whole")
    part.save_to_preset(tmp_path / "part")
    check_same(part, cls.from_preset(tmp_path / "part"))
    kept = whole.generator if name == "masked" else whole.backbone
    assert changes_of(part.backbone) == changes_of(kept)


def test_names_of_layers_to_adapt():
    backbone = checks.tiny_backbone()
    for names in (["query", "value"], ["dropout"], "query_key_value", []):
        with pytest.raises(ValueError, match="query_key_value") as error:
            backbone.enable_lora(2, target_layer_names=names)
        assert "token_embedding" in str(error.value)
    assert all(w.trainable for w in backbone.trainable_weights)
    backbone.enable_lora(2, ["output_dense", "token_embedding"])
    with pytest.raises(ValueError, match="adapted already"):
        backbone.enable_lora(2)


@on_one_backend
@pytest.mark.parametrize("changes", ["lora", "adapted int8"])
@pytest.mark.parametrize("name", ["text", "masked", "pretrainer", "apart"])
def test_lora_file(name, changes, tmp_path):
    """Adapters, biases and heads come back into the network as it was."""
    model, path = BUILDERS[name](), tmp_path / "a.lora.h5"
    model.save_weights(tmp_path / "base.weights.h5")
    change(model, CHANGES[changes])
    model.save_lora_weights(path)
    other = BUILDERS[name]()
    other.load_weights(tmp_path / "base.weights.h5")
    change(other, set(CHANGES[changes]) - {"lora"})
    other.load_lora_weights(path)
    check_same(model, other)
    for w in other.trainable_weights:
        w.assign(w + 1)
    other.load_lora_weights(path)  # once more, into its adapters
    check_same(model, other)
    wrong = BUILDERS[name]()
    wrong.backbone.enable_lora(3)
    for bad in (wrong, BUILDERS["tokens"](), model.backbone):
        with pytest.raises(ValueError, match="another model"):
            bad.load_lora_weights(path)
    with pytest.raises(ValueError, match="`.lora.h5`"):
        model.save_lora_weights(tmp_path / "a.h5")
    with pytest.raises(ValueError, match="adapters of 0"):
        BUILDERS[name]().save_lora_weights(path)


def test_lora_file_beside_other_weights(tmp_path, monkeypatch):
    """It is told; what cannot be read or written is refused."""
    monkeypatch.chdir(tmp_path)
    model, path = change(BUILDERS["text"](), ["lora"]), tmp_path / "a.lora.h5"
    model.save_lora_weights(path)
    with pytest.warns(UserWarning, match="a.lora.h5 .*other frozen weights"):
        BUILDERS["text"]().load_lora_weights(path)
    with pytest.raises(ValueError, match="local folder.*s3://b/a.lora.h5"):
        model.save_lora_weights("s3://b/a.lora.h5")
    path.write_bytes(path.read_bytes()[:999])
    with pytest.raises(ValueError, match="a.lora.h5 is damaged"):
        model.load_lora_weights(path)
    with pytest.raises(FileNotFoundError, match="b.lora.h5"):
        model.load_lora_weights(tmp_path / "b.lora.h5")
    weight = model.trainable_weights[0]
    weight.assign(np.full(weight.shape, np.nan))
    with pytest.raises(ValueError, match="is not finite"):
        model.save_lora_weights(tmp_path / "c.lora.h5")
    assert [each.name for each in tmp_path.iterdir()] == ["a.lora.h5"]


@pytest.mark.parametrize("mode", ["gptq", "awq", "int2"])
def test_modes_that_there_are_not(mode):
    model = BUILDERS["text"]()
    with pytest.raises(ValueError, match=mode.upper() + "|Invalid"):
        model.quantize(mode)
    assert changes_of(model) == {}


def test_lora_file_of_keras_hub(tmp_path):
    backbone = checks.tiny_backbone()
    backbone.enable_lora(2)
    layer = backbone.transformer_layers[0].attention.query_key_value
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    path = str(tmp_path / "a.lora.h5")
    keras_hub.models.Backbone.save_lora_weights(backbone, path)
    other = checks.tiny_backbone()
    other.load_lora_weights(path)
    layer = other.transformer_layers[0].attention.query_key_value
    assert np.all(keras.ops.convert_to_numpy(layer.lora_kernel_b) == 1)


def test_quantized_is_not_exported(tmp_path):
    with pytest.raises(ValueError, match="export before `quantize`"):
        change(BUILDERS["replaced"](), ["int8"]).export_to_transformers(
            tmp_path
        )
    assert not list(tmp_path.iterdir())
