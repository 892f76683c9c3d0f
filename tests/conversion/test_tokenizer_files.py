"""Tokenizers of other packages keep their vocabulary, case and accents."""

import json

import pytest

import keras_electra
from keras_electra.conversion.tokenizer_files import read_tokenizer
from keras_electra.conversion.tokenizer_files import write_tokenizer
from tests import checks
from tests.conversion import foreign

SETTINGS = [
    {"lowercase": True},
    {"lowercase": False, "strip_accents": True},
    {"lowercase": True, "strip_accents": False, "split_on_cjk": False},
]


def read(folder, **kwargs):
    def find(name):
        path = folder / name
        return path if path.is_file() else None

    return read_tokenizer(find, str(folder), **kwargs)


def settings_of(tokenizer):
    return (
        tokenizer.lowercase,
        tokenizer.strip_accents,
        tokenizer.split_on_cjk,
    )


@pytest.mark.parametrize("settings", SETTINGS)
def test_there_and_back(settings, tmp_path):
    tokenizer = keras_electra.ElectraTokenizer(checks.VOCABULARY, **settings)
    write_tokenizer(tokenizer, tmp_path, 16)
    assert read(tmp_path).fingerprint() == tokenizer.fingerprint()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).unlink()
    assert read(tmp_path).get_vocabulary() == checks.VOCABULARY


@pytest.mark.parametrize("lower", [True, False])
def test_files_of_transformers(lower, tmp_path):
    import transformers

    foreign.write_vocabulary(tmp_path)
    theirs = transformers.BertTokenizer(
        vocab=str(tmp_path / "vocab.txt"),
        do_lower_case=lower,
        strip_accents=False,
        tokenize_chinese_chars=False,
    )
    (tmp_path / "vocab.txt").unlink()
    theirs.save_pretrained(tmp_path)
    ours = read(tmp_path)
    assert settings_of(ours) == (lower, False, False)
    assert ours.get_vocabulary() == checks.VOCABULARY
    text = "The chef cooked a meal ."
    assert ours.encode_batch([text])[0] == theirs(text)["input_ids"][1:-1]


def test_older_config_beside_the_vocabulary(tmp_path):
    foreign.write_vocabulary(tmp_path)
    assert settings_of(read(tmp_path)) == (True, None, True)
    config = {"do_lower_case": False, "strip_accents": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert settings_of(read(tmp_path)) == (False, None, True)


def test_case_is_seen_from_the_vocabulary(tmp_path):
    foreign.write_vocabulary(tmp_path, [*checks.VOCABULARY, "A", "B"])
    assert read(tmp_path, lowercase_unless_said=None).lowercase
    foreign.write_vocabulary(tmp_path, [*checks.VOCABULARY, "Chef"])
    assert not read(tmp_path, lowercase_unless_said=None).lowercase


def test_none(tmp_path):
    assert read(tmp_path) is None


def change_model(folder, **changes):
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["model"].update(changes)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"type": "BPE"}, "another kind.*'BPE'"),
        ({"continuing_subword_prefix": "@@"}, "another kind.*'@@'"),
        ({"vocab": {"[PAD]": 0, "a": 7}}, "0, 1, 2"),
    ],
)
def test_tokenizers_of_another_kind(changes, message, tmp_path):
    write_tokenizer(checks.tiny_tokenizer(), tmp_path, 16)
    change_model(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_two_vocabularies_that_differ(tmp_path):
    write_tokenizer(checks.tiny_tokenizer(), tmp_path, 16)
    foreign.write_vocabulary(tmp_path, [*checks.VOCABULARY[:-1], "b"])
    with pytest.raises(ValueError, match="two vocabularies that differ"):
        read(tmp_path)


def test_added_tokens_come_after_the_vocabulary(tmp_path):
    write_tokenizer(checks.tiny_tokenizer(), tmp_path, 16)
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["added_tokens"].append({"id": 13, "content": "[NEW]"})
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read(tmp_path).get_vocabulary() == [*checks.VOCABULARY, "[NEW]"]
