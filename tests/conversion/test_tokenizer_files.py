"""Tokenizers of other packages keep their vocabulary, case and accents."""

import json
import pickle

import pytest
import tokenizers
import transformers
from tokenizers import decoders
from tokenizers import models
from tokenizers import normalizers
from tokenizers import pre_tokenizers
from tokenizers import processors
from tokenizers import trainers

import keras_electra
from keras_electra.conversion.tokenizer_files import read_tokenizer
from keras_electra.conversion.tokenizer_files import write_tokenizer
from keras_electra.text import pipeline
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


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="/tokenizer.json: .*no tokenizer"):
        read(tmp_path)
    write_tokenizer(checks.tiny_tokenizer(), tmp_path, 16)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"a":12', '"a":13'), encoding="utf-8")
    with pytest.raises(ValueError, match="0, 1, 2.*ids up to 13"):
        read(tmp_path)


def test_two_vocabularies_that_differ(tmp_path):
    write_tokenizer(checks.tiny_tokenizer(), tmp_path, 16)
    foreign.write_vocabulary(tmp_path, [*checks.VOCABULARY[:-1], "b"])
    with pytest.raises(ValueError, match="two vocabularies that differ"):
        read(tmp_path)


# Any other `tokenizer.json`.

TEXTS = ["The Chef cooked a meal.", "É 中国 [NEW]ﬁ " + "x" * 150, "the [MASK]"]
BERT = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
OTHER = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4}


def bert():
    """Plain BERT, but with a token that was added, and a short limit."""
    words = [*checks.WORDS, "x", "##x", "e", "中"]
    ids = {**BERT, **{word: i for i, word in enumerate(words, 5)}}
    model = models.WordPiece(
        ids, unk_token="[UNK]", max_input_chars_per_word=150
    )
    theirs = tokenizers.Tokenizer(model)
    theirs.normalizer = normalizers.BertNormalizer()
    theirs.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    theirs.add_special_tokens(list(BERT))
    theirs.add_tokens(["[NEW]"])
    theirs.enable_truncation(2)
    theirs.enable_padding(length=9)
    return theirs


def byte_level():
    """Byte-level BPE, as of RoBERTa."""
    theirs = tokenizers.Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel()
    theirs.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(OTHER),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    theirs.train_from_iterator(TEXTS, trainer)
    theirs.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0)
    )
    return theirs


def unigram():
    """Unigram with an underline for a space, as of SentencePiece."""
    pieces = [("<unk>", 0.0)]
    pieces += [("\u2581", -3.0), *((c, -4.0) for c in "thecfkdoaml.")]
    theirs = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0))
    theirs.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase()]
    )
    theirs.pre_tokenizer = pre_tokenizers.Metaspace()
    theirs.decoder = decoders.Metaspace()
    theirs.add_special_tokens(list(OTHER))
    return theirs


@pytest.fixture(params=[bert, byte_level, unigram])
def theirs(request, tmp_path):
    theirs = request.param()
    theirs.save(str(tmp_path / "tokenizer.json"))
    theirs.no_truncation()
    theirs.no_padding()
    return theirs


def test_any_is_obeyed_and_written_as_it_is(theirs, tmp_path):
    path = tmp_path / "tokenizer.json"
    ours = keras_electra.ElectraTokenizer(path)
    encodings = theirs.encode_batch(TEXTS, add_special_tokens=False)
    ids = [encoding.ids for encoding in encodings]
    assert ours.encode_batch(TEXTS, special_tokens=True) == ids
    same, offsets = ours.encode_with_offsets(TEXTS, special_tokens=True)
    assert same == ids
    assert offsets == [encoding.offsets for encoding in encodings]
    # Special tokens are text unless they are asked for, others never.
    [plain] = ours.encode_batch([f"the {ours.mask_token}"])
    assert ours.mask_token_id not in plain and plain[-1] != ours.mask_token_id
    assert ours.detokenize(ids[0]) == theirs.decode(ids[0])
    assert ours.token_to_id(ours.pad_token) == ours.pad_token_id
    content = path.read_text(encoding="utf-8")
    for is_full in (True, False):
        folder = tmp_path / str(is_full)
        folder.mkdir()
        write_tokenizer(ours, folder, 16, is_full)
        written = (folder / "tokenizer.json").read_text(encoding="utf-8")
        assert written == content
        assert read(folder).fingerprint() == ours.fingerprint()
        loaded = transformers.AutoTokenizer.from_pretrained(folder)
        for text, row in zip(TEXTS, ids):
            assert loaded.encode(text, add_special_tokens=False) == row
        assert loaded.mask_token_id == ours.mask_token_id


def test_any_is_saved_in_presets(theirs, tmp_path):
    ours = keras_electra.ElectraTokenizer(
        tmp_path / "tokenizer.json", special_tokens_in_strings=True
    )
    size = ours.vocabulary_size()
    checks.tiny_backbone(vocabulary_size=size).save_to_preset(tmp_path / "new")
    ours.save_to_preset(tmp_path / "new")
    again = keras_electra.ElectraTokenizer.from_preset(tmp_path / "new")
    assert again.fingerprint() == ours.fingerprint()
    assert settings_of(again) == settings_of(ours)
    for other in (again, pickle.loads(pickle.dumps(ours))):
        assert other.encode_batch(TEXTS) == ours.encode_batch(TEXTS)
        assert other.special_token_ids == ours.special_token_ids


@pytest.mark.parametrize("make", [bert, unigram])
def test_settings_are_obeyed_or_refused(make, tmp_path):
    path = tmp_path / "tokenizer.json"
    make().save(str(path))
    ours = keras_electra.ElectraTokenizer(path, lowercase=True)
    assert settings_of(ours) == (True, *settings_of(ours)[1:])
    if make is unigram:
        with pytest.raises(ValueError, match="`lowercase=False` cannot be"):
            keras_electra.ElectraTokenizer(path, lowercase=False)
        return
    changed = keras_electra.ElectraTokenizer(
        path, lowercase=False, strip_accents=True, split_on_cjk=False
    )
    assert settings_of(changed) == (False, True, False)
    [ids] = changed.encode_batch(["the The é 中a"])
    assert list(map(changed.id_to_token, ids)) == [
        *("the", "[UNK]", "e", "[UNK]")
    ]
    assert changed.fingerprint() != ours.fingerprint()


def test_settings_beside_it_are_those_of_bert_alone(tmp_path):
    config = {"do_lower_case": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    for make, lowers in ((bert, False), (unigram, True)):
        make().save(str(tmp_path / "tokenizer.json"))
        assert read(tmp_path).lowercase is lowers


def test_tokens_that_are_missing(tmp_path):
    theirs = tokenizers.Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}))
    theirs.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"special token \[PAD\], in"):
        read(tmp_path)


def test_words_are_split_alike_for_tagging(tmp_path):
    bert().save(str(tmp_path / "tokenizer.json"))
    preprocessor = keras_electra.ElectraTokenClassifierPreprocessor(
        keras_electra.ElectraTokenizer(tmp_path / "tokenizer.json")
    )
    words = preprocessor.word_tokenizer
    assert settings_of(words) == (True, None, False)
    assert words.encode_batch(["中a"]) == [[1]]


def test_keras_hub_has_word_pieces_only(tmp_path):
    unigram().save(str(tmp_path / "tokenizer.json"))
    tokenizer = keras_electra.ElectraTokenizer(tmp_path / "tokenizer.json")
    detector = keras_electra.ElectraReplacedTokenDetector(
        checks.tiny_backbone(vocabulary_size=tokenizer.vocabulary_size()),
        keras_electra.ElectraReplacedTokenDetectorPreprocessor(tokenizer),
    )
    with pytest.raises(ValueError, match="WordPiece only"):
        detector.export_to_keras_hub(tmp_path / "new")
    detector.export_to_transformers(tmp_path / "new")
    assert read(tmp_path / "new").fingerprint() == tokenizer.fingerprint()


PROBES = ["the <user> [e1] [E1] <USER>the", "[MASK] chef[e1]", "Bär e1 <user"]


@pytest.mark.parametrize("form", ["decoder", "beside", "special", "full"])
def test_added_tokens_are_found(form, tmp_path):
    foreign.write_vocabulary(tmp_path)
    theirs = transformers.BertTokenizer(vocab=str(tmp_path / "vocab.txt"))
    size, new = len(theirs), ["<user>", "[e1]"]
    if form == "special":
        theirs.add_special_tokens({"additional_special_tokens": new})
    else:
        theirs.add_tokens(new)
    theirs.save_pretrained(tmp_path / "saved")
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    if form in ("decoder", "special"):
        config["added_tokens_decoder"] = {
            str(id): {"content": t, "special": form == "special"}
            for id, t in enumerate(new, size)
        }
    elif form == "beside":
        ids = {token: id for id, token in enumerate(new, size)}
        (tmp_path / "added_tokens.json").write_text(json.dumps(ids))
    else:
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (tmp_path / file).write_text(
                (tmp_path / "saved" / file).read_text()
            )
    if form != "full":
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    ours = read(tmp_path)
    wanted = [theirs.encode(t, add_special_tokens=False) for t in PROBES]
    assert ours.encode_batch(PROBES, special_tokens=True) == wanted
    assert {size, size + 1} <= set(sum(ours.encode_batch(PROBES), []))
    write_tokenizer(ours, tmp_path / "saved", 16)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again(PROBES, add_special_tokens=False)["input_ids"] == wanted


def test_added_tokens_with_gaps(tmp_path):
    foreign.write_vocabulary(tmp_path)
    (tmp_path / "added_tokens.json").write_text('{"<user>": 99}')
    with pytest.raises(ValueError, match="'<user>' .* must have the id"):
        read(tmp_path)


@pytest.mark.parametrize(
    "config, needed",
    [
        ({"tokenizer_class": "BertJapaneseTokenizer"}, "BertJapaneseTokenizer"),
        ({"word_tokenizer_type": "mecab"}, "word_tokenizer_type='mecab'"),
        ({"subword_tokenizer_type": "character"}, "'character'"),
        ({"do_basic_tokenize": False}, "do_basic_tokenize=False"),
        ({"never_split": ["a"]}, "never_split"),
        ({"do_lower_case": "no"}, "do_lower_case='no'"),
        ({"mask_token": {"content": "<mask>"}}, "mask_token='<mask>'"),
        ("spiece.model", "SentencePiece or BPE"),
        ("no pieces", "into characters"),
    ],
    ids=str,
)
def test_what_cannot_be_rebuilt_is_refused(config, needed, tmp_path):
    tokens = checks.VOCABULARY
    if config == "no pieces":
        tokens = [token for token in tokens if token[:2] != "##"]
    foreign.write_vocabulary(tmp_path, tokens)
    if config == "spiece.model":
        (tmp_path / "vocab.txt").rename(tmp_path / config)
    elif isinstance(config, dict):
        text = json.dumps({"tokenizer_class": "ElectraTokenizer", **config})
        (tmp_path / "tokenizer_config.json").write_text(text)
    with pytest.raises(ValueError, match=f"needs .*{needed}"):
        read(tmp_path)


def test_what_a_file_need_not_say(theirs, tmp_path):
    """Fields that others leave out; `read_pipeline` compares the ids."""
    path = tmp_path / "tokenizer.json"
    expected = read(tmp_path).encode_batch(["The chef ate"])
    content = json.loads(path.read_text())
    for name in ("added_tokens", "normalizer", "truncation", "padding"):
        if not content[name]:
            del content[name]
    path.write_text(json.dumps(content))
    assert read(tmp_path).encode_batch(["The chef ate"]) == expected


def test_ids_that_differ_are_an_error(theirs, monkeypatch, tmp_path):
    encode = pipeline.Pipeline.encode
    monkeypatch.setattr(
        pipeline.Pipeline,
        "encode",
        lambda self, *args, **kwargs: encode(self, *args, **kwargs)[:-1],
    )
    with pytest.raises(ValueError, match="tokenizer.json: .*other ids"):
        read(tmp_path)


def test_length_and_words_of_the_file_are_obeyed(tmp_path):
    tokenizer = bert()
    tokenizer.enable_truncation(7)
    tokenizer.model.max_input_chars_per_word = 4
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = read(tmp_path)
    assert ours.pipeline.max_length == 7
    (ids,) = ours.encode_batch(["aaaaa"])
    assert ids == [ours.unk_token_id]
