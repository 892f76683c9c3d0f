"""Compiling, and arguments of `fit` and `evaluate`."""

import keras
import numpy as np
import pytest

from keras_electra.pretraining.fit import check_ids
from keras_electra.training.optimizers import ElectraAdamW
from tests.pretraining.conftest import FAST


@pytest.mark.parametrize(
    "arguments",
    [
        dict(y=[0] * 64),
        dict(sample_weight=np.ones(64)),
        dict(class_weight={0: 1.0}),
    ],
)
def test_labels_and_weights_are_refused(make_pretrainer, rows, arguments):
    pretrainer = make_pretrainer()
    with pytest.raises(ValueError, match="means nothing in pre-training"):
        pretrainer.fit(rows, **arguments)
    if "class_weight" not in arguments:
        with pytest.raises(ValueError, match="means nothing in pre-training"):
            pretrainer.train_on_batch(rows, **arguments)
        with pytest.raises(ValueError, match="means nothing in pre-training"):
            pretrainer.test_on_batch(rows, **arguments)


def test_a_loss_is_refused(make_pretrainer):
    with pytest.raises(ValueError, match="`loss` must be `None`"):
        make_pretrainer().compile(loss="mse")


def test_generator_optimizer_needs_a_generator(make_pretrainer):
    pretrainer = make_pretrainer()
    pretrainer.generator = pretrainer.backbone
    with pytest.raises(ValueError, match="generator_optimizer"):
        pretrainer.compile(generator_optimizer="adam")


def test_recipe_is_fitted_to_the_run(make_pretrainer, rows):
    pretrainer = make_pretrainer()
    pretrainer.fit(rows, batch_size=16, epochs=5, verbose=0)
    assert isinstance(pretrainer.optimizer, ElectraAdamW)
    schedule = pretrainer.optimizer.get_config()["learning_rate"]["config"]
    assert schedule["num_steps"] == 20
    assert schedule["warmup_steps"] == 2
    optimizer = pretrainer.optimizer
    pretrainer.fit(rows, batch_size=16, verbose=0)
    assert pretrainer.optimizer is optimizer  # goes on with what it has


def test_recipe_beside_a_generator_optimizer(make_pretrainer, rows):
    pretrainer = make_pretrainer()
    own = keras.optimizers.SGD(0.0)
    pretrainer.compile(generator_optimizer=own, **FAST)
    pretrainer.fit(rows, batch_size=16, epochs=2, verbose=0)
    assert int(own.iterations) == 8
    (recipe,) = (o for o in pretrainer.optimizer.optimizers if o is not own)
    schedule = recipe.get_config()["learning_rate"]["config"]
    assert schedule["num_steps"] == 8


def test_raw_text_needs_a_preprocessor(make_pretrainer):
    with pytest.raises(ValueError, match="preprocessor"):
        make_pretrainer().fit(["w1 w2"] * 4, verbose=0)


def test_ids_out_of_range(make_pretrainer, rows):
    rows["token_ids"][3, 2] = 32
    with pytest.raises(ValueError, match="from 0 to 31"):
        make_pretrainer().evaluate(rows, verbose=0)


def test_rows_longer_than_the_positions(make_pretrainer, rows):
    longer = {k: np.pad(v, ((0, 0), (0, 5))) for k, v in rows.items()}
    with pytest.raises(ValueError, match="max_sequence_length=16"):
        make_pretrainer().train_on_batch(longer)


def test_a_batch_of_one_and_rows_with_nothing_to_mask(make_pretrainer, rows):
    pretrainer = make_pretrainer()
    one = {k: v[:1] for k, v in rows.items()}
    assert np.isfinite(pretrainer.train_on_batch(one)[0])
    special = {k: v[:2].copy() for k, v in rows.items()}
    special["token_ids"][0] = 3
    special["padding_mask"][1] = 0
    logs = pretrainer.train_on_batch(special, return_dict=True)
    assert float(logs["generator_loss"]) == 0
    assert float(logs["replaced_fraction"]) == 0
    assert float(logs["skipped_steps"]) == 0
    for weight in pretrainer.get_weights():
        assert np.isfinite(weight).all()


def test_validation_steps(make_pretrainer, rows):
    """The same first batches are evaluated in every epoch."""
    pretrainer = make_pretrainer()
    pretrainer.compile(optimizer=keras.optimizers.SGD(0.0), **FAST)
    history = pretrainer.fit(
        rows,
        validation_data=rows,
        batch_size=16,
        validation_steps=3,
        epochs=2,
        verbose=0,
    ).history
    assert history["val_loss"][0] == history["val_loss"][1]


def test_validation_split(make_pretrainer, rows):
    """Three quarters are trained on, the rest is validated on."""
    pretrainer = make_pretrainer()
    pretrainer.compile(optimizer=keras.optimizers.SGD(0.0), **FAST)
    history = pretrainer.fit(
        rows, validation_split=0.25, batch_size=16, verbose=0
    ).history
    assert int(pretrainer.optimizer.iterations) == 3
    held_out = {name: array[-16:] for name, array in rows.items()}
    again = pretrainer.evaluate(held_out, batch_size=16, verbose=0)
    assert history["val_loss"][0] == pytest.approx(again[0], abs=1e-5)


@pytest.mark.filterwarnings("error:Your input ran out of data")
def test_epochs_are_whole_passes(make_pretrainer, rows):
    pretrainer = make_pretrainer()
    seen = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch)
    )
    pretrainer.fit(
        rows,
        validation_data=rows,
        batch_size=24,
        epochs=2,
        callbacks=[count],
        verbose=0,
    )
    assert seen == [0, 1, 2] * 2


# Ids.


ROW = {
    "token_ids": np.array([[1, 2]]),
    "segment_ids": np.zeros((1, 2), "int32"),
    "padding_mask": np.ones((1, 2), "int32"),
}


def test_ids_in_range_pass():
    assert check_ids(ROW, 3) is ROW


@pytest.mark.parametrize("ids", [[[1, 3]], [[-1, 2]]])
def test_ids_out_of_range_are_named(ids):
    with pytest.raises(ValueError, match="from 0 to 2"):
        check_ids({**ROW, "token_ids": np.array(ids)}, 3)


def test_missing_keys_are_named():
    with pytest.raises(ValueError, match="segment_ids"):
        check_ids({"token_ids": ROW["token_ids"]}, 3)
