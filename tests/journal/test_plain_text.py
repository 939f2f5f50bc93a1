"""What stands on a screen is printable, and two different values never look the same."""

from __future__ import annotations

import json
import random
import sys
import unicodedata

from statevec.journal.decode import plain_value
from statevec.journal.plain_text import bytes_text, json_text, line_text, value_text

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
PIECES = ["a", "\\", "x", "1", "b", "u", "é", "\x1b", "\x9b", "\x7f", "\n", "\t", "\u202e", "\u2028", "\U000e0001", "0"]


def test_every_character_that_a_terminal_could_obey_is_escaped() -> None:
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) in HIDDEN:
            assert line_text(chr(code)).isascii()
            assert line_text(chr(code)).startswith("\\")


def test_what_is_printable_stays() -> None:
    for text in ("Zürich — 日本語 →", "C:\\new", "שלום", "🙂"):
        assert line_text(text) == text


def test_escapes_name_the_character() -> None:
    assert line_text("\x1b[2J\x9b\n\u202e\U000e0001") == "\\x1b[2J\\x9b\\x0a\\u202e\\U000e0001"
    assert value_text("\\x1b\x1b") == "\\\\x1b\\x1b"
    assert bytes_text(b"caf\xc3\xa9\xff\\xff\0\0") == "café\\xff\\\\xff"


def test_two_different_values_are_two_different_texts() -> None:
    seed = random.randrange(1 << 30)
    print(f"seed={seed}")
    source = random.Random(seed)
    texts = {"".join(source.choices(PIECES, k=source.randrange(8))) for _ in range(20_000)}
    assert len({value_text(text) for text in texts}) == len(texts)
    assert len({line_text(plain_value(text)) for text in texts}) == len(texts)
    pieces = [b"\xff", b"\xc3", b"\xa9", b"\\", b"x", b"f", b"\x1b", b"1", b"b"]
    contents = {b"".join(source.choices(pieces, k=source.randrange(8))) for _ in range(20_000)}
    assert len({line_text(bytes_text(content)) for content in contents}) == len(contents)


def test_json_stays_the_same_json() -> None:
    values = {"text": "".join(PIECES) + "\ud83d", "more": "🙂\U000e0001"}
    written = json_text(json.dumps(values, ensure_ascii=False, indent=1))
    assert json.loads(written) == values
    assert written.replace("\n", "").isprintable()
    assert "🙂" in written
