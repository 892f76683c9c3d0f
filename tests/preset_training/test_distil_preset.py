"""The recipe of the presets from a tiny corpus and teacher, in two sittings."""

import lzma
import sys

import distil_preset as recipe
import keras
import pytest

import keras_electra

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "cat", "dog", "sees", "a", "bird", "."]


@pytest.fixture
def data(tmp_path):
    text = "The cat sees a dog. A bird sees the cat.\nThe dog.\n\n" * 400
    for name in ("enwiki2015/wiki", "gutenberg/books"):
        for split in ("train-00", "valid"):
            path = tmp_path / f"{name}-{split}.txt.xz"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(lzma.compress(text.encode()))
    (tmp_path / "vocabulary.txt").write_text("\n".join(SPECIAL + WORDS))
    tokenizer = keras_electra.ElectraTokenizer(
        SPECIAL + WORDS[::-1], lowercase=True
    )
    backbone = keras_electra.ElectraBackbone(
        tokenizer.vocabulary_size(), 1, 2, 16, 32
    )
    keras_electra.ElectraTextEmbedder(
        backbone,
        keras_electra.ElectraTextEmbedderPreprocessor(tokenizer, 128),
    ).save_to_preset(tmp_path / "teacher")
    return tmp_path


def test_it_goes_on_and_makes_a_preset(data, monkeypatch, capsys):
    size = dict(num_layers=1, num_heads=2, hidden_dim=8)
    stages = [(n, 1, r, *o) for n, _, r, *o in recipe.STAGES["tiny"]]
    monkeypatch.setitem(recipe.SIZES, "tiny", size)
    monkeypatch.setitem(recipe.STAGES, "tiny", stages)
    command = ["distil_preset.py", "tiny", "--data", data, "--run"]
    command += [data / "run", "--preset", data / "preset", "--teacher"]
    command += [data / "teacher", "--vocabulary", data / "vocabulary.txt"]
    command += ["--scale", "0.0005", "--steps-per-epoch", "1"]
    command += ["--batch-size", "16", "--dtype", "float32"]
    for sitting in ("0.00001", "10"):
        given = [*command, "--minutes", sitting]
        monkeypatch.setattr(sys, "argv", [str(part) for part in given])
        if sitting != "10":
            with pytest.raises(SystemExit, match="sitting is over"):
                recipe.main()
            continue
        recipe.main()
    assert "Resuming after epoch" in capsys.readouterr().out
    card = (data / "preset" / "README.md").read_text()
    assert all(f"| {stage[0]} | " in card for stage in stages)
    filler = keras_electra.ElectraMaskedLM.from_preset(data / "preset")
    assert filler.fill_mask("the [MASK]", top_k=1)
    assert keras.config.dtype_policy().name == "float32"
