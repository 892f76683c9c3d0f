"""The original's rules as a pipeline, offsets, and memories."""

import hashlib
import json
import unicodedata

import pytest

from keras_electra.text import pipeline as module
from keras_electra.text.pipeline import SPECIAL_TOKENS
from keras_electra.text.pipeline import Pipeline
from keras_electra.text.pipeline import is_dropped
from keras_electra.text.pipeline import original_tokenizer
from keras_electra.text.pipeline import split_at_spaces
from keras_electra.text.pipeline import word_splitter

SETTINGS = {
    "lower_strip": (True, None),
    "lower_nostrip": (True, False),
    "cased": (False, None),
}
TOKENS = [*SPECIAL_TOKENS, *"un ##aff ##able a ##a u x [ ]".split()]


def splitter(*settings):
    """Words as the whole pipeline makes them."""
    pipeline = Pipeline(original_tokenizer(SPECIAL_TOKENS, *settings).to_str())
    steps = pipeline._memory(False).tokenizer
    return lambda text: [
        word
        for word, _ in steps.pre_tokenizer.pre_tokenize_str(
            steps.normalizer.normalize_str(text)
        )
    ]


@pytest.mark.parametrize("setting", SETTINGS)
def test_words_of_the_original(golden, setting):
    path = golden / "tokenization_own_vocab.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    split = splitter(*SETTINGS[setting])
    for row in rows:
        text = row["text"].encode("utf-8", "ignore").decode()
        assert split(text) == row[setting]["basic"]


@pytest.mark.parametrize("make", [splitter, word_splitter])
def test_rules_one_by_one(make):
    def split(text, *settings):
        return make(*settings)(text)

    assert split("a\tb\u00a0c\u3000d\u2028e") == ["a", "b", "c", "d", "e"]
    assert split("a\x00b\x0bc\u200bd\x85e\ufffdf") == ["abcdef"]
    assert split("!a-b/c:d@e[f`g{h~i_j 0x9") == list("!a-b/c:d@e[f`g{h~i_j") + [
        "0x9"
    ]
    assert split("a-b^`c$") == ["a", "-", "b", "^", "`", "c", "$"]
    assert split("«a»…") == ["«", "a", "»", "…"]
    # Symbols beyond ASCII are no punctuation.
    assert split("a€b") == ["a€b"]
    assert split("\u4e00\u4e01b\u3042\u3044") == ["一", "丁", "bあい"]
    assert split("\u4e00\u4e01b", False, None, False) == ["一丁b"]
    # A block that the package does not take for CJK.
    assert split("a\U0002b820b") == ["a", "\U0002b820", "b"]
    assert split("a\U0002b820b", False, None, False) == ["a\U0002b820b"]
    assert split("ÀÉ", True) == ["ae"]
    assert split("ÀÉ", True, False) == ["àé"]
    assert split("ÀÉ", False, True) == ["AE"]
    # The final sigma depends on its neighbours, sharp s is not folded.
    assert split("ΟΔΟΣ. ΣΑΣ Σ'Α", True) == ["οδος", ".", "σας", "σ", "'", "α"]
    assert split("Straße", True) == ["straße"]
    # Characters that changed their category after Unicode 11.0, or came with
    # 9.0 and later.
    assert split("a\u166db") == ["a", "\u166d", "b"]
    assert split("a\u1734b\ua9bdc", True) == ["ab\ua9bdc"]
    assert split("a\u2e44b\u08d4c", True) == ["a", "\u2e44", "bc"]


def test_younger_characters_are_dropped_unless_known():
    shoes, star = "\U0001fa70", "\U0001fa8e"  # of Unicode 12 and 15
    assert splitter()(f"a{shoes}b") == ["ab"]
    assert word_splitter()(f"a{shoes}b") == [f"a{shoes}b"]
    tokens = [*SPECIAL_TOKENS, shoes, "a", "##b"]
    [ids] = Pipeline(original_tokenizer(tokens).to_str()).encode(
        [f"a{star}b {shoes}{star}"]
    )
    assert ids == [6, 7, 5]


def test_known_characters_are_dropped():
    dropped = [0, 0x0B, 0x1F, 0x7F, 0x9F, 0xAD, 0x378, 0x200B, 0xD800, 0xE000]
    # Unassigned in 11.0, assigned since.
    dropped += [0x9FFF, 0x4DBF, 0x1FA70, 0x30000, 0xFFFD, 0x10FFFF]
    kept = [0x09, 0x0A, 0x0D, 0x20, 0x41, 0xA0, 0xAE, 0x2028, 0x3000, 0x4E00]
    # Came with 11.0.
    kept += [0x9FEF, 0x1F970, 0xFFFC]
    assert all(map(is_dropped, dropped))
    assert not any(map(is_dropped, kept))


def test_table_of_dropped_characters():
    marks = list(map(is_dropped, range(0x110000)))
    # 137,374 graphic and format characters is the published size of Unicode
    # 11.0; 152 of them are of the category Cf, and U+FFFD is dropped. Tab,
    # line feed and carriage return come on top.
    assert marks.count(False) == 137374 - 152 - 1 + 3
    for code, is_marked in enumerate(marks):
        category = unicodedata.category(chr(code))
        if category.startswith("C") and chr(code) not in "\t\n\r":
            assert is_marked, hex(code)
    bits = "".join(str(int(mark)) for mark in marks)
    digest = hashlib.sha256(bits.encode()).hexdigest()
    assert digest[:16] == "87b44a722043725e"


def test_splitting_at_spaces_changes_no_words():
    split = splitter(True)
    texts = [
        "a b\u2028c\u3000d\x85e f",
        "a\x0bb c\x1cd",
        "ΟΔΟΣ ΣΑ\u0301Σ\u00a0b",
    ]
    for text in texts:
        assert sum(map(split, split_at_spaces(text)), []) == split(text)


@pytest.fixture
def pipeline():
    return Pipeline(original_tokenizer(TOKENS).to_str())


def encode(pipeline, text, *special):
    """Ids, the same in all ways."""
    [ids] = pipeline.encode([text], *special)
    [same], [offsets] = pipeline.encode_with_offsets([text], *special)
    assert same == ids and len(offsets) == len(ids)
    return ids, offsets


def test_longest_piece_first(pipeline):
    assert encode(pipeline, "unaffable a")[0] == [5, 6, 7, 8]
    # A word is unknown as a whole, even if its start is known.
    assert encode(pipeline, "una unz")[0] == [5, 9, 1]
    assert pipeline.encode(["", " \n"]) == [[], []]


def test_long_words_are_unknown(pipeline):
    assert pipeline.encode(["a" * 200]) == [[8] + [9] * 199]
    assert encode(pipeline, "a" * 201) == ([1], [(0, 201)])


def test_offsets(pipeline):
    ids, offsets = encode(pipeline, "  unaffable\nunz a")
    assert ids == [5, 6, 7, 1, 8]
    assert offsets == [(2, 4), (4, 7), (7, 11), (12, 15), (16, 17)]


def test_special_tokens(pipeline):
    assert encode(pipeline, "a[MASK]a")[0] == [8, 12, 1, 13, 8]
    found = ([8, 4, 8], [(0, 1), (2, 8), (8, 9)])
    assert encode(pipeline, "a [MASK]a", True) == found
    # What is dropped makes none.
    assert encode(pipeline, "[MA\x0bSK]", True)[0] == [12, 1, 13]


def test_lone_surrogates_are_dropped(pipeline):
    assert encode(pipeline, "a\ud800a") == ([8, 9], [(0, 1), (2, 3)])
    assert word_splitter()("a\udfffa") == ["aa"]


def test_full_memories_are_emptied(pipeline, monkeypatch):
    monkeypatch.setattr(module, "MEMORY_SIZE", 3)
    texts = ["a u x un unaffable [ ]"] * 3
    assert pipeline.encode(texts) == [[8, 10, 11, 5, 5, 6, 7, 12, 13]] * 3
    assert len(pipeline._memory(False)) <= 3
    pipeline._memory(False).clear()
    assert pipeline.encode(["a" * 100]) == [[8] + [9] * 99]
    assert not pipeline._memory(False)  # long parts are not kept


def test_join(pipeline):
    assert pipeline.join(["un", "##aff", "##able", "a"]) == "unaffable a"
    assert pipeline.join(["##a", "a", "."]) == "##a a ."
    assert pipeline.join([]) == ""


def test_its_own_file_is_recognized(pipeline):
    again = Pipeline(pipeline._memory(False).tokenizer.to_str())
    assert again.is_original and again.settings == pipeline.settings
    assert again.fingerprint(False) == pipeline.fingerprint(False)
    assert pipeline.adjust(lowercase=None, split_on_cjk=True) is pipeline
    lower = pipeline.adjust(lowercase=True)
    assert lower.is_original and lower.encode(["A"]) == [[8]]
    with pytest.raises(ValueError, match="no tokenizer.json"):
        Pipeline("{}")
