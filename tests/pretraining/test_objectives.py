"""The objectives of the literature: by hand, and in steps of training."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.pretraining import losses as objectives
from keras_electra.pretraining import masking
from keras_electra.pretraining.networks import ElectraTwoTowers
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.pretraining.pretrainer import ElectraPretrainerPreprocessor
from keras_electra.text.tokenizer import ElectraTokenizer
from tests.pretraining.conftest import FAST
from tests.pretraining.conftest import SPECIAL

# Every second id goes on with the word before.
PIECES = [f"w{i}" if i % 2 else f"##w{i}" for i in range(5, 32)]
COOLING = keras.optimizers.schedules.PolynomialDecay(2.0, 4, 1.0)
KINDS = {
    "words": dict(
        masking="word",
        objective="masked_detection",
        discriminator_loss="balanced",
        fill_fraction=0.5,
    ),
    "spans": dict(
        masking="span", objective="replace_mlm", discriminator_weight=1.0
    ),
    "hard": dict(
        masking="hard", objective="all_tokens_mlm", discriminator_weight=1.0
    ),
    "gdes": dict(share_embeddings="gdes", discriminator_loss="focal"),
    "frozen": dict(
        share_embeddings=False, generator_weight=0.0, temperature=COOLING
    ),
    "electric": dict(objective="electric"),
}


def backbone(width, name, dropout=0.0):
    return ElectraBackbone(
        vocabulary_size=32,
        num_layers=1,
        num_heads=2,
        hidden_dim=width,
        intermediate_dim=2 * width,
        embedding_dim=16,
        max_sequence_length=16,
        dropout=dropout,
        name=name,
    )


def build(**kwargs):
    generator = backbone(8, "generator")
    given = backbone(16, "discriminator")
    if kwargs.get("objective") == "electric":
        config = {**generator.get_config(), "embeddings": given.embeddings}
        generator = ElectraTwoTowers(**config)
    tokenizer = ElectraTokenizer(SPECIAL + PIECES)
    preprocessor = ElectraPretrainerPreprocessor(tokenizer, 12)
    given = given, generator, preprocessor
    return ElectraPretrainer(
        *given, seed=7, mask_fraction=0.3, compile=False, **kwargs
    )


def values(variables):
    return [np.array(ops.convert_to_numpy(v.value)) for v in variables]


def fit(pretrainer, rows):
    history = pretrainer.fit(rows, batch_size=32, shuffle=False, verbose=0)
    return history.history["loss"][0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_run_goes_on_bit_for_bit(rows, kind, tmp_path):
    pretrainer = build(**KINDS[kind])
    start = values(pretrainer.generator.weights)
    pretrainer.save(path := str(tmp_path / "model.keras"))  # not compiled yet
    pretrainer.compile(keras.optimizers.Adam(1e-2), **FAST)
    first = fit(pretrainer, rows)
    pretrainer.save(path)
    copy = keras.saving.load_model(path)
    paths = [[v.path for v in m.trainable_weights] for m in (pretrainer, copy)]
    assert paths[0] == paths[1]
    losses = [(fit(pretrainer, rows), fit(copy, rows)) for _ in range(2)]
    assert all(one == two for one, two in losses)
    assert losses[-1][0] < first
    for mine, theirs in zip(values(pretrainer.weights), values(copy.weights)):
        np.testing.assert_array_equal(mine, theirs)
    pretrainer.save_to_preset(folder := str(tmp_path / "preset"))
    copy = ElectraPretrainer.from_preset(folder)
    for mine, theirs in zip(values(pretrainer.weights), values(copy.weights)):
        np.testing.assert_array_equal(mine, theirs)
    check(kind, pretrainer, start, rows)


def check(kind, pretrainer, start, rows):
    """What is particular to an objective, of one that was trained."""
    if kind == "frozen":
        assert not any(
            "generator" in v.path for v in pretrainer.trainable_weights
        )
        for old, new in zip(start, values(pretrainer.generator.weights)):
            np.testing.assert_array_equal(old, new)
        assert float(pretrainer.sample_tokens.steps.value) == 6
    if kind == "hard":
        losses = values([pretrainer.mask_tokens.mean_losses])[0]
        assert (losses != 1).sum() > 10 and (losses[:5] == 1).all()
    if kind == "gdes":
        tables = pretrainer.disentangled.tables()
        own, base = values(tables)
        difference = values([pretrainer.disentangled.difference])[0]
        np.testing.assert_array_equal(own, base + difference)
        # The generator alone changes what both have in common.
        pretrainer.generator_weight = 0.0
        pretrainer.compile(keras.optimizers.SGD(1.0), **FAST)
        fit(pretrainer, rows)
        new_own, new_base = values(tables)
        np.testing.assert_array_equal(base, new_base)
        assert abs(own - new_own).max() > 1e-3
    if kind == "words":
        extended = pretrainer.with_positions(24)
        x = {n: ops.convert_to_tensor(a) for n, a in rows.items()}
        short, long = (p.backbone(x) for p in (pretrainer, extended))
        np.testing.assert_allclose(
            *(
                ops.convert_to_numpy(y["sequence_output"])
                for y in (short, long)
            ),
            atol=1e-6,
        )
        assert extended.preprocessor.sequence_length == 24
        longer = {n: np.tile(a, 2) for n, a in rows.items()}
        extended.compile(**FAST)
        assert np.isfinite(fit(extended, longer))


@pytest.mark.parametrize("kind", ["word", "span"])
def test_whole_words_are_masked(rows, kind):
    continues = np.array([t.startswith("##") for t in SPECIAL + PIECES])
    layer = masking.MaskTokens(
        4,
        [0, 2, 3],
        0.4,
        1.0,
        seed=3,
        masking=kind,
        vocabulary=lambda: SPECIAL + PIECES,
    )
    ids = ops.convert_to_tensor(rows["token_ids"])
    masked = layer(
        ids, ops.convert_to_tensor(rows["padding_mask"]), training=True
    )
    is_masked = ops.convert_to_numpy(masked["token_ids"]) == 4
    can_be = rows["token_ids"] > 3
    goes_on = continues[rows["token_ids"]]
    cut = 0
    for row, can, more in zip(is_masked, can_be, goes_on):
        words = np.cumsum(~more)
        for word in set(words[can]):
            cut += len(set(row[can & (words == word)])) > 1
    assert 0.2 < is_masked[can_be].mean() < 0.45
    assert cut == 0  # words have two pieces, of which four fit
    runs = np.diff(np.pad(is_masked, ((0, 0), (1, 1))).astype(int)) == 1
    assert (is_masked.sum() / runs.sum() > 2.38) == (kind == "span")


def test_spans_by_hand():
    lengths = masking.span_lengths(np.linspace(0, 1, 100001)[:-1])
    lengths = ops.convert_to_numpy(lengths)
    assert lengths.min() == 1 and lengths.max() == 10
    assert abs(lengths.mean() - 3.8) < 0.01
    words = masking.number_words(np.array([[False, True, False, True, True]]))
    np.testing.assert_array_equal(words, [[0, 0, 1, 1, 1]])
    keys = np.array([[0.5, 0.1, 0.9, 0.2]], "float32")
    spread = masking.spread_keys(keys, np.array([[2, 1, 1, 1]]))
    np.testing.assert_allclose(spread, [[0.5, 0.5, 0.9, 0.2]], rtol=1e-5)
    # Of the words 0 0 1 1 1 the last does not fit, and the first stays.
    for limit, expected in ((3, [1, 1, 0]), (1, [1]), (5, [1] * 5)):
        _, kept = masking.select_positions(
            np.array([[0.8, 0.8, 0.5, 0.5, 0.5]], "float32"),
            np.ones((1, 5), bool),
            np.array([limit], "int32"),
            limit,
            True,
        )
        np.testing.assert_array_equal(ops.convert_to_numpy(kept), [expected])


def test_what_is_badly_predicted_is_drawn_more_often():
    layer = masking.MaskTokens(
        4, [0], 0.2, seed=1, masking="hard", vocabulary_size=32
    )
    losses = np.full(32, 0.5, "float32")
    losses[6] = 5.0
    layer.mean_losses.assign(losses)
    ids = ops.convert_to_tensor(np.tile([5, 6], (400, 5)).astype("int32"))
    drawn = ops.convert_to_numpy(layer(ids, ids, training=True)["mask_ids"])
    # The first of two: 10 times as likely.
    assert abs((drawn[:, 0] == 6).mean() - 10 / 11) < 0.05
    layer.learn(ids[:, :2], ops.ones((400, 2)), ops.ones((400, 2)))
    new = ops.convert_to_numpy(layer.mean_losses)
    np.testing.assert_allclose(new[5:8], [0.55, 4.6, 0.5], rtol=1e-6)


def test_losses_by_hand():
    replaced, weights = np.array([1, 0, 0, 0, 1]), np.array([1, 1, 1, 1, 0])
    balanced = ops.convert_to_numpy(objectives.balance(replaced, weights))
    np.testing.assert_allclose(balanced, [2, 2 / 3, 2 / 3, 2 / 3, 0], rtol=1e-6)
    loss = -np.log(np.array([0.9, 0.5], "float32"))
    focused = ops.convert_to_numpy(
        objectives.focus(ops.convert_to_tensor(loss))
    )
    np.testing.assert_allclose(focused, loss * [0.01, 0.25], rtol=1e-4)
    copied = objectives.copied_loss(
        ops.convert_to_tensor(loss),
        ops.convert_to_tensor(np.log([3.0, 3.0]).astype("float32")),
        ops.convert_to_tensor([True, False]),
    )
    expected = -np.log([0.75 + 0.25 * 0.9, 0.25 * 0.5])
    np.testing.assert_allclose(
        ops.convert_to_numpy(copied), expected, rtol=1e-5
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"masking": "sentence"}, "`masking` must be one of"),
        ({"objective": "electra"}, "`objective` must be one of"),
        ({"share_embeddings": "es"}, "`share_embeddings` must be one of"),
        ({"objective": "electric"}, "Electric needs"),
        ({"masking": "word"}, "Words need"),
        (
            {"objective": "replace_mlm", "discriminator_loss": "focal"},
            "no detection",
        ),
        (
            {"objective": "all_tokens_mlm", "discriminator_weight": 0.0},
            "no objective",
        ),
        ({"generator_weight": 0.0}, "embeddings of its own"),
    ],
)
def test_bad_arguments(make_pretrainer, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_pretrainer(**arguments)


def test_noise_of_electric_is_even():
    with pytest.raises(ValueError, match="as likely for all"):
        build(objective="electric", fill_fraction=0.5)
