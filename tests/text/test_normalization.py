"""Words: the original's rules, and spans that point back."""

import json
import random

import pytest

from keras_electra.text.normalization import WordSplitter
from keras_electra.text.normalization import split_at_spaces

SETTINGS = {
    "lower_strip": (True, None),
    "lower_nostrip": (True, False),
    "cased": (False, None),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_words_of_the_original(golden, setting):
    path = golden / "tokenization_own_vocab.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    splitter = WordSplitter(*SETTINGS[setting])
    for row in rows:
        expected = row[setting]["basic"]
        assert splitter.split(row["text"]) == expected
        spans = splitter.split_with_spans(row["text"])
        assert [word for word, _ in spans] == expected


def test_rules_one_by_one():
    def split(text, *settings):
        return WordSplitter(*settings).split(text)

    assert split("a\tb\u00a0c\u3000d\u2028e") == ["a", "b", "c", "d", "e"]
    assert split("a\x00b\x0bc\u200bd\x85e\ufffdf") == ["abcdef"]
    assert split("a-b^`c$") == ["a", "-", "b", "^", "`", "c", "$"]
    assert split("«a»…") == ["«", "a", "»", "…"]
    # Symbols beyond ASCII are no punctuation.
    assert split("a€b") == ["a€b"]
    assert split("\u4e00\u4e01b\u3042\u3044") == ["一", "丁", "bあい"]
    assert split("\u4e00\u4e01b", False, None, False) == ["一丁b"]
    assert split("ÀÉ", True) == ["ae"]
    assert split("ÀÉ", True, False) == ["àé"]
    assert split("ÀÉ", False, True) == ["AE"]
    # The final sigma depends on its neighbours, sharp s is not folded.
    assert split("ΟΔΟΣ. ΣΑΣ", True) == ["οδος", ".", "σας"]
    assert split("Straße", True) == ["straße"]


def test_unicode_version_is_that_of_the_original():
    # U+1FA70 (ballet shoes) came with Unicode 12; the other three changed
    # their category since 11.
    assert WordSplitter().split("a\U0001fa70b") == ["ab"]
    assert WordSplitter().split("a\u166db") == ["a", "\u166d", "b"]
    assert WordSplitter(True).split("a\u1734b\ua9bdc") == ["ab\ua9bdc"]


def test_spans_point_into_the_text():
    splitter = WordSplitter(True)
    text = " É\u200ba\u0323\u0301! \u4e00"
    assert splitter.split_with_spans(text) == [
        ("ea", [(1, 2), (3, 6)]),
        ("!", [(6, 7)]),
        ("\u4e00", [(8, 9)]),
    ]
    # A mark without a letter before it belongs to nothing.
    assert splitter.split_with_spans("\u0301a") == [("a", [(1, 2)])]
    # Two letters from one.
    assert WordSplitter(True, False).split_with_spans("\u0130") == [
        ("i\u0307", [(0, 1), (0, 1)])
    ]


def test_both_ways_to_split_agree():
    pools = [
        [chr(code) for code in range(0x20, 0x250)],
        [chr(code) for code in range(0x300, 0x370)] + list("aE "),
        [chr(code) for code in range(0x900, 0x1200)],
        [chr(code) for code in range(0, 0x110000, 101)],
        list("Σσςİ.' \u0345\u3099\x0b\x1c\x85\u2028\u3000\u4e00"),
    ]
    draw = random.Random(0)
    for settings in SETTINGS.values():
        splitter = WordSplitter(*settings)
        for _ in range(500):
            pool = draw.choice(pools) + draw.choice(pools)
            text = "".join(draw.choices(pool, k=draw.randint(1, 25)))
            words = splitter.split(text)
            spans = splitter.split_with_spans(text)
            assert [word for word, _ in spans] == words
            assert [len(places) for _, places in spans] == list(map(len, words))
            parts = split_at_spaces(text)
            assert sum(map(splitter.split, parts), []) == words
