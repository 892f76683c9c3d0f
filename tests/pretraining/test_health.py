"""Sabotaged runs are named, healthy ones are not; and what a run will need."""

import warnings

import keras
import numpy as np
import pytest

import keras_electra
from tests.pretraining.conftest import FAST
from tests.pretraining.conftest import tiny_pretrainer

# Minutes of compiling elsewhere; only `numpy` arrays are looked at.
once = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="long, and one backend shows it"
)
ids = np.random.default_rng(0)


def rows_of(words):
    """Rows `(rows, 12)` of words from 0, `[CLS]` before and `[SEP]` behind."""
    token_ids = np.pad(words + 5, ((0, 0), (1, 1)), constant_values=3)
    token_ids[:, 0] = 2
    token_ids = token_ids.astype("int32")
    return {
        "token_ids": token_ids,
        "segment_ids": np.zeros_like(token_ids),
        "padding_mask": np.ones_like(token_ids),
    }


def text(rows=512):
    """Each word is followed by one of three: order matters, not surely."""
    steps = ids.integers(1, 4, (rows, 10)).cumsum(axis=1)
    return (ids.integers(0, 27, (rows, 1)) + steps) % 27


def run(words=None, learning_rate=0.01, change=None, **kwargs):
    """The findings of a run; by default draws are easily told."""
    kwargs = {"temperature": 4.0, "mask_fraction": 0.3, **kwargs}
    pretrainer = tiny_pretrainer(compile=False, **kwargs)
    if change:
        change(pretrainer)
    pretrainer.compile(keras_electra.ElectraAdamW(learning_rate))
    monitor = keras_electra.HealthMonitor(every=20, start=60)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pretrainer.fit(
            rows_of(text() if words is None else words),
            batch_size=32,
            steps_per_epoch=50,
            epochs=2,
            callbacks=[monitor],
            verbose=0,
        )
    said = [str(w.message) for w in caught if "After" in str(w.message)]
    assert said == list(monitor.findings.values())
    return monitor.findings


def always_unknown(pretrainer):
    """The generator always draws [UNK], which is in no text."""
    head = pretrainer.generator_head
    bias = next(w for w in head.weights if w.shape == (32,))
    bias.assign(100.0 * np.eye(32)[1])
    head.trainable = False


def without_positions(pretrainer):
    for layer in (pretrainer.backbone.embeddings.position_embedding,):
        layer.set_weights([np.zeros_like(layer.get_weights()[0])])
        layer.trainable = False


def freeze_layer(pretrainer):
    pretrainer.backbone.transformer_layers[0].trainable = False


def not_a_number(pretrainer):
    weight = pretrainer.backbone.transformer_layers[0].weights[0]
    weight.assign(np.full(weight.shape, np.nan))
    pretrainer.max_skipped_steps = 1000


@once
@pytest.mark.parametrize(
    "name,seen,arguments",
    [
        # Its loss hardly counts, so that it says what it said at first.
        ("discriminator", "by that 0", dict(discriminator_weight=1e-9)),
        ("generator_ahead", "draws are right", dict(temperature=1.0)),
        ("frozen", "weights have not changed", dict(learning_rate=0.0)),
        ("word_order", "correlation 1.0", dict(change=without_positions)),
        ("frozen", "transformer_layer", dict(change=freeze_layer)),
        ("leak", "still the AUC is", dict(change=always_unknown)),
        ("learning_rate", "rate, 3,", dict(learning_rate=3.0)),
        ("learning_rate", "not finite", dict(change=not_a_number)),
    ],
)
def test_sabotage_is_named(name, seen, arguments):
    if name == "generator_ahead":  # four words in five are the same
        words = ids.integers(0, 27, (4096, 10))
        words[ids.random(words.shape) < 0.8] = 0
        arguments = {**arguments, "words": words}
    found = run(**arguments)
    assert name in found, found
    assert seen in found[name]


@once
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        dict(discriminator_weight=0.0),
        dict(share_embeddings=False, discriminator_loss="balanced"),
    ],
)
def test_healthy_runs_are_silent(arguments):
    assert run(**arguments) == {}


def test_training_stays_as_it_is(make_pretrainer, rows):
    """Bit for bit: weights, slots of the optimizer, states of seeds."""
    pretrainer = make_pretrainer(dropout=0.1, compile=False)
    pretrainer.compile(keras_electra.ElectraAdamW(1e-3), **FAST)
    pretrainer.optimizer.build(pretrainer.trainable_variables)
    variables = [*pretrainer.variables, *pretrainer.optimizer.variables]

    def values():
        return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]

    start = values()
    given = dict(batch_size=16, epochs=2, shuffle=False, verbose=0)
    pretrainer.fit(rows, **given)
    alone = values()
    for variable, value in zip(variables, start):
        variable.assign(value)
    monitor = keras_electra.HealthMonitor(every=2, start=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pretrainer.fit(rows, callbacks=[monitor], **given)
    assert monitor._rows is not None  # it has looked at shuffled words
    for variable, one, other in zip(variables, alone, values(), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=variable.path)


@once
def test_estimate():
    found = keras_electra.estimate(
        "tiny", 1e6, 8, sequence_length=16, vocabulary_size=64
    )
    assert found.steps == 7813 and found.timed_rows == (2, 8)
    assert found.memory is None or found.memory > 2**20
    assert "7,813 steps" in str(found) and "of 2, 8 rows" in str(found)
    with pytest.raises(ValueError, match="`tokens` must be"):
        keras_electra.estimate("tiny", 0)
