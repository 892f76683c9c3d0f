"""The example converts in every direction and prints its proof."""

import re

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
