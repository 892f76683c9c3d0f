"""How the two networks go together, and are saved."""

import keras
import pytest

from keras_electra.pretraining import networks
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from tests.checks import tiny_backbone


def test_special_ids_of_the_tokenizer_unless_given(tokenizer):
    class Preprocessor:
        pass

    preprocessor = Preprocessor()
    preprocessor.tokenizer = tokenizer
    assert networks.special_ids(preprocessor, None, None) == (4, [0, 2, 3, 4])
    assert networks.special_ids(preprocessor, 9, [9, 1]) == (9, [1, 9])
    with pytest.raises(ValueError, match="Received no `preprocessor`"):
        networks.special_ids(None, 4, None)


def test_a_generator_gets_the_embeddings_of_the_backbone():
    backbone, generator = tiny_backbone(), tiny_backbone(hidden_dim=4)
    shared = networks.prepare_generator(backbone, generator, True)
    assert shared.embeddings is backbone.embeddings
    assert shared.name == "generator"
    for ours, theirs in zip(
        shared.transformer_layers[0].get_weights(),
        generator.transformer_layers[0].get_weights(),
    ):
        assert (ours == theirs).all()
    assert networks.prepare_generator(backbone, shared, True) is shared
    # It is told by the names of its variables.
    apart = networks.prepare_generator(backbone, generator, False)
    for ours, theirs in zip(apart.weights, generator.weights):
        assert ours.path.startswith("generator/")
        assert (ours.numpy() == theirs.numpy()).all()
    assert networks.prepare_generator(backbone, apart, False) is apart
    with pytest.raises(ValueError, match="with_embeddings"):
        networks.prepare_generator(backbone, shared, False)
    assert networks.prepare_generator(backbone, backbone, True) is backbone
    assert networks.prepare_generator(backbone, None, True) is None


def test_embeddings_that_do_not_fit():
    other = tiny_backbone(max_sequence_length=5)
    with pytest.raises(ValueError, match="max_sequence_length"):
        networks.prepare_generator(tiny_backbone(), other, True)


# Saving.


def test_config_says_what_is_shared(make_pretrainer):
    pretrainer = make_pretrainer(compile=False)
    config = pretrainer.get_config()
    assert config["generator"]["class_name"] == "ElectraBackbone"
    backbone = pretrainer.backbone
    for generator, written in ((backbone, "backbone"), (None, None)):
        other = ElectraPretrainer(
            backbone,
            generator,
            mask_token_id=4,
            unselectable_token_ids=[0],
            compile=False,
        )
        assert other.get_config()["generator"] == written


def test_the_former_name_of_disallow_correct(make_pretrainer):
    config = make_pretrainer(compile=False, disallow_correct=True).get_config()
    config["forbid_correct"] = config.pop("disallow_correct")
    loaded = ElectraPretrainer.from_config({**config, "compile": False})
    assert loaded.disallow_correct and loaded.sample_tokens.disallow_correct


def test_both_networks_take_the_precision_of_the_backbone(make_pretrainer):
    config = make_pretrainer(compile=False).get_config()
    config["backbone"]["config"]["dtype"] = "bfloat16"
    loaded = ElectraPretrainer.from_config({**config, "compile": False})
    assert {w.dtype for w in loaded.generator.weights} == {"bfloat16"}
    assert {w.dtype for w in loaded.generator_head.weights} == {"bfloat16"}


def test_a_preset_has_no_optimizer(make_pretrainer, rows, tmp_path):
    pretrainer = make_pretrainer()
    pretrainer.train_on_batch(rows)
    pretrainer.save_to_preset(str(tmp_path))
    size = (tmp_path / "task.weights.h5").stat().st_size
    own = pretrainer.count_params() - pretrainer.backbone.count_params()
    assert size < 4 * own + 150_000  # the file format takes its part
    names = {path.name for path in tmp_path.iterdir()}
    assert {"config.json", "task.json", "model.weights.h5"} <= names
    assert keras.saving.get_registered_name(ElectraPretrainer) in (
        tmp_path / "task.json"
    ).read_text(encoding="utf-8")
