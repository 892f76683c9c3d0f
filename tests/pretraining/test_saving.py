import keras

from keras_electra.pretraining.pretrainer import ElectraPretrainer


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
