from keras import ops

from keras_electra.tasks.masked_lm_preprocessor import (
    ElectraMaskedLMPreprocessor,
)
from tests import checks


def test_every_token_masked():
    preprocess = ElectraMaskedLMPreprocessor(
        checks.tiny_tokenizer(),
        sequence_length=8,
        mask_selection_rate=1.0,
        mask_selection_length=3,
        mask_token_rate=1.0,
    )
    x, y, weights = preprocess(["the chef ate", "a"])
    read = {name: ops.convert_to_numpy(x[name]).tolist() for name in x}
    assert read["token_ids"] == [
        [2, 4, 4, 4, 3, 0, 0, 0],
        [2, 4, 3, 0, 0, 0, 0, 0],
    ]
    assert read["mask_positions"] == [[1, 2, 3], [1, 0, 0]]
    assert ops.convert_to_numpy(y).tolist() == [[5, 6, 9], [12, 0, 0]]
    assert ops.convert_to_numpy(weights).tolist() == [[1, 1, 1], [1, 0, 0]]


def test_masking_defaults_are_the_originals():
    preprocess = ElectraMaskedLMPreprocessor(checks.tiny_tokenizer())
    assert preprocess.mask_token_rate == 0.85
    assert preprocess.random_token_rate == 0.0
    assert preprocess.mask_selection_length == 79  # int(0.155 * 512)
    config = preprocess.get_config()
    again = ElectraMaskedLMPreprocessor.from_config(config)
    assert again.mask_selection_length == 79
