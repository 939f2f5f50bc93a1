"""Views of the blocks of SBE messages in Python: attributes over the bytes where they lie, nothing copied.

`message_view` builds on them what a whole message has beyond its block.

    view = schema.decode(buffer)            # or: schema.view("Car")(buffer, offset), then view.wrap(other, offset)
    view.serialNumber, view.engine.capacity
    view.modelYear = 2013                   # where the buffer can be written; ranges are checked
    view.to_dict()                          # names for enums, lists for sets and arrays, None for null

Invariants
    A view holds buffer and offset only; `wrap` reuses one object for any number of messages.
    Reading never writes; writing checks the value first. `schema.decode` has checked that the block lies in the buffer;
    `struct` refuses to read outside of it in any case.

Values: integers and floats; enums as `IntEnum` members (a value that is not listed: an int); sets as `Choices`; text
as str up to the first NUL; arrays as tuples; composites as views; null as None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from mmap import mmap
from typing import Any, NoReturn

from statevec.codecs.accessors import BlockView, make_getter, make_setter
from statevec.codecs.block_decoder import absent_value, make_block_method
from statevec.codecs.errors import (
    EncodeError,
    MissingFieldError,
    ReadOnlyError,
    TextError,
    TextTooLongError,
    UnknownEnumValueError,
    ValueRangeError,
    ValueTypeError,
    no_such_field,
)
from statevec.codecs.field_codec import Dialect
from statevec.codecs.layout import LAST_VERSION, CompositeLayout, FieldLayout, attribute_name

COUNTED_IN_BYTES = (bytes, bytearray, mmap)


def as_bytes(buffer: Any) -> tuple[Any, int]:
    """The buffer in a form whose offsets count bytes, and its length in bytes."""
    if not isinstance(buffer, COUNTED_IN_BYTES):
        buffer = memoryview(buffer).cast("B")
    return buffer, len(buffer)


class SbeDialect(Dialect):
    """Values for people, refusals as `EncodeError`s with message and field path."""

    def __init__(self, message: str, path: str = "", base: int = 0) -> None:
        self.message = message
        self.path = path
        self.base = base

    def _where(self, field: FieldLayout) -> tuple[str, str, int]:
        return self.message, f"{self.path}{field.name}", self.base + field.offset

    def out_of_range(self, field: FieldLayout, value: Any, rule: str) -> NoReturn:
        kind: type[EncodeError] = ValueRangeError
        if rule.startswith("text too long"):
            kind = TextTooLongError
        raise kind(rule, *self._where(field))

    def wrong_type(self, field: FieldLayout, value: Any, rule: str) -> NoReturn:
        raise ValueTypeError(rule, *self._where(field))


class SbeView(BlockView):
    """What the views of messages and of composites share."""

    __slots__ = ()
    _message = ""
    _path = ""
    _base = 0

    def to_dict(self) -> dict[str, Any]:
        """The values by name: plain dicts, lists, numbers, text and None, ready for JSON."""
        raise NotImplementedError  # each class has its own, made for its fields: see `block_members`

    def to_tuple(self) -> tuple[Any, ...]:
        """The values of `to_dict` in the block's order, composites as tuples: faster where names are known."""
        raise NotImplementedError

    def _text_error(self) -> TextError:
        """Finds the field whose bytes are not text of its encoding."""
        for field in self._layouts:
            try:
                value = getattr(self, _attribute(field))
                if isinstance(value, SbeView):
                    value.to_dict()
            except TextError as error:
                return error
        return TextError("bytes that are not text of their field's encoding", self._message, self._path.rstrip("."))

    def verify(self) -> None:
        """Raise UnknownEnumValueError for an enum that holds what the schema does not list, null in a required field
        included. Reading alone passes such a value through as an integer.
        """
        for field in self._layouts:
            value = None if field.enum is None and field.composite is None else getattr(self, _attribute(field))
            if isinstance(value, SbeView):
                value.verify()
            elif isinstance(value, int) and not isinstance(value, IntEnum):
                path, offset = f"{self._path}{field.name}", self._base + field.offset
                raise UnknownEnumValueError(f"{field.type_name} has no value {value}", self._message, path, offset)

    def fill(self, values: Mapping[str, Any]) -> None:
        """Assign all fields from a mapping by name; an optional one may be missing and is then null."""
        names = {each.name for each in self._layouts}
        for name in values:
            if name not in names:
                raise no_such_field([each.name for each in self._layouts], self._message, f"{self._path}{name}")
        for field in self._layouts:
            self._fill_field(field, values)

    def _fill_field(self, field: FieldLayout, values: Mapping[str, Any]) -> None:
        path = f"{self._path}{field.name}"
        name = _attribute(field)
        if field.presence == "constant":
            expected: Any = getattr(self, name)
            names = (expected, expected.name if isinstance(expected, IntEnum) else expected)
            if values.get(field.name, expected) not in names:
                raise ValueRangeError(f"is constant: {expected!r}", self._message, path, self._base + field.offset)
        elif field.composite is not None:
            given = values.get(field.name)
            inner = {} if given is None else given
            if not isinstance(inner, Mapping):
                raise ValueTypeError(f"not a mapping: {given!r}", self._message, path, self._base + field.offset)
            getattr(self, name).fill(inner)
        elif field.name in values:
            setattr(self, name, values[field.name])
        elif field.presence == "optional":
            setattr(self, name, None)
        else:
            raise MissingFieldError("a required field without a value", self._message, path, self._base + field.offset)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SbeView) or (self._message, self._path) != (other._message, other._path):
            return False
        return self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # what it shows may change

    def __repr__(self) -> str:
        try:
            shown = self.to_dict()
        except TextError as error:
            return f"{self._name}({error})"
        values = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"{self._name}({values})"


TAKEN: frozenset[str] = frozenset(
    [
        *("block_dict", "block_tuple", "decoded_length", "empty_block", "fill", "header", "is_newer", "layout"),
        *("raw", "to_dict", "to_json", "to_tuple", "verify", "version", "wrap"),
    ]
)
"""What views themselves are asked for: fields of these names get an underscore behind them."""


def _attribute(field: FieldLayout) -> str:
    return attribute_name(field.name, TAKEN)


def _refuse(view: Any, field: FieldLayout) -> NoReturn:
    raise ReadOnlyError(
        "the buffer cannot be written", view._message, f"{view._path}{field.name}", view._base + field.offset
    )


def _guarded(getter: Callable[[Any], Any], field: FieldLayout) -> Callable[[Any], Any]:
    """A getter of text whose bad bytes end in a `TextError` with the field's path."""

    def get(view: Any) -> Any:
        try:
            return getter(view)
        except UnicodeDecodeError as error:
            raise TextError(
                f"bytes that are not {field.encoding}",
                view._message,
                f"{view._path}{field.name}",
                view._base + field.offset,
            ) from error

    return get


def _absent_property(field: FieldLayout) -> property:
    """Of a field that the message is too old to have: it reads as null, and nothing can be assigned."""
    value: Any = field.choices.choices_class(0) if field.choices is not None else absent_value(field)

    def assign(view: Any, given: Any) -> NoReturn:
        raise ReadOnlyError("the message's version does not have it", view._message, f"{view._path}{field.name}")

    return property(lambda view: value, assign)


def block_members(
    name: str, fields: tuple[FieldLayout, ...], message: str, path: str, base: int, version: int = LAST_VERSION
) -> dict[str, Any]:
    """What the class of a block's view is made of; the block is one of that version."""
    dialect = SbeDialect(message, path, base)
    members: dict[str, Any] = {
        "__slots__": (),
        "__module__": __name__,
        "_layouts": fields,
        "_name": name,
        "_message": message,
        "_path": path,
        "_base": base,
    }
    for name_of_method, named in (("dict", True), ("tuple", False)):
        made = make_block_method(fields, dialect, named, version)
        made.__doc__ = getattr(SbeView, f"to_{name_of_method}").__doc__
        members[f"to_{name_of_method}"] = members[f"block_{name_of_method}"] = made
    for field in fields:
        if field.is_absent(version):
            members[_attribute(field)] = _absent_property(field)
            continue
        nested = None
        if field.composite is not None:
            nested = _composite_view(field.composite, message, f"{path}{field.name}.", base + field.offset)
        getter = make_getter(field, dialect, nested)
        if field.kind == "chars" and field.presence != "constant":
            getter = _guarded(getter, field)
        assignable = field.composite is None and field.presence != "constant"
        members[_attribute(field)] = property(getter, make_setter(field, dialect, _refuse) if assignable else None)
    return members


def _composite_view(layout: CompositeLayout, message: str, path: str, base: int) -> type[SbeView]:
    return type(layout.name, (SbeView,), block_members(layout.name, layout.fields, message, path, base))
