"""BERT's encoder is opened as a backbone, with the heads that are the same."""

import json

import numpy as np
import pytest

import keras_electra
from tests import checks
from tests.conversion import foreign


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """Function from a class of transformers to a network and its folder."""

    def make(architecture, epsilon=1e-12, **config):
        import transformers

        sizes = {**foreign.SIZES, "layer_norm_eps": epsilon, **config}
        del sizes["embedding_size"]
        model = getattr(transformers, architecture)(
            transformers.BertConfig(**sizes)
        )
        model = foreign.randomize(model)
        folder = tmp_path_factory.mktemp(architecture)
        return model, foreign.save(model, folder)

    return make


def hidden_states(model, x):
    import torch

    network = getattr(model, "bert", model)
    with torch.no_grad():
        result = network(**inputs(x)).last_hidden_state.numpy()
    return result * x["padding_mask"][..., None]


def inputs(x):
    import torch

    names = ["input_ids", "token_type_ids", "attention_mask"]
    arrays = (x[n] for n in ("token_ids", "segment_ids", "padding_mask"))
    return {n: torch.tensor(a).long() for n, a in zip(names, arrays)}


def logits(model, x):
    import torch

    with torch.no_grad():
        return model(**inputs(x)).logits.numpy()


def check_encoder(backbone, model):
    ours = checks.outputs_of(
        lambda x: backbone(x)["sequence_output"], foreign.X
    )
    ours = ours * foreign.X["padding_mask"][..., None]
    expected = hidden_states(model, foreign.X)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize("architecture", ["BertModel", "BertForPreTraining"])
@pytest.mark.parametrize("epsilon", [1e-12, 0.1])
def test_the_encoder(architecture, epsilon, bert):
    model, folder = bert(architecture, epsilon)
    backbone = keras_electra.ElectraBackbone.from_preset(folder)
    assert backbone.layer_norm_epsilon == epsilon
    assert backbone.embeddings_projection is None
    check_encoder(backbone, model)
    summary = str(backbone.conversion_summary)
    assert "pooler.dense.weight" in summary and "no pooler" in summary
    assert "it is a BERT" in summary
    assert ("seq_relationship" in summary) == (architecture != "BertModel")
    pretrainer = keras_electra.ElectraPretrainer.from_preset(folder)
    check_encoder(pretrainer.backbone, model)
    assert pretrainer.generator.layer_norm_epsilon == epsilon
    assert pretrainer.preprocessor.tokenizer.lowercase


def test_what_is_not_written_is_as_in_bert(bert):
    _, folder = bert("BertModel", hidden_size=24, num_attention_heads=12)
    path = f"{folder}/config.json"
    with open(path) as file:
        config = json.load(file)
    del config["num_attention_heads"]
    with open(path, "w") as file:
        json.dump({**config, "embedding_size": 5}, file)
    backbone = keras_electra.ElectraBackbone.from_preset(folder)
    assert (backbone.num_heads, backbone.embedding_dim) == (12, 24)


HEADS = {
    "BertForTokenClassification": keras_electra.ElectraTokenClassifier,
    "BertForQuestionAnswering": keras_electra.ElectraQuestionAnswering,
    "BertForMaskedLM": keras_electra.ElectraMaskedLM,
}


@pytest.mark.parametrize("architecture", HEADS)
def test_heads_that_are_the_same(architecture, bert):
    act = {"hidden_act": "relu"} if architecture == "BertForMaskedLM" else {}
    model, folder = bert(architecture, **act)
    task = HEADS[architecture].from_preset(folder)
    check_encoder(task.backbone, model)
    assert task.conversion_summary.new == {}
    if architecture == "BertForQuestionAnswering":
        return
    x = dict(foreign.X)
    expected = logits(model, x)
    if architecture == "BertForMaskedLM":
        assert task.head.activation == "relu" and task.head.tie_embeddings
        x["mask_positions"] = np.array([[1, 3], [0, 2]])
        expected = np.take_along_axis(
            expected, x["mask_positions"][:, :, None], axis=1
        )
    ours = checks.outputs_of(task, x)
    if architecture != "BertForMaskedLM":
        mask = x["padding_mask"][..., None]
        ours, expected = ours * mask, expected * mask
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_heads_on_the_pooler_are_told(bert):
    _, folder = bert("BertForSequenceClassification", num_labels=3)
    for cls in ("ElectraTextClassifier", "ElectraTokenClassifier"):
        task = getattr(keras_electra, cls).from_preset(folder, num_classes=3)
        summary = str(task.conversion_summary)
        assert "fresh head: BERT's reads its pooler" in summary
        assert "not in the checkpoint" not in summary


def test_early_files(bert):
    """A tagger with a pooler, and a configuration without `model_type`."""
    import safetensors.numpy

    _, folder = bert("BertForTokenClassification", num_labels=3)
    path = f"{folder}/model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    tensors["bert.pooler.dense.weight"] = np.ones((8, 8), "float32")
    safetensors.numpy.save_file(tensors, path)
    path = f"{folder}/config.json"
    with open(path) as file:
        config = json.load(file)
    del config["model_type"]
    with open(path, "w") as file:
        json.dump(config, file)
    tagger = keras_electra.ElectraTokenClassifier.from_preset(folder)
    assert tagger.num_classes == 3 and tagger.conversion_summary.new == {}
    dropped = {"bert.pooler.dense.weight": "ELECTRA has no pooler"}
    assert tagger.conversion_summary.dropped == dropped


def test_it_is_exported_as_electra(bert, tmp_path):
    import transformers

    model, folder = bert("BertModel", 0.1)
    embedder = keras_electra.ElectraTextEmbedder.from_preset(folder)
    embedder.export_to_transformers(tmp_path)
    again = transformers.AutoModel.from_pretrained(tmp_path).eval()
    assert type(again).__name__ == "ElectraModel"
    np.testing.assert_allclose(
        hidden_states(again, foreign.X),
        hidden_states(model, foreign.X),
        atol=1e-4,
    )
    backbone = keras_electra.ElectraBackbone.from_preset(tmp_path)
    assert backbone.layer_norm_epsilon == 0.1
    for form in ("keras_hub", "tf1"):
        with pytest.raises(ValueError, match="layer_norm_epsilon"):
            getattr(embedder, f"export_to_{form}")(tmp_path / form)
