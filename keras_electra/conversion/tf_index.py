"""The index file of a TensorFlow checkpoint.

It is a LevelDB table: pairs of keys and values in blocks, sorted, each key
storing only what differs from the one before; then a block that lists the
blocks, and a footer that says where that one is. The values are protocol
buffers of TensorFlow's `tensor_bundle.proto`, few and small enough to be
taken apart by hand.
"""

import dataclasses

from keras_electra.conversion import crc32c

_FOOTER_SIZE = 48  # bytes
_MAGIC = 0xDB4775248B80FB57  # the last eight bytes of every table


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a tensor lies (BundleEntryProto)."""

    dtype: int  # number of types.proto
    shape: tuple
    shard: int
    offset: int  # bytes into the shard
    size: int  # bytes
    checksum: int  # masked
    sliced: bool  # stored in parts by a partitioned variable


def read_index(path):
    """Reads an index file.

    Args:
        path: `pathlib.Path` of the `.index` file.

    Returns:
        A dict from tensor name to `Entry`, and the number of data files.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, cut off, or no index.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"There is no TensorFlow checkpoint here: {path} does not exist. "
            "Expected the prefix of a `.index` file, or its folder."
        )
    data = path.read_bytes()
    magic = int.from_bytes(data[-8:], "little")
    if len(data) < _FOOTER_SIZE or magic != _MAGIC:
        raise ValueError(
            f"{path} is not the index of a TensorFlow checkpoint, or it is "
            f"cut off ({len(data)} bytes; the mark at its end is missing)."
        )
    try:
        footer = data[-_FOOTER_SIZE:]
        position = 0
        for _ in range(2):  # the block of meta data is not needed
            position = _varint(footer, position)[1]
        items = {}
        for _, handle in _block(data, footer, position):
            items.update(_block(data, handle, 0))
        header = _fields(items.pop(b""))
        if header.get(2, [0])[0]:
            raise ValueError("it was written on a big-endian machine")
        entries = {
            key.decode(): _parse_entry(value)
            for key, value in items.items()
            if not key.startswith(b"\0")  # the parts of sliced tensors
        }
        return entries, header.get(1, [1])[0]
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(
            f"The index {path} cannot be read: {error}. Copy or download the "
            "checkpoint again."
        ) from error


def _block(data, handle, position):
    """(key, value) pairs of the block that `handle` points to."""
    offset, position = _varint(handle, position)
    size, _ = _varint(handle, position)
    block = data[offset : offset + size]
    trailer = data[offset + size : offset + size + 5]
    if len(trailer) < 5:
        raise ValueError("a block lies beyond the end of the file")
    stored = int.from_bytes(trailer[1:], "little")
    if crc32c.unmask(stored) != crc32c.crc32c(block + trailer[:1]):
        raise ValueError("a block does not match its checksum")
    if trailer[0]:
        raise ValueError(
            f"a block is compressed (kind {trailer[0]}; 1 is snappy), which "
            "TensorFlow's own writer never does"
        )
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    pairs, key, position = [], b"", 0
    while position < end:
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        pairs.append((key, block[position : position + length]))
        position += length
    return pairs


def _parse_entry(data):
    fields = _fields(data)
    dims = _fields(fields.get(2, [b""])[0]).get(2, [])
    return Entry(
        dtype=fields.get(1, [0])[0],
        shape=tuple(_fields(dim).get(1, [0])[0] for dim in dims),
        shard=fields.get(3, [0])[0],
        offset=fields.get(4, [0])[0],
        size=fields.get(5, [0])[0],
        checksum=fields.get(6, [0])[0],
        sliced=7 in fields,
    )


def _fields(data):
    """A protocol buffer as {field number: [values]}, nothing interpreted."""
    fields, position = {}, 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = _varint(data, position)
        elif kind == 2:
            size, position = _varint(data, position)
            value, position = data[position : position + size], position + size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value = int.from_bytes(data[position : position + size], "little")
            position += size
        else:
            raise ValueError(f"a record has a field of unknown kind {kind}")
        fields.setdefault(number, []).append(value)
    return fields


def _varint(data, position):
    """(value, next position) of a base-128 number."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
