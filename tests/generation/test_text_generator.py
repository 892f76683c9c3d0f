"""Writing by a network whose output is a rule, and by one that learns it."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_electra.conversion.pairs  # noqa: F401  (opens presets)
from keras_electra.generation import rounds
from keras_electra.generation.revision import Edit
from keras_electra.generation.revision import Revision
from keras_electra.generation.revision import apply_edits
from keras_electra.generation.text_generator import ElectraTextGenerator
from keras_electra.generation.text_generator import (
    ElectraTextGeneratorPreprocessor,
)
from keras_electra.pretraining.pretrainer import ElectraPretrainer
from keras_electra.pretraining.pretrainer import ElectraPretrainerPreprocessor
from keras_electra.tasks.masked_lm import ElectraMaskedLM
from keras_electra.tasks.replaced_token_detector import (
    ElectraReplacedTokenDetector,
)
from tests import checks

# Draws, masks and training differ between backends; one shows the rest.
once = pytest.mark.skipif(
    keras.config.backend() != "torch", reason="The same on every backend."
)
TEXTS = ["the chef cooked a meal .", "a chef ate the meal .", "the meal ."] * 4
GUIDES = ["joined"]
if keras.config.backend() == "torch":
    GUIDES += ["discriminator", "confidence", "random"]


def build(dtype="float32", **kwargs):
    backbone = checks.tiny_backbone(
        dtype=dtype, dropout=0.0, max_sequence_length=32
    )
    given = {"sequence_length": 32, "target_length": 16}
    preprocessor = ElectraTextGeneratorPreprocessor(
        checks.tiny_tokenizer(), **given
    )
    kwargs.setdefault("seed", 1)
    writer = ElectraTextGenerator(
        backbone, preprocessor=preprocessor, compile=False, **kwargs
    )
    checks.compile_eagerly(writer)
    return writer


@pytest.fixture(scope="module")
def writer():
    return build()


@pytest.fixture(scope="module")
def blind():
    """Proposes by frequency alone, "a" before "." most; doubts nothing."""
    writer = build()
    table = writer.backbone.token_embedding.embeddings
    table.assign(np.zeros((13, 4), "float32"))
    bias = np.array([0, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 1, 2], "float32")
    writer.generator_head.bias.assign(bias)
    dense = writer.discriminator_head.output_dense
    dense.kernel.assign(np.zeros(dense.kernel.shape))
    dense.bias.assign([-5.0])
    return writer


@once
def test_rows_of_texts_and_pairs():
    tokenizer = checks.tiny_tokenizer()
    make = ElectraTextGeneratorPreprocessor(tokenizer, 24, target_length=8)
    x = make(["the chef"])
    used = int(x["padding_mask"].sum())
    assert x["token_ids"].shape == (1, 24) and used == 10
    assert sorted(x["token_ids"][0, :10]) == [0] * 6 + [2, 3, 5, 6]
    x = make((["the meal", "the " * 30], ["a chef", "ate"]), y=None)
    assert x["token_ids"][0, :14].tolist() == [
        *[2, 5, 10, 3],
        *[12, 6, 0, 0, 0, 0, 0, 0, 3, 0],
    ]
    assert x["segment_ids"][0, :14].tolist() == [0] * 4 + [1] * 9 + [0]
    # The source is cut, and the target is whole.
    assert x["padding_mask"][1].sum() == 24
    assert x["token_ids"][1, -9:].tolist() == [9] + [0] * 7 + [3]
    # Padding within texts, too, and more of it than is needed.
    make = ElectraTextGeneratorPreprocessor(tokenizer, 32, target_length=24)
    rows = [make([" ".join(["the"] * n)])["token_ids"][0] for n in range(1, 20)]
    inside = [0 in row[: 1 + n] for n, row in enumerate(rows, 1)]
    assert 2 < sum(inside) < 18
    assert len({int((row > 0).sum()) for row in rows}) == 19


@once
def test_only_targets_are_masked(writer):
    x = writer.preprocessor((["the chef"] * 8, ["a meal"] * 8), y=None)
    y = writer(x, training=True)
    y = {name: ops.convert_to_numpy(array) for name, array in y.items()}
    used = y["mask_weights"] > 0
    assert y["mask_positions"][used].min() >= 4
    assert len({*used.sum(1).tolist()}) > 2  # a rate for each row
    assert set(y["mask_ids"][used]) <= {0, 12, 10}
    corrupted, ids = y["corrupted_token_ids"], np.asarray(x["token_ids"])
    assert (corrupted == 4).any()  # some is not filled, and not judged
    judged = ops.convert_to_numpy(writer.judged(x, y))
    assert not judged[corrupted == 4].any()
    assert (corrupted[:, :4] == ids[:, :4]).all()


@once
def test_evaluate_and_predict(writer):
    pairs = TEXTS, TEXTS[::-1]
    scores = [writer.evaluate(pairs, verbose=0) for _ in range(2)]
    assert scores[0] == scores[1] and np.isfinite(scores[0]).all()
    texts = writer.predict(pairs, max_length=8, num_rounds=2)
    assert texts.shape == (12,) and isinstance(texts[0], str)


@pytest.mark.parametrize("guidance", GUIDES)
def test_generate_fills_what_is_open(writer, guidance):
    # All are of 9 to 16 tokens: what compiles does so for few shapes.
    first = "the chef ate a meal . the [MASK] ate"
    prompts = [first, "the ___ meal", "", "a chef"]
    given = dict(num_rounds=4, guidance=guidance, max_length=12)
    texts = writer.generate(prompts, seed=3, **given)
    assert texts[0].startswith("the") and texts[0].endswith("ate")
    assert texts[1].startswith("the") and texts[1].endswith("meal")
    assert texts[3].startswith("a chef")
    for text in texts:
        assert "[" not in text and len(text.split()) <= 12
    # The same text in any batch, another by another seed.
    assert writer.generate(prompts, seed=3, batch_size=2, **given) == texts
    assert writer.generate(prompts, seed=4, **given) != texts
    given |= dict(batch_size=2, return_rounds=True)
    shown, _ = writer.generate(prompts[:2], seed=3, **given)
    assert str(shown) == texts[0] and len(shown.rounds) == 4
    assert "<table>" in shown._repr_html_() and "[MASK]" not in shown.text


def test_draws_follow_the_probabilities(blind):
    """Of "a" and "." twice and once e times as many as of other tokens."""
    given = dict(max_length=1, num_rounds=1, guidance="random")
    texts = blind.generate(["[MASK]"] * 400, seed=0, **given)
    weights = np.exp([0] * 6 + [1, 2])
    shares = [np.mean([t == w for t in texts]) for w in (".", "a")]
    expected = (weights / weights.sum())[-2:]
    np.testing.assert_allclose(shares, expected, atol=0.08)
    for how in ({"temperature": 0.0}, {"top_p": 0.3}):
        assert {*blind.generate(["[MASK]"] * 8, seed=0, **given, **how)} == {
            "a"
        }
    texts = blind.generate([""] * 8, temperature=0.0, max_length=4)
    assert texts == ["a a a a"] * 8


@once
def test_suspected_tokens_are_masked_again(writer, blind):
    for task, judged in ((writer, True), (blind, False)):
        task.calibration = {"method": "platt", "scale": [9.0], "bias": [0.0]}
        found = task.generate(
            [""] * 4, num_rounds=8, seed=0, return_rounds=True
        )
        again = [len(r[1]) for one in found for r in one.rounds]
        assert bool(sum(again)) == judged and again[7::8] == [0] * 4
        task.calibration = None


@once
def test_revise_ends_and_edits_the_text(writer, blind):
    text = "The  chef ate the meal."
    clean = blind.revise(text)
    assert (clean.text, clean.edits, clean.stopped_by) == (text, [], "clean")
    dense = blind.discriminator_head.output_dense
    dense.bias.assign([2.0])  # suspects all alike: 0.88
    found = blind.revise([text, "the meal"], margin=0.5)
    assert [f.stopped_by for f in found] == ["no accepted change"] * 2
    assert found[0].text == text and not found[0].edits
    # Every word piece is changed once at most, where it stood.
    found = blind.revise(text, margin=-0.5, max_rounds=20, protect="meal")
    assert found.text == "A  a a a meala" and len(found.edits) == 5
    edit = found.edits[0]
    assert edit[:4] == (0, 3, "the", "a") and edit.round <= 5
    assert edit.before == pytest.approx(0.88, abs=0.01) == edit.after
    one = blind.revise(text, margin=-0.5, max_rounds=1)
    assert one.stopped_by == "rounds" and len(one.edits) == 1
    assert blind.revise(text, precision=0.1).stopped_by == "precision"
    assert "line-through" in one._repr_html_()
    dense.bias.assign([-5.0])


@once
def test_edits_are_put_into_the_text():
    def edit(start, end, old, new):
        return Edit(start, end, old, new, 0.9, 0.1, 1)

    edits = [edit(4, 8, "cook", "chef"), edit(8, 10, "##ed", "ate")]
    assert apply_edits("The cooked meal", edits) == "The chef ate meal"
    edits = [edit(0, 3, "the", "a"), edit(4, 8, "meal", "##ed")]
    assert apply_edits("The meal", edits) == "Aed"
    shown = Revision("<b>", [], [(["<i>"], set(), {0})], "clean")._repr_html_()
    assert "&lt;b&gt;" in shown and "&lt;i&gt;" in shown


@once
def test_calibrate_chooses(writer):
    writer.calibrate(TEXTS, max_broken=1.0)
    found = writer.calibration
    assert found["method"] == "platt" and len(found["scale"]) == 1
    assert 0 < writer.threshold < 1 and 0 <= writer.margin < 1
    config = writer.get_config()
    assert config["calibration"] == found
    report = writer.coverage_report(TEXTS, error_budget=0.5)
    assert report.count == 64 and 0 < report.accuracy <= 1
    writer.calibration, writer.threshold, writer.margin = None, 0.5, 0.2


@once
@pytest.mark.parametrize(
    "method, kwargs, message",
    [
        ("generate", dict(prompts="the " * 9, max_length=8), "max_length=8"),
        ("generate", dict(max_length=64), "max_length"),
        ("generate", dict(num_rounds=0), "num_rounds=0"),
        ("generate", dict(guidance="best"), "guidance='best'"),
        ("generate", dict(top_p=0.0), "top_p=0.0"),
        ("generate", dict(prompts=["a"], sources=["a", "a"]), "1 and 2"),
        ("revise", dict(texts="a", max_rounds=0), "max_rounds=0"),
        ("revise", dict(texts="a", precision=1.0), "precision=1.0"),
        ("revise", dict(texts="a", protect="chef"), "No text has 'chef'"),
        ("revise", dict(texts="the " * 40), "at most 29 tokens"),
        ("calibrate", dict(texts=["the"]), "at least 3. Received: 1"),
        ("fit", dict(x=(["a", "a"], ["a"])), "different lengths"),
        ("fit", dict(x=(["a"], [""])), "Entry 0"),
    ],
)
def test_bad_arguments(writer, method, kwargs, message):
    with pytest.raises(ValueError, match=message):
        getattr(writer, method)(**kwargs)


@once
def test_networks_that_are_missing(writer):
    alone = ElectraTextGenerator(
        writer.backbone, None, writer.preprocessor, compile=False
    )
    with pytest.raises(ValueError, match="needs a `generator`"):
        alone.generate()
    alone = ElectraTextGenerator(
        writer.backbone,
        preprocessor=writer.preprocessor,
        discriminator_weight=0.0,
        compile=False,
    )
    assert alone.generate("[MASK]", guidance="confidence", num_rounds=1)
    with pytest.raises(ValueError, match="needs a `discriminator`"):
        alone.revise("a")


@once
def test_presets(writer, tmp_path):
    folder = str(tmp_path / "writer")
    writer.threshold = 0.7
    writer.calibration = {"method": "platt", "scale": [2.0], "bias": [1.0]}
    writer.save_to_preset(folder)
    opened = ElectraTextGenerator.from_preset(folder)
    assert opened.generator is opened.backbone
    assert (opened.threshold, opened.calibration) == (0.7, writer.calibration)
    assert opened.mask_fraction == writer.mask_fraction
    given = dict(prompts="the ___", seed=0, num_rounds=3)
    assert opened.generate(**given) == writer.generate(**given)
    writer.threshold, writer.calibration = 0.5, None
    # Each head, of both kinds of folder, and pre-training that goes on.
    for cls in (ElectraReplacedTokenDetector, ElectraMaskedLM):
        part = cls.from_preset(folder)
        for mine, theirs in zip(part.head.weights, heads_of(writer, cls)):
            np.testing.assert_array_equal(mine, theirs)
    pretrainer = ElectraPretrainer(
        writer.backbone,
        checks.tiny_backbone(max_sequence_length=32, hidden_dim=4),
        ElectraPretrainerPreprocessor(checks.tiny_tokenizer(), 32),
    )
    pretrainer.save_to_preset(str(tmp_path / "pretrainer"))
    for generator in ({}, {"generator": "backbone"}):
        opened = ElectraTextGenerator.from_preset(
            str(tmp_path / "pretrainer"), target_length=8, **generator
        )
        assert opened.preprocessor.target_length == 8
        assert (opened.generator is opened.backbone) == bool(generator)
        head = opened.discriminator_head.weights
        for mine, theirs in zip(head, pretrainer.discriminator_head.weights):
            np.testing.assert_array_equal(mine, theirs)
        assert isinstance(opened.generate("a", max_length=4, num_rounds=2), str)


def heads_of(writer, cls):
    is_judge = cls is ElectraReplacedTokenDetector
    head = writer.discriminator_head if is_judge else writer.generator_head
    return head.weights


@once
@pytest.mark.parametrize("dtype", checks.PRECISIONS)
def test_half_precision(dtype):
    writer = build(dtype)
    assert isinstance(writer.generate("a ___", num_rounds=2, seed=0), str)


@once
def test_batches_are_of_one_length():
    lengths = [8, 16, 8, 8]
    found = [(p, len(r)) for p, r in rounds.batches(lengths, 2)]
    size = 1 if keras.config.backend() == "torch" else 2
    assert found == [([1], size), ([0, 2], 2), ([3], size)]


def test_fit_on_pairs(writer):
    """The last test, as it changes the writer that others share."""
    pairs = TEXTS, TEXTS[::-1]
    writer.calibration = {"method": "platt", "scale": [2.0], "bias": [1.0]}
    assert writer.probabilities(np.zeros(1)) == pytest.approx(0.731, abs=1e-3)
    # What was calibrated goes, as it is of other weights.
    with pytest.warns(UserWarning, match="drops `cal"):
        history = writer.fit(pairs, batch_size=12, verbose=0).history
    assert writer.calibration is None and np.isfinite(history["loss"][0])
    names = [f"generator_accuracy_{n}" for n in ("low", "middle", "high")]
    names += [f"discriminator_auc_{n}" for n in ("low", "middle", "high")]
    assert {*names} <= {*history}
