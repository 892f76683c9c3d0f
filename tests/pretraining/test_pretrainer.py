"""The pre-trainer as a Keras model, and its preprocessor."""

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.pretraining.pretrainer import ElectraPretrainerPreprocessor
from keras_electra.training.optimizers import ElectraAdamW
from tests import checks
from tests.pretraining.conftest import FAST

LOGS = {
    "loss",
    "generator_loss",
    "discriminator_loss",
    "generator_accuracy",
    "sampled_accuracy",
    "replaced_fraction",
    "discriminator_accuracy",
    "discriminator_precision",
    "discriminator_recall",
    "discriminator_auc",
}
TRAINING_LOGS = {"gradient_norm", "generator_gradient_norm", "skipped_steps"}


def evaluate(pretrainer, rows):
    return pretrainer.evaluate(rows, batch_size=32, return_dict=True, verbose=0)


def weights(model):
    return [ops.convert_to_numpy(w.value) for w in model.weights]


def test_learns_the_rule(make_pretrainer, rows):
    pretrainer = make_pretrainer()
    pretrainer.compile(optimizer=ElectraAdamW(3e-3), **FAST)
    before = evaluate(pretrainer, rows)
    history = pretrainer.fit(
        rows,
        validation_data=rows,
        batch_size=32,
        steps_per_epoch=30,
        epochs=3,
        verbose=0,
    ).history
    after = evaluate(pretrainer, rows)
    assert set(before) == set(after) == LOGS
    validation = {f"val_{name}" for name in LOGS}
    assert set(history) == LOGS | TRAINING_LOGS | validation
    assert before["generator_loss"] == pytest.approx(np.log(32), abs=0.3)
    assert after["generator_loss"] < 0.8 * before["generator_loss"]
    assert after["discriminator_auc"] > 0.6
    assert history["val_loss"][-1] == pytest.approx(after["loss"], rel=1e-5)


def test_evaluation_masks_the_same_way(make_pretrainer, rows):
    pretrainer = make_pretrainer(dropout=0.1)
    first, second = evaluate(pretrainer, rows), evaluate(pretrainer, rows)
    assert first == second
    pretrainer.fit(rows, batch_size=32, verbose=0)
    pretrainer.optimizer.learning_rate  # still readable
    assert evaluate(pretrainer, rows) == evaluate(pretrainer, rows)
    other = make_pretrainer(seed=8)
    other.set_weights(pretrainer.get_weights())
    assert evaluate(other, rows) == evaluate(pretrainer, rows)


def test_fits_on_raw_texts_and_pairs(make_pretrainer, tokenizer, texts):
    pretrainer = make_pretrainer(tokenizer)
    history = pretrainer.fit(
        texts, validation_data=texts[:8], batch_size=16, epochs=2, verbose=0
    ).history
    assert len(history["loss"]) == 2 and np.isfinite(history["val_loss"]).all()
    pretrainer.fit((texts, texts), batch_size=16, verbose=0)
    scores = pretrainer.evaluate(texts, verbose=0, return_dict=True)
    assert scores["replaced_fraction"] > 0


def test_preset_round_trip(make_pretrainer, tokenizer, texts, tmp_path):
    pretrainer = make_pretrainer(tokenizer)
    pretrainer.fit(texts, batch_size=20, verbose=0)
    expected = pretrainer.evaluate(texts, verbose=0, return_dict=True)
    folder = str(tmp_path / "preset")
    pretrainer.save_to_preset(folder)
    loaded = ElectraPretrainer.from_preset(folder)
    assert loaded.generator.embeddings is loaded.backbone.embeddings
    found = loaded.evaluate(texts, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, abs=1e-6)
    backbone = keras_hub.models.Backbone.from_preset(folder)
    for ours, theirs in zip(weights(backbone), weights(pretrainer.backbone)):
        np.testing.assert_array_equal(ours, theirs)


def test_keras_file_keeps_the_optimizer(make_pretrainer, rows, tmp_path):
    pretrainer = make_pretrainer(dropout=0.1)
    pretrainer.compile(optimizer=keras.optimizers.Adam(1e-2), **FAST)
    pretrainer.fit(rows, batch_size=32, verbose=0)
    path = str(tmp_path / "model.keras")
    pretrainer.save(path)
    loaded = keras.saving.load_model(path)
    assert int(loaded.optimizer.iterations) == 2
    for ours, theirs in zip(
        loaded.optimizer.variables, pretrainer.optimizer.variables
    ):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs)
        )
    # Seeds are saved, too: the next steps draw what the original draws.
    for generator in ("mask_tokens", "sample_tokens"):
        ours = getattr(loaded, generator).seed_generator.state
        theirs = getattr(pretrainer, generator).seed_generator.state
        np.testing.assert_array_equal(
            ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs)
        )


@pytest.mark.parametrize(
    "sharing", ["embeddings", "nothing", "everything", "uniform", "mlm"]
)
def test_sharing(make_pretrainer, rows, sharing):
    plain = make_pretrainer(compile=False)
    backbone = plain.backbone
    arguments = dict(mask_token_id=4, unselectable_token_ids=[0, 2, 3, 4])
    if sharing == "embeddings":
        generator = plain.generator.with_embeddings(None)
    elif sharing == "nothing":
        generator = plain.generator.with_embeddings(None)
        arguments["share_embeddings"] = False
    elif sharing == "uniform":
        generator = None
    else:
        generator = backbone
        if sharing == "mlm":
            arguments["discriminator_weight"] = 0.0
    pretrainer = ElectraPretrainer(backbone, generator, **arguments)
    unique = {id(w): int(np.prod(w.shape)) for w in pretrainer.weights}
    own = 0
    if sharing in ("embeddings", "nothing"):
        own = pretrainer.generator.count_params()
    if sharing == "embeddings":
        assert pretrainer.generator.embeddings is backbone.embeddings
        own -= backbone.embeddings.count_params()
    heads = pretrainer.generator_head.count_params()
    if sharing != "uniform":  # the token table is not the head's own
        heads -= backbone.embeddings.count_params()
    if sharing != "mlm":
        heads += pretrainer.discriminator_head.count_params()
    assert sum(unique.values()) == backbone.count_params() + own + heads
    logs = pretrainer.train_on_batch(rows, return_dict=True)
    assert np.isfinite(float(logs["loss"]))
    assert ("discriminator_loss" in logs) == (sharing != "mlm")
    copy = ElectraPretrainer.from_config(pretrainer.get_config())
    assert len(copy.weights) == len(pretrainer.weights)
    assert (copy.generator is copy.backbone) == (
        pretrainer.generator is pretrainer.backbone
    )


def test_variable_paths_are_distinct(make_pretrainer):
    paths = [v.path for v in make_pretrainer().trainable_variables]
    assert len(set(paths)) == len(paths)


def test_from_size(tokenizer):
    pretrainer = ElectraPretrainer.from_size(
        "tiny", tokenizer=tokenizer, max_sequence_length=8, compile=False
    )
    assert pretrainer.backbone.hidden_dim == 128
    assert pretrainer.generator.hidden_dim == 64
    assert pretrainer.preprocessor.sequence_length == 128
    assert pretrainer.mask_token_id == 4
    assert pretrainer.unselectable_token_ids == [0, 2, 3, 4]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(make_pretrainer, rows, policy):
    pretrainer = make_pretrainer(dtype=policy)
    outputs = pretrainer(rows)
    half = policy.removeprefix("mixed_")
    name = keras.backend.standardize_dtype(
        outputs["discriminator_logits"].dtype
    )
    assert name == half
    name = keras.backend.standardize_dtype(outputs["token_loss"].dtype)
    assert name == "float32"
    history = pretrainer.fit(rows, batch_size=32, epochs=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["skipped_steps"][-1] == 0
    # Norms do not show the scaling of the loss.
    assert history["gradient_norm"][-1] < 1e3
    scaled = isinstance(
        pretrainer.optimizer, keras.optimizers.LossScaleOptimizer
    )
    assert scaled == (half == "float16")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(mask_fraction=0.0), "mask_fraction"),
        (dict(mask_token_rate=1.5), "mask_token_rate"),
        (dict(random_token_rate=0.2), "random_token_rate"),
        (dict(temperature=0.0), "temperature"),
        (dict(mask_token_id=None), "mask_token_id"),
    ],
)
def test_bad_arguments(make_pretrainer, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_pretrainer(**arguments)


def test_vocabularies_must_agree(make_pretrainer):
    backbone = make_pretrainer(compile=False).backbone
    config = {**backbone.get_config(), "vocabulary_size": 33, "name": "other"}
    other = type(backbone).from_config(config)
    with pytest.raises(ValueError, match="vocabulary_size"):
        ElectraPretrainer(
            backbone, other, mask_token_id=4, unselectable_token_ids=[0]
        )


# The preprocessor.


# [CLS] the chef cook ##ed [SEP]
ROW = [2, 5, 6, 7, 8, 3]


def preprocessor_of(**kwargs):
    return ElectraPretrainerPreprocessor(
        checks.tiny_tokenizer(), **{"sequence_length": 8, **kwargs}
    )


def to_arrays(x):
    return {name: np.asarray(ops.convert_to_numpy(x[name])) for name in x}


def test_texts_to_rows():
    x = to_arrays(preprocessor_of()(["The chef cooked", "a meal."]))
    assert set(x) == {"token_ids", "segment_ids", "padding_mask"}
    np.testing.assert_array_equal(
        x["token_ids"], [[*ROW, 0, 0], [2, 12, 10, 11, 3, 0, 0, 0]]
    )
    np.testing.assert_array_equal(x["padding_mask"], x["token_ids"] > 0)
    assert not np.any(x["segment_ids"])


def test_nothing_is_masked():
    assert not np.any(
        to_arrays(preprocessor_of()(["the chef"] * 4))["token_ids"] == 4
    )


def test_one_text():
    x = to_arrays(preprocessor_of()("the chef cooked"))
    np.testing.assert_array_equal(x["token_ids"], [*ROW, 0, 0])


def test_pairs():
    x = to_arrays(preprocessor_of()((["the chef"], ["ate"]), y=None))
    np.testing.assert_array_equal(x["token_ids"], [[2, 5, 6, 3, 9, 3, 0, 0]])
    np.testing.assert_array_equal(x["segment_ids"], [[0, 0, 0, 0, 1, 1, 0, 0]])


def test_long_texts_are_cut():
    x = to_arrays(
        preprocessor_of(sequence_length=5)(["the chef cooked a meal"])
    )
    np.testing.assert_array_equal(x["token_ids"], [[2, 5, 6, 7, 3]])


@pytest.mark.parametrize(
    "truncate, expected",
    [
        ("round_robin", [2, 5, 6, 3, 12, 10, 3]),
        ("waterfall", [2, 5, 6, 7, 3, 12, 3]),
    ],
)
def test_long_pairs_are_cut(truncate, expected):
    preprocessor = preprocessor_of(sequence_length=7, truncate=truncate)
    x = to_arrays(preprocessor((["the chef cook"], ["a meal ate"]), y=None))
    np.testing.assert_array_equal(x["token_ids"], [expected])


def test_length_can_be_changed_later():
    preprocessor = preprocessor_of()
    preprocessor(["the chef"])
    preprocessor.sequence_length = 4
    assert to_arrays(preprocessor(["the chef cooked"]))["token_ids"].shape == (
        1,
        4,
    )


def test_config_of_the_preprocessor():
    config = preprocessor_of(truncate="waterfall").get_config()
    copy = ElectraPretrainerPreprocessor.from_config(dict(config))
    assert copy.sequence_length == 8 and copy.truncate == "waterfall"
    again = copy.get_config()
    # Tokenizers are compared by their own test.
    for name in config.keys() - {"tokenizer"}:
        assert again[name] == config[name]
    default = ElectraPretrainerPreprocessor(checks.tiny_tokenizer())
    assert default.sequence_length == 128


def test_labels_pass():
    x, y = preprocessor_of()(["the chef"], [1])
    assert x["token_ids"].shape == (1, 8)
    assert list(y) == [1]


def test_arrays_stay():
    x = checks.ids(ROW)
    assert preprocessor_of()(x) is x
