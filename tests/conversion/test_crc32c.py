"""The checksum against published values and the plain definition."""

import numpy as np
import pytest

from keras_electra.conversion.crc32c import crc32c
from keras_electra.conversion.crc32c import unmask


def by_definition(data):
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"", 0),
        (b"123456789", 0xE3069283),  # the check value of CRC-32C
        (bytes(32), 0x8A9136AA),  # the others: RFC 3720, appendix B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_values(data, expected):
    assert crc32c(data) == expected


@pytest.mark.parametrize("size", [1, 3, 4, 5, 63, 64, 65, 255, 1000, 4097])
def test_every_way_of_cutting(size):
    rng = np.random.default_rng(size)
    data = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
    assert crc32c(data) == by_definition(data)


def test_unmask_undoes_leveldbs_mask():
    value = crc32c(b"foo")
    masked = ((value >> 15) | (value << 17)) + 0xA282EAD8 & 0xFFFFFFFF
    assert masked != value
    assert unmask(masked) == value
