from keras_electra.tasks.tagging_rows import original_rows
from keras_electra.tasks.tagging_rows import window_rows
from tests import checks

# the 5, chef 6, cook 7, ##ed 8, ate 9, meal 10
LONG = ["the", "cooked", "chef", "ate", "cooked", "meal"]


def test_every_word_is_judged_once():
    rows = window_rows([["the"], LONG], checks.tiny_tokenizer(), 6)
    assert rows[0].ids == [2, 5, 3]
    assert (rows[0].words, rows[0].positions) == ([0], [1])
    windows = rows[1:]
    assert [row.ids for row in windows] == [
        [2, 5, 7, 8, 6, 3],
        [2, 8, 6, 9, 7, 3],
        [2, 9, 7, 8, 10, 3],
    ]
    assert {row.sentence for row in windows} == {1}
    assert sum((row.words for row in windows), []) == list(range(6))
    pieces = [row.ids[place] for row in windows for place in row.positions]
    assert pieces == [5, 7, 6, 9, 7, 10]


def test_words_without_pieces():
    [row] = window_rows([["the", "\x01", "meal"]], checks.tiny_tokenizer(), 8)
    assert row.ids == [2, 5, 1, 10, 3]
    assert row.positions == [1, 2, 3]


def test_original_rows_lose_words():
    [row] = original_rows([LONG], checks.tiny_tokenizer(), 11)
    assert row.ids == [2, 5, 7, 8, 3]
    assert (row.words, row.positions) == ([0, 1], [1, 2])
