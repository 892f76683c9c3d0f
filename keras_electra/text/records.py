"""Examples <-> the bytes they are stored as <-> padded batches.

A record is the length of the first segment, then the token ids with the
special tokens in place, without padding. All numbers are unsigned, of two
bytes where vocabulary and length allow it and of four otherwise.
"""

import numpy as np

# Batches are int32, so no id can be beyond it.
LARGEST_VOCABULARY = 2**31


def record_dtype(vocabulary_size, sequence_length):
    """Choose the type of the numbers in a record.

    Args:
        vocabulary_size: int, tokens.
        sequence_length: int, tokens.

    Returns:
        `"uint16"` or `"uint32"`.

    Raises:
        ValueError: if token ids would not fit in int32.
    """
    if vocabulary_size > LARGEST_VOCABULARY:
        raise ValueError(
            f"The tokenizer has {vocabulary_size} tokens, but ids are stored "
            f"and fed as 32-bit integers: {LARGEST_VOCABULARY} tokens at "
            "most. Use a smaller vocabulary."
        )
    is_small = max(vocabulary_size, sequence_length + 1) <= 2**16
    return "uint16" if is_small else "uint32"


def encode_record(example, cls_token_id, sep_token_id, dtype):
    """Put special tokens around the segments and make a record of them.

    Worked example with `[CLS]` 2 and `[SEP]` 3: the segments `[7]` and `[9]`
    become the numbers `3 | 2 7 3 9 3`.

    Args:
        example: `packing.Example`.
        cls_token_id: int.
        sep_token_id: int.
        dtype: str, as `record_dtype` returns it.

    Returns:
        bytes.
    """
    first, second = example
    end = len(first) + 3  # of the first segment, header included
    record = np.empty(end + len(second) + bool(len(second)), dtype)
    record[0] = end - 1
    record[1] = cls_token_id
    record[2 : end - 1] = first
    record[end - 1] = sep_token_id
    if len(second):
        record[end:-1] = second
        record[-1] = sep_token_id
    return record.tobytes()


def decode_records(records, dtype, sequence_length, pad_token_id=0):
    """Make a padded batch of records.

    Worked example with length 6: the records `3 | 2 7 3 9 3` and `3 | 2 8 3`
    give token ids `[[2, 7, 3, 9, 3, 0], [2, 8, 3, 0, 0, 0]]`, segment ids
    `[[0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]]` and padding masks
    `[[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]]`.

    Args:
        records: list of bytes, as `encode_record` returns them.
        dtype: str. What they were encoded with.
        sequence_length: int, tokens.
        pad_token_id: int. Defaults to 0.

    Returns:
        Dict of int32 arrays `(records, sequence_length)`: `token_ids`,
        `segment_ids`, and `padding_mask` (1 = token, 0 = padding).

    Raises:
        ValueError: if a record is longer than `sequence_length`.
    """
    numbers = np.frombuffer(b"".join(records), dtype)
    sizes = [len(record) for record in records]
    sizes = np.array(sizes) // numbers.itemsize  # header included
    if np.max(sizes) > sequence_length + 1:
        raise ValueError(
            f"A stored example has {np.max(sizes) - 1} tokens, more than "
            f"sequence_length={sequence_length}. Its file is damaged."
        )
    headers = np.cumsum(sizes) - sizes
    lengths = sizes - 1
    first_lengths = numbers[headers].astype("int64")
    is_id = np.ones(len(numbers), bool)
    is_id[headers] = False

    positions = np.arange(sequence_length)
    is_token = positions < lengths[:, None]
    is_second = is_token & (positions >= first_lengths[:, None])
    token_ids = np.full(is_token.shape, pad_token_id, "int32")
    token_ids[is_token] = numbers[is_id]
    return {
        "token_ids": token_ids,
        "segment_ids": is_second.astype("int32"),
        "padding_mask": is_token.astype("int32"),
    }
