"""Arguments of `from_preset` reach what they are meant for, in every form."""

import shutil

import pytest

import keras_electra
from tests import checks

CLASSES = {
    "ours": keras_electra.ElectraReplacedTokenDetector,
    "transformers": keras_electra.ElectraReplacedTokenDetector,
    "google": keras_electra.ElectraMaskedLM,
    "keras_hub": keras_electra.ElectraReplacedTokenDetector,
    "pretrainer": keras_electra.ElectraMaskedLM,
    "pair": keras_electra.ElectraPretrainer,
}


@pytest.fixture(scope="module")
def folders(discriminator, golden, tmp_path_factory):
    """One checkpoint of each form."""
    root = tmp_path_factory.mktemp("forms")
    detector = CLASSES["ours"].from_preset(discriminator)
    detector.save_to_preset(root / "ours")
    detector.export_to_keras_hub(root / "keras_hub")
    pretrainer = keras_electra.ElectraPretrainer.from_preset(discriminator)
    pretrainer.save_to_preset(root / "pretrainer")
    pretrainer.export_to_transformers(root / "pair")
    shutil.copytree(golden / "tiny_ckpt", root / "google")
    shutil.copy(golden / "vocab.txt", root / "google")
    shutil.copytree(discriminator, root / "transformers")
    return root


@pytest.mark.parametrize("form", CLASSES)
def test_of_preprocessor_and_tokenizer(form, folders):
    task = CLASSES[form].from_preset(
        folders / form, sequence_length=6, lowercase=False, truncate="waterfall"
    )
    preprocessor = task.preprocessor
    assert preprocessor.sequence_length == 6
    assert preprocessor.truncate == "waterfall"
    assert preprocessor.tokenizer.lowercase is False
    assert preprocessor.tokenizer.vocabulary_size() > 0
    cls = type(preprocessor)
    alone = cls.from_preset(folders / form, split_on_cjk=False)
    assert alone.tokenizer.split_on_cjk is False
    tokenizer = keras_electra.ElectraTokenizer.from_preset(
        folders / form, strip_accents=True, lowercase=False
    )
    assert tokenizer.strip_accents is True and tokenizer.lowercase is False


@pytest.mark.parametrize("form", CLASSES)
def test_unknown_ones_are_named(form, folders):
    for cls, wrong, close in (
        (CLASSES[form], "sequence_lenght", "sequence_length"),
        (CLASSES[form], "lower_case", "lowercase"),
        (CLASSES[form].preprocessor_cls, "truncat", "truncate"),
        (keras_electra.ElectraTokenizer, "strip_accent", "strip_accents"),
        (keras_electra.ElectraBackbone, "droput", "dropout"),
    ):
        with pytest.raises(TypeError, match=f"`{wrong}`.*mean `{close}`"):
            cls.from_preset(folders / form, **{wrong: 1})


def test_either_a_part_or_arguments_for_it(folders):
    cls = keras_electra.ElectraTextClassifier
    preprocessor = cls.preprocessor_cls(checks.tiny_tokenizer())
    with pytest.raises(ValueError, match="either `preprocessor` or arguments"):
        cls.from_preset(
            folders / "ours",
            num_classes=2,
            preprocessor=preprocessor,
            sequence_length=8,
        )


def test_arguments_without_a_vocabulary(made, folders, tmp_path):
    folder = shutil.copytree(folders / "transformers", tmp_path / "bare")
    (folder / "vocab.txt").unlink()
    for cls in (
        keras_electra.ElectraReplacedTokenDetector,
        keras_electra.ElectraPretrainer,
    ):
        with pytest.raises((FileNotFoundError, ValueError), match="vocabulary"):
            cls.from_preset(folder, sequence_length=8)
    # Of two networks one vocabulary is enough.
    generator = made("ElectraForMaskedLM", hidden_size=4, seed=1)
    pretrainer = keras_electra.ElectraPretrainer.from_preset(
        discriminator=folder, generator=generator, sequence_length=8
    )
    assert pretrainer.preprocessor.sequence_length == 8
