"""What a folder is, and what is wrong with it: bad input is told clearly."""

import json
import pickle
import shutil

import pytest
import tokenizers

import keras_electra
from tests import checks
from tests.conversion import foreign

DETECTOR = keras_electra.ElectraReplacedTokenDetector
FILLER = keras_electra.ElectraMaskedLM


@pytest.fixture
def broken(discriminator, tmp_path):
    """A checkpoint that a test may damage."""
    return shutil.copytree(discriminator, tmp_path / "broken")


def change_config(folder, **changes):
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(config))


def files_of(folder):
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def check_refused(folder, message, error=ValueError, cls=DETECTOR):
    before = files_of(folder)
    with pytest.raises(error, match=message):
        cls.from_preset(folder)
    assert files_of(folder) == before


def test_truncated_safetensors(broken):
    file = broken / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    check_refused(broken, "model.safetensors cannot be read.*cut off")


def test_a_pickle_that_would_run_code(broken, tmp_path):
    mark = tmp_path / "mark"

    class Attack:
        def __reduce__(self):
            return open, (str(mark), "w")

    (broken / "model.safetensors").unlink()
    with open(broken / "pytorch_model.bin", "wb") as file:
        pickle.dump({"electra.embeddings": Attack()}, file)
    check_refused(broken, "pytorch_model.bin cannot be read.*run any code")
    assert not mark.exists()


def test_config_that_contradicts_the_shapes(broken):
    change_config(broken, intermediate_size=16)
    check_refused(broken, r"shape: .*\(12, 8\) in place of \(16, 8\)")


def test_config_of_fewer_layers(broken):
    change_config(broken, num_hidden_layers=1)
    check_refused(broken, "Left over: .*layer.1.*contradicts")


@pytest.mark.parametrize("size", [10**6, 10**12, 10**30, -1, True, None, "a"])
@pytest.mark.parametrize("name", ["num_hidden_layers", "vocab_size"])
def test_sizes_are_checked_before_anything_is_built(broken, name, size):
    change_config(broken, **{name: size})
    check_refused(broken, "broken.*(must be an integer|at most)")


def test_config_of_more_layers(broken):
    change_config(broken, num_hidden_layers=3)
    check_refused(broken, "Missing: .*layer.2")


def test_discriminator_for_a_generator(discriminator, generator):
    with pytest.raises(ValueError, match="needs a generator.*discriminator"):
        FILLER.from_preset(discriminator)
    with pytest.raises(ValueError, match="needs a discriminator.*generator"):
        DETECTOR.from_preset(generator)
    with pytest.raises(ValueError, match="needs a generator"):
        keras_electra.ElectraPretrainer.from_preset(
            discriminator=discriminator, generator=discriminator
        )


def test_head_that_is_missing(broken):
    model = foreign.network("ElectraModel")
    foreign.save(model, broken)
    change_config(broken, architectures=["ElectraForPreTraining"])
    check_refused(broken, "lacks the weights of its head")


def test_another_architecture(broken):
    change_config(broken, model_type="roberta")
    check_refused(broken, "model_type .*'electra', 'bert'.*'roberta'")


@pytest.mark.parametrize(
    "name, value",
    [
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("hidden_act", "mish"),
    ],
)
def test_networks_that_ours_is_not(broken, name, value):
    change_config(broken, **{name: value})
    check_refused(broken, name)


def test_vocabulary_that_is_too_long(broken):
    foreign.write_vocabulary(broken, foreign.VOCABULARY + ["more"])
    check_refused(broken, "14 entries.*13 tokens")
    network = DETECTOR.from_preset(broken, preprocessor=None)
    assert network.preprocessor is None


def test_vocabulary_without_special_tokens(broken):
    foreign.write_vocabulary(broken, [f"w{i}" for i in range(13)])
    check_refused(broken, r"lacks the special tokens \[PAD\]")


def test_missing_weights(broken):
    (broken / "model.safetensors").unlink()
    check_refused(
        broken, "no weights.*model.safetensors", error=FileNotFoundError
    )


def test_missing_part(tmp_path):
    model = foreign.network("ElectraForPreTraining")
    foreign.save(model, tmp_path, max_shard_size="1KB")
    min(tmp_path.glob("model-*")).unlink()
    check_refused(tmp_path, "lacks.*model-00001", error=FileNotFoundError)


def test_config_that_is_no_json(broken):
    (broken / "config.json").write_text("{")
    check_refused(broken, "no valid JSON")


def test_unknown_folder(tmp_path):
    check_refused(tmp_path, r"(?s)Looked for:.*transformers.*TF1")


def test_ambiguous_folder(broken, golden):
    for file in (golden / "tiny_ckpt").glob("model.ckpt*"):
        shutil.copy(file, broken)
    check_refused(broken, "ambiguous.*two folders")


def test_our_preset_beside_a_tf1_checkpoint(golden, tmp_path):
    DETECTOR(checks.tiny_backbone(), compile=False).save_to_preset(tmp_path)
    for file in (golden / "tiny_ckpt").glob("model.ckpt*"):
        shutil.copy(file, tmp_path)
    check_refused(tmp_path, "ambiguous: it holds both a preset")
    (index,) = tmp_path.glob("*.index")
    assert DETECTOR.from_preset(index.with_suffix(""))


def test_no_network_to_kaggle(monkeypatch):
    import kagglehub
    import requests

    def fail(handle, path):
        raise requests.exceptions.ConnectionError("cannot reach the hub")

    monkeypatch.setattr(kagglehub, "model_download", fail)
    for preset in (
        "kaggle://someone/electra/keras/small",
        "electra_base_discriminator_uncased_en",
    ):
        with pytest.raises(ConnectionError, match="is there a network"):
            keras_electra.ElectraBackbone.from_preset(preset)


def test_no_network(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def fail(**kwargs):
        raise LocalEntryNotFoundError("cannot reach the hub")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    for cls in (DETECTOR, FILLER, keras_electra.ElectraBackbone):
        with pytest.raises(ConnectionError, match="is there a network"):
            cls.from_preset("hf://google/electra-small-discriminator")


def test_a_handle_is_opened_file_by_file(discriminator, monkeypatch):
    import pathlib

    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    asked = []

    def download(repo_id, filename):
        asked.append(filename)
        path = pathlib.Path(discriminator) / filename
        if repo_id != "google/electra-small-discriminator" or (
            not path.exists()
        ):
            raise EntryNotFoundError(f"no {filename}")
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    detector = DETECTOR.from_preset("hf://google/electra-small-discriminator")
    local = DETECTOR.from_preset(discriminator)
    checks.check_same_outputs(detector, local, foreign.X)
    assert "pytorch_model.bin" not in asked


def test_case_and_length_of_a_tokenizer(broken):
    """Of a bare vocabulary with a byte order mark, CRLF and capitals."""
    path = broken / "vocab.txt"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (broken / name).unlink(missing_ok=True)
    tokens = [*foreign.VOCABULARY[:-1], "The"]
    path.write_bytes(("\ufeff" + "\r\n".join(tokens) + "\r\n").encode())
    lowered = DETECTOR.from_preset(broken)
    assert "capitals ('The')" in lowered.conversion_summary.notes[0]
    kept = DETECTOR.from_preset(broken, lowercase=False)
    assert kept.preprocessor.tokenizer.get_vocabulary() == tokens
    assert not kept.preprocessor.tokenizer.lowercase
    made = tokenizers.Tokenizer.from_str(
        kept.preprocessor.tokenizer.pipeline.content
    )
    made.enable_truncation(7)
    made.save(str(broken / "tokenizer.json"))
    cut = DETECTOR.from_preset(broken)
    assert cut.preprocessor.sequence_length == 7
