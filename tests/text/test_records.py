"""Records: hand-made examples there and back."""

import numpy as np
import pytest

from keras_electra.text.packing import Example
from keras_electra.text.records import decode_records
from keras_electra.text.records import encode_record
from keras_electra.text.records import record_dtype


def example(first, second):
    return Example(np.array(first, "int32"), np.array(second, "int32"))


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_records_by_hand(dtype):
    records = [
        encode_record(example([7], [9]), 2, 3, dtype),
        encode_record(example([8], []), 2, 3, dtype),
        encode_record(example([6, 6, 6, 6], []), 2, 3, dtype),
    ]
    assert np.frombuffer(records[0], dtype).tolist() == [3, 2, 7, 3, 9, 3]
    batch = decode_records(records, dtype, 6, pad_token_id=1)
    expected = {
        "token_ids": [
            [2, 7, 3, 9, 3, 1],
            [2, 8, 3, 1, 1, 1],
            [2, 6, 6, 6, 6, 3],
        ],
        "segment_ids": [[0, 0, 0, 1, 1, 0], [0] * 6, [0] * 6],
        "padding_mask": [[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0], [1] * 6],
    }
    assert list(batch) == list(expected)
    for key, value in expected.items():
        assert batch[key].dtype == "int32"
        assert batch[key].tolist() == value


def test_too_long_a_record_is_refused():
    record = encode_record(example([7, 7], [9]), 2, 3, "uint16")
    with pytest.raises(ValueError, match="has 6 tokens, more than .*=5"):
        decode_records([record], "uint16", 5)


def test_dtype():
    assert record_dtype(2**16, 128) == "uint16"
    assert record_dtype(2**16 + 1, 128) == "uint32"
    assert record_dtype(100, 2**16) == "uint32"
    assert record_dtype(2**31, 128) == "uint32"
    with pytest.raises(ValueError, match="2147483649 tokens.*smaller"):
        record_dtype(2**31 + 1, 128)
