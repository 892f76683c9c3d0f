import pytest

from keras_electra.tasks.rows import split_windows


def test_short_texts_are_one_window():
    assert split_windows(0, 4) == []
    assert split_windows(3, 4) == [(0, 3, 0, 3)]
    assert split_windows(4, 4) == [(0, 4, 0, 4)]


def test_long_texts_overlap_by_half():
    assert split_windows(7, 4) == [(0, 4, 0, 3), (2, 6, 3, 4), (3, 7, 4, 7)]


@pytest.mark.parametrize("room", [1, 2, 5, 8])
def test_every_token_is_judged_once_and_read(room):
    for count in range(1, 40):
        windows = split_windows(count, room)
        judged = [i for w in windows for i in range(w.first, w.last)]
        assert judged == list(range(count))
        for start, stop, first, last in windows:
            assert 0 <= start <= first <= last <= stop <= count
            assert stop - start <= room
