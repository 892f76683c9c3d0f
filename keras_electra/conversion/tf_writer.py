"""Writes TensorFlow checkpoints (`.index` + `.data-*`) without TensorFlow.

The counterpart of `tf_bundle.py`: one data file with the arrays one after
another, and a LevelDB table, uncompressed, that says where each one is.
"""

import pathlib

import numpy as np

from keras_electra.conversion import crc32c

DTYPES = {"float32": 1, "int32": 3, "int64": 9}  # of types.proto
BLOCK_SIZE = 4096  # bytes from which on a new block is begun
MAGIC = 0xDB4775248B80FB57
HANDLES_SIZE = 40  # bytes of the footer before the magic number


def write_checkpoint(prefix, arrays):
    """Writes a checkpoint, and the `checkpoint` file that names it.

    Args:
        prefix: path that the files share, such as `folder/model.ckpt`. The
            folder must exist.
        arrays: dict from name to array, of type float32, int32 or int64.
    """
    prefix = pathlib.Path(prefix)
    # Version 1 of the format, one data file, little-endian.
    pairs = [(b"", _field(1, 1) + _field(3, _field(1, 1)))]
    offset = 0
    with open(f"{prefix}.data-00000-of-00001", "wb") as file:
        for name in sorted(arrays):
            array = np.asarray(arrays[name])
            data = array.astype(array.dtype.newbyteorder("<")).tobytes()
            pairs.append((name.encode(), _entry(array, offset, data)))
            file.write(data)
            offset += len(data)
    pathlib.Path(f"{prefix}.index").write_bytes(_table(pairs))
    (prefix.parent / "checkpoint").write_text(
        f'model_checkpoint_path: "{prefix.name}"\n'
        f'all_model_checkpoint_paths: "{prefix.name}"\n'
    )


def _entry(array, offset, data):
    """A BundleEntryProto."""
    dims = b"".join(_field(2, _field(1, size)) for size in array.shape)
    checksum = crc32c.mask(crc32c.crc32c(data)).to_bytes(4, "little")
    return (
        _field(1, DTYPES[array.dtype.name])
        + _field(2, dims)
        + _field(4, offset)
        + _field(5, len(data))
        + _varint(6 << 3 | 5)
        + checksum
    )


def _table(pairs):
    """A LevelDB table of sorted pairs of keys and values."""
    table, index, waiting, size = b"", [], [], 0
    for pair in pairs:
        waiting.append(pair)
        size += len(pair[0]) + len(pair[1])
        if size >= BLOCK_SIZE or pair is pairs[-1]:
            block = _block(waiting)
            handle = _varint(len(table)) + _varint(len(block) - 5)
            index.append((pair[0], handle))
            table += block
            waiting, size = [], 0
    handles = b""
    for block in (_block([]), _block(index)):
        handles += _varint(len(table)) + _varint(len(block) - 5)
        table += block
    footer = handles.ljust(HANDLES_SIZE, b"\0")
    return table + footer + MAGIC.to_bytes(8, "little")


def _block(pairs):
    """Pairs, each with its whole key; where they start; a checksum."""
    block, starts = b"", []
    for key, value in pairs:
        starts.append(len(block))
        block += _varint(0) + _varint(len(key)) + _varint(len(value))
        block += key + value
    starts = starts or [0]
    for number in (*starts, len(starts)):
        block += number.to_bytes(4, "little")
    block += b"\0"  # not compressed
    checksum = crc32c.mask(crc32c.crc32c(block))
    return block + checksum.to_bytes(4, "little")


def _field(number, value):
    """A field of a protocol buffer: a number, or bytes."""
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    return _varint(number << 3) + _varint(value)


def _varint(value):
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])
