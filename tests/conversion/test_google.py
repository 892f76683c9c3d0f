"""TF1 checkpoints through `from_preset`, and ours written as such.

That the loaded networks compute the original's numbers, and the variants of
sharing, are tests of the pre-trainer: `tests/pretraining/test_original_*.py`.
"""

import json
import shutil

import numpy as np
import pytest

import keras_electra
from keras_electra.backend.files import read_checkpoint
from keras_electra.conversion import weights
from tests import checks
from tests import original
from tests import recorded
from tests.conversion import foreign

CONFIG = recorded.read_json("tiny_ckpt/config.json")
ROWS = recorded.read_json("tiny_ckpt/variables.json")
SHAPES = {row["name"]: tuple(row["shape"]) for row in ROWS}
HIDDEN = CONFIG["discriminator_bert_config"]["hidden_size"]
IDS = recorded.special_ids()
SPECIAL = {
    "mask_token_id": IDS["[MASK]"],
    "unselectable_token_ids": [
        IDS[name] for name in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
    ],
}


def sizes(network):
    """Arguments of a network, as the recorded configuration has them."""
    config = CONFIG[f"{network}_bert_config"]
    vocabulary, embedding = SHAPES["electra/embeddings/word_embeddings"]
    return {
        "vocabulary_size": vocabulary,
        "embedding_dim": embedding,
        "num_layers": config["num_hidden_layers"],
        "num_heads": config["num_attention_heads"],
        "hidden_dim": config["hidden_size"],
        "intermediate_dim": config["intermediate_size"],
        "max_sequence_length": config["max_position_embeddings"],
        "num_segments": config["type_vocab_size"],
    }


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "tiny_ckpt"


@pytest.fixture(scope="module")
def pretrainer(folder):
    return keras_electra.ElectraPretrainer.from_preset(folder, **SPECIAL)


@pytest.fixture
def with_vocabulary(folder, golden, tmp_path):
    """The original's checkpoint beside its vocabulary, without a config."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    shutil.copy(golden / "vocab.txt", tmp_path)
    (tmp_path / "config.json").unlink()
    return tmp_path


def test_both_networks(pretrainer, folder):
    assert pretrainer.generator.embeddings is pretrainer.backbone.embeddings
    arrays = original.variables(folder)
    table = weights.pretrainer(pretrainer)
    ours = weights.arrays_of(table)
    assert set(ours) == set(arrays)
    assert set(map(id, table.values())) == set(map(id, pretrainer.weights))
    assert sum(a.size for a in ours.values()) == pretrainer.count_params()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, arrays[name])
    assert weights.shapes_of(table) == {n: a.shape for n, a in ours.items()}
    for network, expected in (
        (pretrainer.backbone, sizes("discriminator")),
        (pretrainer.generator, sizes("generator")),
    ):
        config = network.get_config()
        assert {name: config[name] for name in expected} == expected
    dropped = dict(pretrainer.conversion_summary.dropped)
    assert set(dropped.values()) == {
        "state of the optimizer",
        "counter of steps",
    }
    assert "nothing was lost" in str(pretrainer.conversion_summary)
    assert "64 units" not in str(pretrainer.conversion_summary)


def test_query_key_and_value_stand_side_by_side(pretrainer, folder):
    arrays = original.variables(folder)
    layer = pretrainer.backbone.transformer_layers[1].attention
    kernel, bias = layer.query_key_value.get_weights()
    name = "electra/encoder/layer_1/attention/self"
    for i, part in enumerate(("query", "key", "value")):
        columns = slice(HIDDEN * i, HIDDEN * (i + 1))
        np.testing.assert_array_equal(
            kernel[:, columns], arrays[f"{name}/{part}/kernel"]
        )
        np.testing.assert_array_equal(
            bias[columns], arrays[f"{name}/{part}/bias"]
        )


def test_each_network_alone(pretrainer, folder):
    (index,) = folder.glob("*.index")
    prefix = index.with_suffix("")
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(prefix)
    assert foreign.same_weights(detector.backbone, pretrainer.backbone)
    filler = keras_electra.ElectraMaskedLM.from_preset(folder)
    assert foreign.same_weights(filler.backbone, pretrainer.generator)
    backbone = keras_electra.ElectraBackbone.from_preset(folder)
    assert foreign.same_weights(backbone, pretrainer.backbone)


def test_sizes_and_case_without_a_config(with_vocabulary):
    classifier = keras_electra.ElectraTextClassifier.from_preset(
        with_vocabulary, num_classes=2
    )
    assert classifier.backbone.num_heads == HIDDEN // 64
    tokenizer = classifier.preprocessor.tokenizer
    tokens = (with_vocabulary / "vocab.txt").read_text("utf-8").split()
    assert tokenizer.vocabulary_size() == len(tokens)
    lowered = recorded.tokenizer_settings()["lowercase"]
    assert tokenizer.lowercase == lowered  # seen from the vocabulary
    length = sizes("discriminator")["max_sequence_length"]
    assert classifier.preprocessor.sequence_length == min(length, 512)
    summary = str(classifier.conversion_summary)
    assert "heads of 64 units" in summary
    assert f"lowercase={lowered}, seen from" in summary


def test_config_that_contradicts_the_weights(with_vocabulary):
    wrong = HIDDEN // 2
    config = {"discriminator_bert_config": {"hidden_size": wrong}}
    (with_vocabulary / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"hidden_size={wrong}.*have {HIDDEN}"):
        keras_electra.ElectraBackbone.from_preset(with_vocabulary)


def test_weights_that_are_not_electras(tmp_path):
    from keras_electra.backend.files import write_checkpoint

    write_checkpoint(tmp_path / "x", {"bert/pooler": np.ones(2, "float32")})
    with pytest.raises(ValueError, match="holds no ELECTRA.*bert/pooler"):
        keras_electra.ElectraBackbone.from_preset(tmp_path)


def test_written_as_the_original_wrote_it(pretrainer, folder, tmp_path):
    """The same names, shapes and bytes, but for the optimizer."""
    pretrainer.export_to_tf1(tmp_path)
    (_, original), (shapes, ours) = map(read_checkpoint, (folder, tmp_path))
    names = {
        name: shape
        for name, shape in SHAPES.items()
        if not name.endswith(("/adam_m", "/adam_v")) and name != "global_step"
    }
    assert shapes == names
    for name in names:
        np.testing.assert_array_equal(ours(name), original(name))


@pytest.mark.parametrize("sharing", ["shared", "apart", "one network"])
def test_pretrainers_there_and_back(sharing, tmp_path):
    backbone = checks.tiny_backbone(num_layers=2)
    generator = checks.tiny_backbone(hidden_dim=4, num_heads=1)
    if sharing == "one network":
        generator = backbone
    preprocessor = keras_electra.ElectraPretrainerPreprocessor(
        keras_electra.ElectraTokenizer(
            checks.VOCABULARY, lowercase=True, strip_accents=False
        ),
        sequence_length=8,
    )
    pretrainer = keras_electra.ElectraPretrainer(
        backbone,
        generator,
        preprocessor=preprocessor,
        share_embeddings=sharing != "apart",
        compile=False,
    )
    pretrainer.export_to_tf1(tmp_path)
    again = keras_electra.ElectraPretrainer.from_preset(
        tmp_path, share_embeddings=sharing != "apart"
    )
    assert foreign.same_weights(pretrainer, again)
    assert (again.generator is again.backbone) == (sharing == "one network")
    assert (
        again.preprocessor.tokenizer.fingerprint()
        == preprocessor.tokenizer.fingerprint()
    )
    assert again.backbone.num_heads == 2
    assert again.backbone.initializer_range == 0.5


@pytest.mark.parametrize(
    "cls",
    [
        keras_electra.ElectraReplacedTokenDetector,
        keras_electra.ElectraMaskedLM,
    ],
)
def test_tasks_there_and_back(cls, tmp_path):
    task = cls(checks.tiny_backbone(), compile=False)
    task.export_to_tf1(tmp_path)
    assert foreign.same_weights(task, cls.from_preset(tmp_path))


def test_what_the_original_has_not(tmp_path):
    task = keras_electra.ElectraReplacedTokenDetector(
        checks.tiny_backbone(activation="gelu_approximate"), compile=False
    )
    with pytest.raises(ValueError, match="activation of a TF1 .*'gelu'"):
        task.export_to_tf1(tmp_path / "a")
    filler = keras_electra.ElectraMaskedLM(
        checks.tiny_backbone(), tie_embeddings=False, compile=False
    )
    with pytest.raises(ValueError, match="tie_embeddings=False"):
        filler.export_to_tf1(tmp_path / "b")
    assert not list(tmp_path.iterdir())
