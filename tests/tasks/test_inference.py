import keras
import pytest

from keras_electra.tasks import inference
from tests import checks


def test_few_lengths():
    sizes = (2, 17, 24, 25, 64, 65)
    lengths = [inference.round_up(size, limit=90) for size in sizes]
    exact = [2, 17, 24, 25, 64, 65]
    rounded = [8, 24, 24, 32, 64, 90]
    on_torch = keras.config.backend() == "torch"
    assert lengths == (exact if on_torch else rounded)
    assert inference.round_up(91, limit=90) == 90
    assert [inference.round_up(n, 10, shortest=1) for n in (1, 2, 3)] == (
        [1, 2, 3]
    )


def test_texts_of_a_length_go_together():
    columns = (["aaa", "a", "", "aa"], ["", "bbbb", "b", ""])
    assert inference.batches_by_length(columns, 3) == [[1, 0, 3], [2]]


def test_rows_have_special_tokens_and_padding():
    x = inference.pack_rows([[5, 6], []], checks.tiny_tokenizer(), length=5)
    assert x["token_ids"].tolist() == [[2, 5, 6, 3, 0], [2, 3, 0, 0, 0]]
    assert x["padding_mask"].tolist() == [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]
    assert x["segment_ids"].tolist() == [[0] * 5] * 2


def test_one_text_or_several():
    assert inference.check_texts("a", "detect") == (["a"], True)
    assert inference.check_texts(("a", "b"), "detect") == (["a", "b"], False)
    with pytest.raises(TypeError, match="`detect` takes.*dict"):
        inference.check_texts({"a": 1}, "detect")
