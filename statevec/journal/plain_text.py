r"""Text that producers, plugins and files wrote, as it may stand on an operator's screen.

    value_text    a value:  what is not printable as \xNN, \uNNNN or \UNNNNNNNN, a backslash doubled
    line_text     a line:   the same, but a backslash stays: for text whose values were written with `value_text` before
    json_text     JSON:     the same, as \uNNNN, which JSON knows; newlines between values stay
    bytes_text    bytes of a text field: UTF-8, without the zeros at the end; a byte that is none as \xNN

Printable is what Python says (`str.isprintable`): letters of every script stay as they are, while control characters,
marks that change the direction of writing, invisible characters, line and paragraph separators do not reach a terminal.

Invariant: two different values of `bytes_text` and `value_text` are two different texts, because a backslash of the
value is doubled.

Nothing here keeps state.
"""

from __future__ import annotations


def line_text(text: str) -> str:
    """The text in one line, what is not printable escaped."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def value_text(text: str) -> str:
    """A value's text, so that a reader can tell every two values apart."""
    return line_text(with_backslashes_doubled(text))


def with_backslashes_doubled(text: str) -> str:
    """The text, so that an escape that is put in later cannot be taken for a part of it."""
    return text.replace("\\", "\\\\")


def bytes_text(content: bytes) -> str:
    """Bytes of a text field, with backslashes doubled; control characters are still in it, for JSON to write."""
    return content.rstrip(b"\0").replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def json_text(text: str) -> str:
    """JSON that was encoded, with characters that JSON leaves as they are but a terminal obeys written as escapes."""
    return text if text.isprintable() else "".join(map(_escaped_in_json, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x1_0000 else f"\\U{code:08x}"


def _escaped_in_json(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
