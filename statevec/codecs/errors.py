"""The errors of the SBE codec. Every one is an `SbeError`; its text says the rule and the values.

`SchemaError` is about the schema's XML (file, line, rule); `DecodeError` about bytes that came; `EncodeError` about
values that were given. The latter two know message, field path and offset, as far as there is one.
"""

from __future__ import annotations

from collections.abc import Iterable


class SbeError(Exception):
    """Anything that the SBE codec refuses."""


class SchemaError(SbeError):
    """A schema that breaks a rule of SBE."""

    def __init__(self, rule: str, file: str = "", line: int = 0) -> None:
        self.rule = rule
        self.file = file
        self.line = line
        place = f"{file}:{line}" if line else file
        super().__init__(f"{place}: {rule}" if file else rule)


class MessageError(SbeError):
    """Something about one message. `path` is the field's, dotted; `offset` is the field's in its block, or in
    the buffer for what has no fixed place: header, block, group, data.
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
    """The buffer ends before what the message announces: header, block, entries of a group, bytes of data."""


class UnknownTemplateError(DecodeError):
    """The schema has no message with that template id."""


class WrongSchemaError(DecodeError):
    """The header names another schema."""


class BlockLengthError(DecodeError):
    """The block is shorter than the fields that its version must have."""


class GroupCountError(DecodeError):
    """A group with more or fewer entries than its schema allows, or than its bytes can hold."""


class DataLengthError(DecodeError):
    """Variable data longer than its schema allows."""


class FrameLengthError(DecodeError):
    """The message is shorter or longer than the frame that it came in."""


class UnskippableError(DecodeError):
    """A newer message whose additions this schema's version cannot skip."""


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


def no_such_field(known: Iterable[str], message: str, path: str) -> UnknownFieldError:
    """The error for a field at `path` that is none of those that are `known` there."""
    return UnknownFieldError(f"there is no such field (fields: {', '.join(known)})", message, path)


class UnknownMessageError(EncodeError):
    """The schema has no message of that name."""


class ReadOnlyError(EncodeError):
    """Assignment through a view of a buffer that cannot be written."""


class TooManyEntriesError(EncodeError):
    """More or fewer entries than the group's count may say."""


class OrderError(EncodeError):
    """Groups and data written in another order than the schema's, or into an entry that is closed."""


class NoSpaceError(EncodeError):
    """The buffer has no room for what is to be written."""
