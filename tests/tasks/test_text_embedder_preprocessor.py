from keras_electra.tasks.text_embedder_preprocessor import (
    ElectraTextEmbedderPreprocessor,
)
from tests import checks


def test_rows_and_groups():
    preprocess = ElectraTextEmbedderPreprocessor(
        checks.tiny_tokenizer(), sequence_length=4
    )
    x = preprocess(["the chef", "a"])
    assert x["token_ids"].tolist() == [[2, 5, 6, 3], [2, 12, 3, 0]]
    x, y = preprocess(["the chef", "a"], [4, 4])
    assert y.tolist() == [4, 4]
    # Pairs become neighbours of one group.
    x, y = preprocess((["the", "a"], ["chef", "meal"]), y=None)
    assert x["token_ids"][:, 1].tolist() == [5, 6, 12, 10]
    assert y.tolist() == [0, 0, 1, 1]
    _, _, weights = preprocess((["the"], ["a"]), None, [0.5])
    assert weights.tolist() == [0.5, 0.5]
