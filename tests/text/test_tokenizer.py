"""ElectraTokenizer: the original's ids, saving, calling, offsets, errors."""

import json
import multiprocessing
import os
import pathlib
import pickle

import keras
import keras_hub
import numpy as np
import pytest

from keras_electra.model.backbone import ElectraBackbone
from keras_electra.text.tokenizer import ElectraTokenizer

SETTINGS = {
    "lower_strip": {"lowercase": True},
    "lower_nostrip": {"lowercase": True, "strip_accents": False},
    "cased": {"lowercase": False},
}
WORDS = "the chef cook ##ed ##s a é e caf ##e ##é . i ##̇ 中 : [ ] mask"
VOCABULARY = ["[UNK]", "[MASK]", "[CLS]", *WORDS.split(), "[SEP]", "[PAD]"]


@pytest.fixture
def tokenizer():
    return ElectraTokenizer(VOCABULARY, lowercase=True)


def tokens(tokenizer, ids):
    return [tokenizer.id_to_token(id) for id in ids]


def rows_of(golden, name):
    path = golden / f"tokenization_{name}_vocab.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"]


def bert_vocabulary():
    root = pathlib.Path(__file__).parents[2]
    default = root.parent / "shared" / "data"
    folder = pathlib.Path(os.environ.get("KERAS_ELECTRA_DATA", default))
    path = folder / "vocab" / "bert-base-uncased-vocab.txt"
    if not path.exists():
        pytest.skip(
            "needs vocab/bert-base-uncased-vocab.txt in the folder that "
            f"KERAS_ELECTRA_DATA names; looked for {path}"
        )
    return path


# The ids of the original.


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", ["own", "bert"])
def test_ids_of_the_original(golden, name, setting):
    path = golden / "vocab.txt" if name == "own" else bert_vocabulary()
    tokenizer = ElectraTokenizer(str(path), **SETTINGS[setting])
    rows = rows_of(golden, name)
    texts = [row["text"] for row in rows]
    expected = [row[setting]["ids"] for row in rows]
    assert rows
    assert tokenizer.encode_batch(texts) == expected
    assert tokenizer.encode_with_offsets(texts)[0] == expected
    assert tokenizer(texts) == expected
    # Again, now that every part of them is remembered.
    assert tokenizer.encode_batch(texts) == expected


def test_special_token_ids_come_from_the_vocabulary(tokenizer):
    last = len(VOCABULARY) - 1
    assert tokenizer.unk_token_id == 0
    assert tokenizer.mask_token_id == 1
    assert tokenizer.cls_token_id == tokenizer.start_token_id == 2
    assert tokenizer.sep_token_id == tokenizer.end_token_id == last - 1
    assert tokenizer.pad_token_id == last
    assert set(tokenizer.special_token_ids) == {0, 1, 2, last - 1, last}


def test_settings_are_obeyed():
    def encode(text, **settings):
        tokenizer = ElectraTokenizer(VOCABULARY, **settings)
        return tokens(tokenizer, tokenizer(text))

    assert encode("The é") == ["[UNK]", "é"]
    assert encode("The é", lowercase=True) == ["the", "e"]
    assert encode("The é", lowercase=True, strip_accents=False) == ["the", "é"]
    # A departure: the original strips accents only when it lowers.
    assert encode("The é", strip_accents=True) == ["[UNK]", "e"]
    assert encode("a中a") == ["a", "中", "a"]
    assert encode("a中a", split_on_cjk=False) == ["[UNK]"]


def test_special_tokens_in_strings(tokenizer):
    text = "a[MASK].[mask]"
    plain = ["a", "[", "mask", "]", ".", "[", "mask", "]"]
    special = ["a", "[MASK]", ".", "[", "mask", "]"]
    [ids] = tokenizer.encode_batch([text])
    assert tokens(tokenizer, ids) == plain
    [ids] = tokenizer.encode_batch([text], special_tokens=True)
    assert tokens(tokenizer, ids) == special
    [ids], [offsets] = tokenizer.encode_with_offsets([text], True)
    assert tokens(tokenizer, ids) == special
    assert offsets[:3] == [(0, 1), (1, 7), (7, 8)]
    other = ElectraTokenizer(
        VOCABULARY, lowercase=True, special_tokens_in_strings=True
    )
    assert tokens(other, other(text)) == special
    [ids] = other.encode_batch([text], special_tokens=False)
    assert tokens(other, ids) == plain


# Calling it.


def test_call_keeps_the_nesting(tokenizer):
    the, a = tokenizer.token_to_id("the"), tokenizer.token_to_id("a")
    ids = tokenizer("the a")
    assert isinstance(ids, np.ndarray)
    assert ids.dtype == "int32"
    assert ids.tolist() == [the, a]
    assert tokenizer(["the a", "", "a"]) == [[the, a], [], [a]]
    assert tokenizer([["the"], ["a", "a"]]) == [[[the]], [[a], [a]]]
    assert tokenizer(np.array(["the", "a"])) == [[the], [a]]
    assert tokenizer(b"the").tolist() == [the]
    assert tokenizer("").shape == (0,)
    assert tokenizer([]) == []


def test_sequence_length_makes_dense_arrays():
    tokenizer = ElectraTokenizer(VOCABULARY, sequence_length=3)
    a, pad = tokenizer.token_to_id("a"), tokenizer.pad_token_id
    assert tokenizer("a").tolist() == [a, pad, pad]
    batch = tokenizer(["a a a a", ""])
    assert batch.dtype == "int32"
    assert batch.tolist() == [[a, a, a], [pad, pad, pad]]
    assert tokenizer([["a"], ["a"]]).shape == (2, 1, 3)
    assert tokenizer([]).shape == (0, 3)


def test_string_tokens():
    tokenizer = ElectraTokenizer(VOCABULARY, dtype="string")
    assert tokenizer("cooked a") == ["cook", "##ed", "a"]
    assert tokenizer(["cooked", "x"]) == [["cook", "##ed"], ["[UNK]"]]


def test_detokenize(tokenizer):
    ids = tokenizer("The chef cooked.")
    assert tokenizer.detokenize(ids) == "the chef cooked ."
    batch = keras.ops.convert_to_tensor([[2, 3], [4, 1]])
    assert tokenizer.detokenize(batch) == ["[CLS] the", "chef [MASK]"]
    assert tokenizer.detokenize([[3], []]) == ["the", ""]
    assert tokenizer.detokenize([]) == ""


# Offsets.


def test_offsets_point_into_the_original_text(tokenizer):
    def pieces(text):
        [ids], [offsets] = tokenizer.encode_with_offsets([text])
        parts = [text[start:end] for start, end in offsets]
        return list(zip(tokens(tokenizer, ids), parts, strict=True))

    assert pieces(" The chef") == [("the", "The"), ("chef", "chef")]
    assert pieces("cooked.") == [("cook", "cook"), ("##ed", "ed"), (".", ".")]
    # Accents, composed and not.
    assert pieces("Café") == [("caf", "Caf"), ("##e", "é")]
    assert pieces("Cafe\u0301 a") == [
        ("caf", "Caf"),
        ("##e", "e\u0301"),
        ("a", "a"),
    ]
    # Control characters, even those Python splits at, and CJK spaces.
    assert pieces("\u200bco\x0bok\x00ed") == [
        ("cook", "co\x0bok"),
        ("##ed", "ed"),
    ]
    assert pieces("a中a") == [("a", "a"), ("中", "中"), ("a", "a")]
    # Lower case of one character that is two, and an unknown word.
    assert pieces("a İ xyz") == [("a", "a"), ("i", "İ"), ("[UNK]", "xyz")]
    assert pieces("") == []


def test_offsets_where_lower_case_is_longer():
    tokenizer = ElectraTokenizer(
        VOCABULARY, lowercase=True, strip_accents=False
    )
    [ids], [offsets] = tokenizer.encode_with_offsets(["İ a"])
    assert tokens(tokenizer, ids) == ["i", "##̇", "a"]
    assert offsets == [(0, 1), (0, 1), (2, 3)]


# What users pass.


def test_arrays_and_bytes(tokenizer):
    the, a = tokenizer.token_to_id("the"), tokenizer.token_to_id("a")
    assert tokenizer(np.array("the")).tolist() == [the]
    assert tokenizer("the".encode()).tolist() == [the]
    assert tokenizer(b"a\xff.").tolist() == tokenizer("a.").tolist()
    assert tokenizer(("the", b"a a")) == [[the], [a, a]]
    objects = np.array([["the"], [b"a"]], dtype=object)
    assert tokenizer(objects) == [[[the]], [[a]]]
    assert tokenizer([]) == []
    assert tokenizer.detokenize(np.array([[the, a], [a, a]])) == [
        "the a",
        "a a",
    ]
    assert tokenizer.detokenize(the) == "the"
    assert tokenizer.detokenize([(the,), np.array([a])]) == ["the", "a"]
    with pytest.raises(TypeError, match="type float: 1.5"):
        tokenizer.tokenize([["a"], [1.5]])
    with pytest.raises(TypeError, match="type dict"):
        tokenizer.tokenize({"text": "a"})
    with pytest.raises(TypeError, match="type float"):
        tokenizer.detokenize([1.0])


def test_tensors_of_strings(tokenizer):
    tf = pytest.importorskip("tensorflow")
    the, a = tokenizer.token_to_id("the"), tokenizer.token_to_id("a")
    assert tokenizer.tokenize(tf.constant("the")).tolist() == [the]
    ragged = tf.ragged.constant([["a"], ["the", "a"]])
    assert tokenizer.tokenize(ragged) == [[[a]], [[the], [a]]]
    listed = [tf.constant("a"), tf.constant("the")]
    assert tokenizer.tokenize(listed) == [[a], [the]]


# In TensorFlow graphs.


def test_tf_data_gives_the_same_ids(golden):
    tf = pytest.importorskip("tensorflow")
    tokenizer = ElectraTokenizer(str(golden / "vocab.txt"), lowercase=True)
    rows = rows_of(golden, "own")
    texts = [row["text"] for row in rows if row["text"].isprintable()]
    expected = tokenizer(texts)
    data = tf.data.Dataset.from_tensor_slices(texts)
    singly = [ids.numpy().tolist() for ids in data.map(tokenizer)]
    assert singly == expected
    batched = [ids.to_list() for ids in data.batch(7).map(tokenizer)]
    assert sum(batched, []) == expected


def test_tf_data_with_sequence_length():
    tf = pytest.importorskip("tensorflow")
    tokenizer = ElectraTokenizer(VOCABULARY, sequence_length=3)
    data = tf.data.Dataset.from_tensor_slices(["a", "the a . the"])
    expected = tokenizer(["a", "the a . the"])
    assert data.map(tokenizer).element_spec.shape == (3,)
    [batch] = data.batch(2, drop_remainder=True).map(tokenizer)
    np.testing.assert_array_equal(batch, expected)
    assert tokenizer(tf.constant("a")).tolist() == expected[0].tolist()


# Saving.


def test_preset_round_trip(tmp_path):
    settings = {
        "lowercase": True,
        "strip_accents": False,
        "split_on_cjk": False,
        "special_tokens_in_strings": True,
        "sequence_length": 4,
    }
    tokenizer = ElectraTokenizer(VOCABULARY, **settings)
    backbone = ElectraBackbone(
        vocabulary_size=len(VOCABULARY),
        num_layers=1,
        num_heads=1,
        hidden_dim=2,
        embedding_dim=2,
        intermediate_dim=2,
        max_sequence_length=4,
    )
    backbone.save_to_preset(tmp_path)
    tokenizer.save_to_preset(tmp_path)
    saved = tmp_path / "assets" / "tokenizer" / "vocabulary.txt"
    assert saved.read_text(encoding="utf-8").split() == VOCABULARY
    for cls in (ElectraTokenizer, keras_hub.tokenizers.Tokenizer):
        loaded = cls.from_preset(str(tmp_path))
        assert type(loaded) is ElectraTokenizer
        assert loaded.get_vocabulary() == VOCABULARY
        assert loaded.fingerprint() == tokenizer.fingerprint()
        assert loaded.mask_token_id == 1
        config = loaded.get_config()
        assert {name: config[name] for name in settings} == settings
        np.testing.assert_array_equal(
            loaded("É中 [MASK]"), tokenizer("É中 [MASK]")
        )


def test_keras_file_round_trip(tmp_path, tokenizer):
    config = keras.saving.serialize_keras_object(tokenizer)
    loaded = keras.saving.deserialize_keras_object(config)
    with pytest.raises(ValueError, match="no vocabulary yet"):
        loaded.tokenize("a")
    tokenizer.save_assets(str(tmp_path))
    loaded.load_assets(str(tmp_path))
    assert loaded.fingerprint() == tokenizer.fingerprint()


def test_config_must_not_name_a_file(tokenizer, golden):
    config = tokenizer.get_config()
    config["vocabulary"] = str(golden / "vocab.txt")
    with pytest.raises(ValueError, match="must not name a vocabulary file"):
        ElectraTokenizer.from_config(config)


def test_pickle_leaves_memories_behind(tokenizer):
    empty = len(pickle.dumps(tokenizer))
    tokenizer("the chef cooked " + " ".join(map(str, range(1000))))
    data = pickle.dumps(tokenizer)
    assert len(data) == empty
    assert pickle.loads(data)("the chef").tolist() == [3, 4]


def test_works_in_another_process(tokenizer):
    texts = ["the chef", "cooked"]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        [ids] = pool.map(tokenizer.encode_batch, [texts])
    assert ids == tokenizer.encode_batch(texts)


def test_fingerprint_tells_tokenizers_apart():
    variants = [
        ElectraTokenizer(VOCABULARY),
        ElectraTokenizer(VOCABULARY, lowercase=True),
        ElectraTokenizer(VOCABULARY, lowercase=True, strip_accents=False),
        ElectraTokenizer(VOCABULARY, split_on_cjk=False),
        ElectraTokenizer(VOCABULARY, special_tokens_in_strings=True),
        ElectraTokenizer(VOCABULARY + ["new"]),
    ]
    assert len({t.fingerprint() for t in variants}) == len(variants)
    # What does not change ids does not count.
    same = ElectraTokenizer(VOCABULARY, strip_accents=False, sequence_length=3)
    assert same.fingerprint() == variants[0].fingerprint()
    assert len(same.fingerprint()) == 16


# Errors.


def test_errors_of_inputs(tokenizer):
    with pytest.raises(TypeError, match="type int: 3"):
        tokenizer.tokenize(["a", 3])
    with pytest.raises(TypeError, match="type NoneType"):
        tokenizer.tokenize(None)
    with pytest.raises(TypeError, match="put it in a list"):
        tokenizer.encode_batch("a")
    with pytest.raises(TypeError, match="type bytes"):
        tokenizer.encode_with_offsets([b"a"])
    with pytest.raises(ValueError, match=r"range \[0, 23\].*id=-1"):
        tokenizer.id_to_token(-1)
    with pytest.raises(ValueError, match="no token 'dog'"):
        tokenizer.token_to_id("dog")
    with pytest.raises(TypeError, match="integer token ids"):
        tokenizer.detokenize("abc")


def test_errors_of_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"lacks .* \[MASK\].*1 entries"):
        ElectraTokenizer(["[PAD]"])
    with pytest.raises(ValueError, match="more than once: 'the'"):
        ElectraTokenizer(VOCABULARY + ["the"])
    with pytest.raises(FileNotFoundError, match="no vocabulary file"):
        ElectraTokenizer(str(tmp_path / "missing.txt"))
    with pytest.raises(ValueError, match="dtype='float32'"):
        ElectraTokenizer(VOCABULARY, dtype="float32")
    with pytest.raises(ValueError, match="no vocabulary yet"):
        ElectraTokenizer().get_vocabulary()
