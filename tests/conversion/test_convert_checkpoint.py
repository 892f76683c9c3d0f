"""The example converts in every direction and prints its proof."""

import re

import keras
import pytest

import keras_electra
from tests.conversion import foreign


@pytest.fixture(scope="module")
def main():
    return foreign.load_example().main


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    for name, architecture in (
        ("discriminator", "ElectraForPreTraining"),
        ("generator", "ElectraForMaskedLM"),
    ):
        model = foreign.network(architecture)
        foreign.save(model, folder / name)
    return folder


def differences(printed):
    return [
        float(number)
        for line in printed.splitlines()
        for number in re.findall(r"states (\S+), of logits (\S+)", line)
        for number in number
    ]


def test_there_and_back_through_every_form(main, pair, tmp_path, capsys):
    first = ["--generator", str(pair / "generator")]
    source = str(pair / "discriminator")
    start = None
    for form in ("transformers", "tf1", "preset", "transformers"):
        output = str(tmp_path / f"{form}-{len(source)}")
        main([source, *first, "--to", form, "--output", output])
        printed = capsys.readouterr().out
        assert f"in the form '{form}'" in printed
        if form == "transformers":
            found = differences(printed)
            assert len(found) >= 4 and max(found) < 1e-4
        model = keras_electra.ElectraPretrainer.from_preset(output)
        start = start or model
        assert foreign.same_weights(start, model)
        source, first = output, []


def test_one_task(main, pair, tmp_path, capsys):
    source, output = str(pair / "discriminator"), str(tmp_path / "out")
    main(
        [source, "--task", "detector", "--to", "keras_hub", "--output", output]
    )
    assert max(differences(capsys.readouterr().out)) < 1e-4
    keras_electra.ElectraBackbone.from_preset(output)
    with pytest.raises(SystemExit):
        main(
            [source, "--task", "detector", "--generator", "x", "--output", "y"]
        )


@pytest.fixture
def detector(discriminator):
    return keras_electra.ElectraReplacedTokenDetector.from_preset(discriminator)


def test_differences_are_seen(detector, discriminator):
    same = foreign.compare_with_source(detector, discriminator)
    assert same.same_tokens and same.hidden_states < 1e-4
    assert "token ids equal" in str(same)
    bias = detector.head.output_dense.bias
    bias.assign(keras.ops.add(bias, 0.5))
    other = foreign.compare_with_source(detector, discriminator)
    assert other.hidden_states == same.hidden_states
    assert abs(other.logits - 0.5) < 1e-3
    beta = detector.backbone.transformer_layers[0].output_layer_norm.beta
    beta.assign(keras.ops.add(beta, 1.0))
    detector.preprocessor.tokenizer.lowercase = False
    other = foreign.compare_with_source(detector, discriminator)
    assert other.hidden_states > 1e-3


def test_tokens_that_differ(detector, discriminator):
    cased = keras_electra.ElectraTokenizer(
        detector.preprocessor.tokenizer.get_vocabulary(), lowercase=False
    )
    detector.preprocessor.tokenizer = cased
    result = foreign.compare_with_source(
        detector, discriminator, texts=["The chef"]
    )
    assert result.same_tokens is False and "DIFFERENT" in str(result)


def test_what_cannot_be_compared(detector, golden, discriminator):
    with pytest.raises(ValueError, match="no program to compare"):
        foreign.compare_with_source(detector, golden / "tiny_ckpt")
    with pytest.raises(ValueError, match="is compared on `x`"):
        foreign.compare_with_source(detector.backbone, discriminator)
