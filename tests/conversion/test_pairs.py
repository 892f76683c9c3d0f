"""Two networks from anywhere become one pre-trainer."""

import json
import shutil

import numpy as np
import pytest

import keras_electra
from keras_electra.conversion.pairs import fresh_generator
from tests import checks
from tests.conversion import foreign

FROM_PRESET = keras_electra.ElectraPretrainer.from_preset


@pytest.fixture(scope="module")
def pretrainer(discriminator, generator):
    return FROM_PRESET(discriminator=discriminator, generator=generator)


def array(variable):
    return np.asarray(variable.numpy())


def test_two_checkpoints(pretrainer, discriminator, generator):
    detector = keras_electra.ElectraReplacedTokenDetector.from_preset(
        discriminator
    )
    filler = keras_electra.ElectraMaskedLM.from_preset(generator)
    assert foreign.same_weights(pretrainer.backbone, detector.backbone)
    assert foreign.same_weights(pretrainer.discriminator_head, detector.head)
    generator = pretrainer.generator
    assert generator.hidden_dim == 4
    assert generator.embeddings is pretrainer.backbone.embeddings
    for ours, theirs in zip(
        generator.transformer_layers, filler.backbone.transformer_layers
    ):
        assert foreign.same_weights(ours, theirs)
    for name in ("dense", "layer_norm"):
        assert foreign.same_weights(
            getattr(pretrainer.generator_head, name),
            getattr(filler.head, name),
        )
    largest = max(
        np.abs(array(a) - array(b)).max()
        for a, b in zip(
            detector.backbone.embeddings.weights,
            filler.backbone.embeddings.weights,
        )
    )
    assert f"differed by up to {largest:.3g}" in str(
        pretrainer.conversion_summary
    )


def test_it_is_saved(pretrainer, tmp_path):
    pretrainer.save_to_preset(tmp_path)
    again = FROM_PRESET(tmp_path)
    assert foreign.same_weights(pretrainer, again)
    # A pair of which one is a pre-trainer of ours.
    both = FROM_PRESET(discriminator=tmp_path, generator=str(tmp_path))
    assert foreign.same_weights(pretrainer, both)
    assert "nothing was lost" in str(both.conversion_summary)


def test_embeddings_may_stay_apart(discriminator, generator):
    pretrainer = FROM_PRESET(
        discriminator=discriminator,
        generator=generator,
        share_embeddings=False,
    )
    filler = keras_electra.ElectraMaskedLM.from_preset(generator)
    assert foreign.same_weights(pretrainer.generator, filler.backbone)


def test_embeddings_of_two_widths(discriminator, made):
    wide = made("ElectraForMaskedLM", embedding_size=6)
    pretrainer = FROM_PRESET(discriminator=discriminator, generator=wide)
    assert not pretrainer.share_embeddings
    assert pretrainer.generator.embedding_dim == 6
    summary = str(pretrainer.conversion_summary)
    assert "the backbone's `embedding_dim`, 6. Received: 4." in summary


def test_untied_output_is_told(discriminator, made):
    untied = made("ElectraForMaskedLM", tie_word_embeddings=False)
    pretrainer = FROM_PRESET(discriminator=discriminator, generator=untied)
    assert "output matrix is its embeddings here" in str(
        pretrainer.conversion_summary
    )


def test_two_presets_of_ours(discriminator, generator, pretrainer, tmp_path):
    for name, cls, source in (
        ("d", keras_electra.ElectraReplacedTokenDetector, discriminator),
        ("g", keras_electra.ElectraMaskedLM, generator),
    ):
        cls.from_preset(source).save_to_preset(tmp_path / name)
    both = FROM_PRESET(discriminator=tmp_path / "d", generator=tmp_path / "g")
    assert foreign.same_weights(both, pretrainer)
    alone = FROM_PRESET(tmp_path / "d")
    assert foreign.same_weights(alone.backbone, pretrainer.backbone)
    assert "a fresh one was made" in str(alone.conversion_summary)


def test_missing_generator(discriminator):
    pretrainer = FROM_PRESET(discriminator)
    generator = pretrainer.generator
    assert generator.embeddings is pretrainer.backbone.embeddings
    # Half, as in the smallest of the paper's sizes.
    assert generator.hidden_dim == 4 and generator.num_layers == 2
    assert "a fresh one was made" in str(pretrainer.conversion_summary)


@pytest.mark.parametrize(
    "width, heads, expected", [(256, 4, 64), (768, 12, 256), (1024, 16, 256)]
)
def test_widths_of_fresh_generators(width, heads, expected):
    with foreign.unallocated():
        generator = fresh_generator(
            checks.tiny_backbone(hidden_dim=width, num_heads=heads)
        )
    assert generator.hidden_dim == expected
    assert generator.num_heads == max(1, expected // 64)
    assert generator.intermediate_dim == 4 * expected


def test_vocabularies_that_differ(discriminator, tmp_path):
    model = foreign.network("ElectraForMaskedLM")
    other = [*foreign.VOCABULARY[:-1], "other"]
    foreign.save(model, tmp_path, vocabulary=other)
    with pytest.raises(ValueError, match="one vocabulary.*13 and 13"):
        FROM_PRESET(discriminator=discriminator, generator=tmp_path)


@pytest.mark.parametrize("share", [None, True])
@pytest.mark.parametrize("rows", [(13, 24), (24, 13)])
def test_vocabularies_padded_in_two_ways(rows, share, made):
    folders = [
        made(architecture, vocab_size=size)
        for architecture, size in zip(
            ("ElectraForPreTraining", "ElectraForMaskedLM"), rows
        )
    ]
    given = {} if share is None else {"share_embeddings": share}
    pretrainer = FROM_PRESET(
        discriminator=folders[0], generator=folders[1], **given
    )
    assert pretrainer.generator.vocabulary_size == rows[0]
    assert pretrainer.share_embeddings
    filler = keras_electra.ElectraMaskedLM.from_preset(folders[1])
    bias = array(pretrainer.generator_head.bias)
    theirs = array(filler.head.bias)[:24]
    np.testing.assert_array_equal(bias[:13], theirs[:13])
    assert np.all(bias[len(theirs) :] < -1000)  # never drawn
    result = pretrainer.evaluate(["the chef ate"] * 4, verbose=0)
    assert np.all(np.isfinite(result))


def test_settings_that_differ_are_told(discriminator, generator, tmp_path):
    folder = shutil.copytree(generator, tmp_path / "cased")
    text = json.dumps({"do_lower_case": False})
    (folder / "tokenizer_config.json").write_text(text)
    parts = {"discriminator": discriminator, "generator": folder}
    summary = str(FROM_PRESET(**parts).conversion_summary)
    assert "tokenizers differ" in summary and "'lowercase': True" in summary
    agreed = FROM_PRESET(**parts, lowercase=True)
    assert "tokenizers differ" not in str(agreed.conversion_summary)


def test_what_must_be_given(discriminator):
    for arguments in ({}, {"preset": "a", "discriminator": "b"}):
        with pytest.raises(ValueError, match="Either `preset` or"):
            FROM_PRESET(**arguments)
