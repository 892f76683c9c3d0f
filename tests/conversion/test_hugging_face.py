"""Checkpoints that transformers wrote compute the same numbers here.

The largest differences are printed (`pytest -s`); the README quotes them.
"""

import json
import pathlib
import shutil
import warnings

import keras
import numpy as np
import pytest
import safetensors.numpy

import keras_electra
from keras_electra.conversion import weights
from keras_electra.conversion.hugging_face import is_transposed
from keras_electra.conversion.hugging_face import transformers_name
from keras_electra.model.sizes import SIZES
from tests import checks
from tests.conversion import foreign

TASKS = {
    "ElectraForPreTraining": keras_electra.ElectraReplacedTokenDetector,
    "ElectraForMaskedLM": keras_electra.ElectraMaskedLM,
    "ElectraForSequenceClassification": keras_electra.ElectraTextClassifier,
    "ElectraForTokenClassification": keras_electra.ElectraTokenClassifier,
    "ElectraForQuestionAnswering": keras_electra.ElectraQuestionAnswering,
    "ElectraForMultipleChoice": keras_electra.ElectraMultipleChoice,
    "ElectraModel": keras_electra.ElectraBackbone,
}
LABELLED = ("ElectraForSequenceClassification", "ElectraForTokenClassification")


def check_same(model, folder):
    x = foreign.X
    result = foreign.compare_with_source(model, folder, x=x)
    print(f"\n{keras.config.backend()} {type(model).__name__}: {result}")
    assert result.hidden_states < 1e-4
    has_head = not isinstance(model, keras_electra.ElectraBackbone)
    assert (result.logits is not None) == has_head
    assert result.logits is None or result.logits < 1e-4
    return result


@pytest.mark.parametrize("architecture", TASKS)
@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
def test_every_head(architecture, activation, made):
    labels = {"num_labels": 3} if architecture in LABELLED else {}
    folder = made(architecture, hidden_act=activation, **labels)
    model = TASKS[architecture].from_preset(folder)
    check_same(model, folder)
    assert model.conversion_summary.new == {}
    if labels:
        assert model.num_classes == 3 and model.labels is None


def test_untied_output_matrix(made, tmp_path):
    folder = made("ElectraForMaskedLM", tie_word_embeddings=False)
    filler = keras_electra.ElectraMaskedLM.from_preset(folder)
    assert not filler.head.tie_embeddings
    check_same(filler, folder)
    filler.save_to_preset(tmp_path)
    again = keras_electra.ElectraMaskedLM.from_preset(str(tmp_path))
    assert foreign.same_weights(filler, again)


def test_names_of_classes(tmp_path):
    names = {0: "bad", 1: "good", 2: "so so"}
    model = foreign.network(
        "ElectraForSequenceClassification",
        id2label=names,
        label2id={label: id for id, label in names.items()},
        problem_type="multi_label_classification",
        classifier_dropout=0.25,
    )
    folder = foreign.save(model, tmp_path)
    classifier = keras_electra.ElectraTextClassifier.from_preset(folder)
    assert classifier.labels == ["bad", "good", "so so"]
    assert classifier.head == "transformers"
    assert classifier.problem_type == "multi_label"
    assert classifier.dropout == 0.25
    fresh = keras_electra.ElectraTextClassifier.from_preset(
        folder, num_classes=2
    )
    assert fresh.head == "google" and fresh.num_classes == 2
    assert "as was asked for" in str(fresh.conversion_summary)


@pytest.mark.parametrize("form", ["float16", "bfloat16", "sharded"])
def test_other_files(form, tmp_path):
    import torch

    model = foreign.network("ElectraForPreTraining")
    if form == "sharded":
        folder = foreign.save(model, tmp_path, max_shard_size="1KB")
        assert len(list(tmp_path.glob("*.safetensors"))) > 2
    else:
        folder = foreign.save(model.to(getattr(torch, form)), tmp_path)
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(folder)
    assert {w.dtype for w in detector.weights} == {"float32"}
    check_same(detector, folder)


def test_pickled_file_with_old_names(tmp_path):
    """As Google's generators were published, and more that is out of date."""
    import torch

    model = foreign.network("ElectraForMaskedLM")
    tensors = {}
    for name, tensor in foreign.tensors_of(model).items():
        if "LayerNorm" in name:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            name = name.replace("LayerNorm.bias", "LayerNorm.beta")
        tensors[name] = tensor
    assert "generator_lm_head.weight" in tensors
    tensors["electra.embeddings.position_ids"] = torch.arange(16)[None]
    tensors["electra.pooler.dense.weight"] = torch.ones(8, 8)
    model.config.save_pretrained(tmp_path)
    foreign.write_vocabulary(tmp_path)
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    filler = keras_electra.ElectraMaskedLM.from_preset(tmp_path)
    dropped = dict(filler.conversion_summary.dropped)
    assert dropped == {
        "electra.embeddings.position_ids": "a buffer, not a weight",
        "electra.pooler.dense.weight": "ELECTRA has no pooler",
        "generator_lm_head.weight": "equal to the word embeddings",
    }
    reference = foreign.save(model, tmp_path / "new")
    check_same(filler, reference)


def rename(folder, rename, **config):
    """Names the tensors of a checkpoint anew, and changes its config."""
    path = pathlib.Path(folder)
    tensors = safetensors.numpy.load_file(path / "model.safetensors")
    tensors = {rename(name): tensor for name, tensor in tensors.items()}
    safetensors.numpy.save_file(tensors, path / "model.safetensors")
    config = {**json.loads((path / "config.json").read_text()), **config}
    (path / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "net.", "electra."]
)
def test_names_of_wrappers_are_taken_off(prefix, tmp_path):
    model = foreign.network("ElectraForTokenClassification", num_labels=3)
    folder = foreign.save(model, tmp_path / "a")
    foreign.save(model, tmp_path / "b")
    rename(tmp_path / "b", lambda name: prefix + name)
    tagger = keras_electra.ElectraTokenClassifier.from_preset(tmp_path / "b")
    check_same(tagger, folder)


def test_names_of_wrappers_inside(tmp_path):
    def wrap(name):
        return name.replace("electra.", "electra._orig_mod.").replace(
            "encoder.", "encoder.module."
        )

    folder = foreign.save(
        foreign.network("ElectraForPreTraining"), tmp_path / "a"
    )
    shutil.copytree(folder, tmp_path / "b")
    rename(tmp_path / "b", wrap)
    detector = TASKS["ElectraForPreTraining"].from_preset(tmp_path / "b")
    check_same(detector, folder)


@pytest.mark.parametrize("architecture", list(TASKS)[2:6])
@pytest.mark.parametrize("claimed", [["ElectraForNER"], ["ElectraModel"], None])
def test_heads_are_known_by_their_tensors(architecture, claimed, tmp_path):
    labels = {"num_labels": 3} if architecture in LABELLED else {}
    model = foreign.network(architecture, **labels)
    folder = foreign.save(model, tmp_path / "a")
    shutil.copytree(folder, tmp_path / "b")
    rename(tmp_path / "b", str, architectures=claimed)
    task = TASKS[architecture].from_preset(tmp_path / "b")
    assert task.conversion_summary.new == {}
    assert task.conversion_summary.dropped == {}
    check_same(task, folder)
    for other in set(list(TASKS)[2:6]) - {architecture}:
        given = {"num_classes": 3} if other in LABELLED else {}
        wrong = TASKS[other].from_preset(tmp_path / "b", **given)
        assert wrong.conversion_summary.new


@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
@pytest.mark.parametrize("architecture", ["ElectraForMaskedLM", "ElectraModel"])
def test_epsilon_of_the_normalizations(architecture, epsilon, made, tmp_path):
    folder = made(architecture, layer_norm_eps=epsilon)
    model = TASKS[architecture].from_preset(folder)
    backbone = getattr(model, "backbone", model)
    assert backbone.get_config()["layer_norm_epsilon"] == epsilon
    check_same(model, folder)
    if backbone is not model:
        assert model.head.layer_norm.epsilon == epsilon
        model.export_to_transformers(tmp_path / "again")
        check_same(model, tmp_path / "again")


def test_blank_lines_and_padding_are_told(made, tmp_path):
    folder = made("ElectraForPreTraining", vocab_size=1000)
    folder = shutil.copytree(folder, tmp_path / "copy")
    with open(folder / "vocab.txt", "a") as file:
        file.write("\n \n\n")
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(folder)
    assert detector.preprocessor.tokenizer.vocabulary_size() == 13
    note = "of 1000 rows of the embeddings 987 are of no token"
    assert note in str(detector.conversion_summary)
    pretrainer = keras_electra.ElectraPretrainer.from_preset(folder)
    assert note in str(pretrainer.conversion_summary)


def test_a_vocabulary_that_is_cut_off_is_told(tmp_path):
    """Rows beyond it are trained like the others; padding is not."""
    network = foreign.network("ElectraForPreTraining", vocab_size=300)
    folder = foreign.save(network, tmp_path / "cut")
    with pytest.warns(UserWarning, match="13 entries.*300 tokens.*cut off"):
        keras_electra.ElectraTokenizer.from_preset(folder)
    words = network.electra.embeddings.word_embeddings.weight
    words.data[13:] *= 0.05
    folder = foreign.save(network, tmp_path / "padded")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keras_electra.ElectraTokenizer.from_preset(folder)


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "value", [np.nan, np.inf, 1e300, np.arange(8).astype("int8")], ids=str
)
def test_weights_that_are_no_finite_numbers(value, discriminator, tmp_path):
    folder = shutil.copytree(discriminator, tmp_path / "copy")
    path = folder / "model.safetensors"
    arrays, name = safetensors.numpy.load_file(path), "encoder.layer.1"
    name = f"electra.{name}.attention.output.dense.bias"
    kind = getattr(value, "dtype", "float64")
    arrays[name] = np.zeros(8, kind) + np.asarray(value, kind)
    safetensors.numpy.save_file(arrays, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"{name} of {folder} must hold"):
        keras_electra.ElectraBackbone.from_preset(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"id2label": ["a", "b", "c"]},
        {"id2label": {"a": "x", "b": "y", "c": "z"}},
        {"id2label": {"1": "x", "2": "y", "3": "z"}},
        {"id2label": {"0": "x", "1": None, "2": "z"}},
        {"id2label": {"0": "x", "1": "x", "2": "z"}},
        {"id2label": {"0": "x"}},
        {"id2label": 3},
        {"problem_type": ["single_label"]},
        {"classifier_dropout": "0.1"},
        {"quantization_config": {"quant_method": "bitsandbytes"}},
    ],
    ids=str,
)
def test_settings_of_another_type_are_named(changes, made, tmp_path):
    folder = made("ElectraForSequenceClassification", num_labels=3)
    folder = shutil.copytree(folder, tmp_path / "copy")
    edit(folder, **changes)
    with pytest.raises(ValueError, match=str(folder)):
        keras_electra.ElectraTextClassifier.from_preset(folder)
    edit(folder, id2label={"0": 1, "1": 2, "2": 3.5})
    if changes.keys() == {"id2label"}:
        opened = keras_electra.ElectraTextClassifier.from_preset(folder)
        assert opened.labels == ["1", "2", "3.5"]


def test_no_projection_and_padded_vocabulary(made):
    folder = made("ElectraForPreTraining", embedding_size=8, vocab_size=16)
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(folder)
    assert detector.backbone.embeddings_projection is None
    assert detector.backbone.vocabulary_size == 16
    assert detector.preprocessor.tokenizer.vocabulary_size() == 13
    check_same(detector, folder)


def test_settings_of_the_network(made):
    folder = made(
        "ElectraForPreTraining",
        hidden_dropout_prob=0.3,
        attention_probs_dropout_prob=0.2,
        initializer_range=0.05,
    )
    backbone = keras_electra.ElectraBackbone.from_preset(folder)
    assert backbone.dropout == 0.3
    assert backbone.attention_dropout == 0.2
    assert backbone.initializer_range == 0.05
    half = keras_electra.ElectraBackbone.from_preset(folder, dtype="bfloat16")
    assert {w.dtype for w in half.weights} == {"bfloat16"}


# The released small generator is as wide as the discriminator (256), unlike
# that of the paper.
OFFICIAL = {
    "small discriminator": SIZES["small"].discriminator(),
    "small generator": SIZES["small"].discriminator(),
    "base discriminator": SIZES["base"].discriminator(),
    "base generator": SIZES["base"].generator(),
    "large discriminator": SIZES["large"].discriminator(),
    "large generator": SIZES["large"].generator(),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_names_and_shapes_of_official_networks(name):
    import torch
    import transformers

    sizes = OFFICIAL[name]
    is_generator = name.endswith("generator")
    architecture = "ForMaskedLM" if is_generator else "ForPreTraining"
    with torch.device("meta"):
        model = getattr(transformers, f"Electra{architecture}")(
            transformers.ElectraConfig(
                embedding_size=sizes["embedding_dim"],
                hidden_size=sizes["hidden_dim"],
                num_hidden_layers=sizes["num_layers"],
                num_attention_heads=sizes["num_heads"],
                intermediate_size=sizes["intermediate_dim"],
            )
        )
    expected = {n: tuple(p.shape) for n, p in model.named_parameters()}
    expected.pop("generator_lm_head.weight", None)
    with foreign.unallocated():
        task = TASKS[f"Electra{architecture}"](
            keras_electra.ElectraBackbone(vocabulary_size=30522, **sizes),
            compile=False,
        )
    table = weights.network(task.backbone)
    head = weights.TOKEN_HEAD if is_generator else weights.REPLACED_HEAD
    table.update(weights.of_parts(task, head))
    found = {}
    for name, shape in weights.shapes_of(table).items():
        name = transformers_name(name)
        found[name] = shape[::-1] if is_transposed(name) else shape
    assert found == expected
    total = sum(int(np.prod(shape)) for shape in expected.values())
    assert total == sum(int(np.prod(w.shape)) for w in task.weights)


def test_the_small_size_for_real(tmp_path):
    """13.5 million parameters, 30,522 tokens, 12 layers."""
    model = foreign.network(
        "ElectraForPreTraining",
        vocab_size=30522,
        embedding_size=128,
        hidden_size=256,
        num_hidden_layers=12,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=512,
        scale=0.08,
    )
    folder = foreign.save(model, tmp_path, vocabulary=None)
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(folder)
    assert detector.backbone.count_params() == 13_483_008
    check_same(detector, folder)
    assert checks.outputs_of(detector, foreign.X).std() > 0.01
