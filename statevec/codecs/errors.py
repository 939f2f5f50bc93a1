"""The errors of the SBE codec. Every one is an `SbeError`; its text says the rule and the values.

`SchemaError` is about the schema's XML (file, line, rule); `DecodeError` about bytes that came; `EncodeError` about
values that were given. The latter two know message, field path and offset, as far as there is one.
"""

from __future__ import annotations


class SbeError(Exception):
    """Anything that the SBE codec refuses."""


class SchemaError(SbeError):
    """A schema that breaks a rule of SBE."""

    def __init__(self, rule: str, file: str = "", line: int = 0) -> None:
        self.rule = rule
        self.file = file
        self.line = line
        super().__init__(f"{file}:{line}: {rule}" if file else rule)


class MessageError(SbeError):
    """Something about one message. `path` is the field's, dotted; `offset` is the field's in the message's block, or
    the header's in the buffer.
    """

    def __init__(self, rule: str, message: str = "", path: str = "", offset: int | None = None) -> None:
        self.rule = rule
        self.message = message
        self.path = path
        self.offset = offset
        place = ".".join(each for each in (message, path) if each)
        where = f" offset={offset}" if offset is not None else ""
        super().__init__(f"{place}: {rule}{where}" if place else f"{rule}{where}")


class DecodeError(MessageError):
    """Bytes that are not a message of the schema."""


class TruncatedError(DecodeError):
    """The buffer ends before the header, or before the block that the header announces."""


class UnknownTemplateError(DecodeError):
    """The schema has no message with that template id."""


class WrongSchemaError(DecodeError):
    """The header names another schema."""


class BlockLengthError(DecodeError):
    """The block is shorter than the fields that its version must have."""


class UnknownEnumValueError(DecodeError):
    """An enum field holds a value that the schema does not list."""


class TextError(DecodeError):
    """Bytes of a text field that its character encoding does not know."""


class EncodeError(MessageError):
    """Values that do not make a message of the schema."""


class ValueRangeError(EncodeError):
    """A value outside its field's range, or null in a required field."""


class ValueTypeError(EncodeError):
    """A value of a type that the field cannot hold."""


class TextTooLongError(EncodeError):
    """Text, bytes or an array longer than its field."""


class MissingFieldError(EncodeError):
    """A required field without a value."""


class UnknownFieldError(EncodeError):
    """A value for a field that the message does not have."""


class UnknownMessageError(EncodeError):
    """The schema has no message of that name."""


class ReadOnlyError(EncodeError):
    """Assignment through a view of a buffer that cannot be written."""


class UnsupportedError(MessageError):
    """Groups and variable data: known to the layout, not yet read or written."""
