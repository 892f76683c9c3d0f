import numpy as np
import pytest

from keras_electra.tasks.texts import check_text_columns


def test_texts_and_pairs():
    check_text_columns(["a", b"b"])
    check_text_columns(np.array(["a", "b"], object))
    check_text_columns((["a"], ["b"]))


@pytest.mark.parametrize(
    "x, error, message",
    [
        (["a", ""], ValueError, "not empty. Entry 1 is ''. Leave"),
        ((["a"], ["  "]), ValueError, "Entry 0 is '  '"),
        (["a", None], TypeError, "strings. Entry 1 is None of type NoneType"),
        ([["a"]], TypeError, "Entry 0"),
        ((["a"], ["b", "c"]), ValueError, r"as many first.*\[1, 2\]"),
    ],
)
def test_bad_texts(x, error, message):
    with pytest.raises(error, match=message):
        check_text_columns(x)
