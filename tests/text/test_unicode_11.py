"""The fixed table of dropped characters."""

import hashlib
import unicodedata

from keras_electra.text.unicode_11 import is_dropped


def test_known_characters():
    dropped = [0, 0x0B, 0x1F, 0x7F, 0x9F, 0xAD, 0x378, 0x200B, 0xD800, 0xE000]
    # Unassigned in 11.0, assigned since.
    dropped += [0x9FFF, 0x4DBF, 0x1FA70, 0x30000, 0xFFFD, 0x10FFFF]
    kept = [0x09, 0x0A, 0x0D, 0x20, 0x41, 0xA0, 0xAE, 0x2028, 0x3000, 0x4E00]
    # Came with 11.0.
    kept += [0x9FEF, 0x1F970, 0xFFFC]
    assert all(map(is_dropped, dropped))
    assert not any(map(is_dropped, kept))


def test_number_of_characters_kept():
    kept = [code for code in range(0x110000) if not is_dropped(code)]
    # 137,374 graphic and format characters is the published size of Unicode
    # 11.0; 152 of them are of the category Cf, and U+FFFD is dropped. Tab,
    # line feed and carriage return come on top.
    assert len(kept) == 137374 - 152 - 1 + 3


def test_what_newer_tables_call_control_is_dropped():
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category.startswith("C") and chr(code) not in "\t\n\r":
            assert is_dropped(code), hex(code)


def test_table_is_fixed():
    bits = "".join(str(int(is_dropped(code))) for code in range(0x110000))
    digest = hashlib.sha256(bits.encode()).hexdigest()
    assert digest[:16] == "87b44a722043725e"
