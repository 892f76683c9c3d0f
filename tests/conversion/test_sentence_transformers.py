"""Folders of sentence-transformers: what they say is done, or refused."""

import json
import shutil

import keras
import numpy as np
import pytest

import keras_electra
from tests import checks
from tests.conversion import foreign

EMBEDDER = keras_electra.ElectraTextEmbedder
TEXTS = ["the chef ate", "A meal ."]
MEAN = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(content))


def modules(*names, network=""):
    """As in `modules.json`: the network and steps after it."""
    paths = [network, *(f"{i + 1}_{n}" for i, n in enumerate(names))]
    names = [f"sentence_transformers.models.{n}" for n in names]
    names = ["sentence_transformers.models.Transformer", *names]
    return [
        {"idx": i, "name": str(i), "path": path, "type": name}
        for i, (path, name) in enumerate(zip(paths, names))
    ]


@pytest.fixture
def make(made, tmp_path):
    """Function that makes a folder and returns its path."""

    def make(pooling, *steps, network="", settings=None, **files):
        folder = tmp_path / "folder"
        shutil.copytree(made("ElectraModel"), folder / network)
        listed = modules("Pooling", *steps, network=network)
        write(folder, "modules.json", files.get("modules", listed))
        if pooling is not None:
            write(folder, "1_Pooling/config.json", pooling)
        if settings is not None:
            write(folder / network, "sentence_bert_config.json", settings)
        return folder

    return make


@pytest.mark.parametrize("network", ["", "0_Transformer"])
@pytest.mark.parametrize(
    "pooling, steps, expected",
    [
        (MEAN, ["Normalize"], ("mean", True)),
        (CLS, [], ("cls", False)),
        ({"pooling_mode": "cls", **MEAN}, [], ("cls", False)),
        ({"word_embedding_dimension": 8}, [], ("mean", False)),
    ],
)
def test_the_recipe_is_obeyed(network, pooling, steps, expected, make):
    settings = {"max_seq_length": 5, "do_lower_case": False}
    folder = make(pooling, *steps, network=network, settings=settings)
    if network:  # the versions that wrote so had this one, too
        write(folder, "config.json", {"__version__": "0.2.5"})
    embedder = EMBEDDER.from_preset(folder)
    assert (embedder.pooling, embedder.normalize) == expected
    assert embedder.layer == 2 and embedder.preprocessor.sequence_length == 5
    backbone = keras_electra.ElectraBackbone.from_preset(folder)
    x = embedder.preprocessor(TEXTS)
    hidden = keras.ops.convert_to_numpy(backbone(x)["sequence_output"])
    mask = np.asarray(x["padding_mask"])[:, :, None]
    vectors = (hidden * mask).sum(1) / mask.sum(1)
    if expected[0] == "cls":
        vectors = hidden[:, 0]
    if expected[1]:
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    np.testing.assert_allclose(embedder.embed(TEXTS), vectors, atol=1e-5)
    # What is given goes before what the files say.
    other = EMBEDDER.from_preset(folder, layer=1, sequence_length=7)
    assert other.layer == 1 and other.preprocessor.sequence_length == 7
    other = {"cls": "mean", "mean": "cls"}[embedder.pooling]
    assert EMBEDDER.from_preset(folder, pooling=other).pooling == other
    embedder.save_to_preset(folder / "ours")
    again = EMBEDDER.from_preset(folder / "ours")
    checks.check_same_outputs(embedder, again, foreign.X)


@pytest.mark.parametrize(
    "pooling, steps, message",
    [
        (MEAN, ["Dense"], "Transformer, Pooling, Dense"),
        (MEAN, ["Normalize", "Dense"], "Pooling, Normalize, Dense"),
        ({**MEAN, "pooling_mode_max_tokens": True}, [], "'mean.max'"),
        ({**CLS, "pooling_mode_mean_tokens": True}, [], "'mean.cls'"),
        ({**CLS, "pooling_mode_cls_token": False}, [], "folder=''"),
        ({"pooling_mode": "lasttoken"}, [], "lasttoken"),
    ],
)
def test_what_it_has_not_is_refused(pooling, steps, message, make):
    folder = make(pooling, *steps)
    with pytest.raises(ValueError, match=message):
        EMBEDDER.from_preset(folder)
    assert keras_electra.ElectraBackbone.from_preset(folder).num_layers == 2


@pytest.mark.parametrize(
    "listed",
    [
        {"type": "Transformer"},
        [{"type": "sentence_transformers.models.Transformer"}],
        modules("Pooling", network="../elsewhere"),
        modules("Pooling", network="/tmp"),
        modules("Pooling", network=".."),
    ],
)
def test_damaged_lists_of_modules(listed, make):
    with pytest.raises(ValueError, match="modules.json"):
        EMBEDDER.from_preset(make(MEAN, modules=listed))


def test_custom_and_missing_parts(make):
    folder = make(MEAN)
    listed = modules("Pooling")
    listed[1]["type"] = "custom_code.Pooling"
    write(folder, "modules.json", listed)
    with pytest.raises(ValueError, match="custom_code.Pooling"):
        EMBEDDER.from_preset(folder)
    write(folder, "modules.json", modules("Pooling"))
    (folder / "1_Pooling/config.json").unlink()
    with pytest.raises(FileNotFoundError, match="1_Pooling/config.json"):
        EMBEDDER.from_preset(folder)


def test_other_length_and_prompts(make):
    folder = make(MEAN, settings={"max_seq_length": None})
    write(folder, "tokenizer_config.json", {"model_max_length": 6})
    assert EMBEDDER.from_preset(folder).preprocessor.sequence_length == 6
    name, prompts = "config_sentence_transformers.json", {"a": "q: ", "b": ""}
    config = {"prompts": prompts, "default_prompt_name": None}
    write(folder, name, config)
    assert EMBEDDER.from_preset(folder).pooling == "mean"
    config["default_prompt_name"] = "a"
    write(folder, name, config)
    with pytest.raises(ValueError, match="prompt 'a' of .*q: "):
        EMBEDDER.from_preset(folder)


def test_a_length_that_is_none(make):
    folder = make(MEAN, settings={"max_seq_length": "128"})
    with pytest.raises(ValueError, match="max_seq_length of .*'128'"):
        EMBEDDER.from_preset(folder)


def test_texts_are_lowered_first(make):
    folder = make(MEAN, settings={"max_seq_length": 64, "do_lower_case": True})
    write(folder, "tokenizer_config.json", {"do_lower_case": False})
    embedder = EMBEDDER.from_preset(folder)
    assert embedder.preprocessor.sequence_length == 16  # as many positions
    tokenizer = embedder.preprocessor.tokenizer
    assert tokenizer.encode_batch(["The chéf"]) == [[5, 1]]
    plain = keras_electra.ElectraTokenizer.from_preset(folder)
    assert plain.encode_batch(["The"]) == [[1]]
