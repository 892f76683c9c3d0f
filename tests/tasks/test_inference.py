import pytest

from keras_electra.tasks import inference
from tests import checks


def test_few_lengths():
    lengths = [inference.round_up(size, limit=100) for size in (2, 17, 64, 65)]
    assert lengths == [16, 32, 64, 100]
    assert [inference.round_up(n, 10, shortest=1) for n in (1, 2, 3)] == (
        [1, 2, 4]
    )


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
