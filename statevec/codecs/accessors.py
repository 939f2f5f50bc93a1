"""Python views of one block: a class with a property for each field, over any buffer, without copying.

`make_block_class` is the ground of both kinds: `flyweight` adds what people need of an SBE message, `view_class`
is the interpreted twin of `native.StructType`, with the same values, checks and faults as compiled code:

    Row = view_class("Position", fields, writable=True)
    row = Row(memory, offset)          # memory: a memoryview, bytearray or bytes; offset of the block's first byte
    row.quantity, row.quantity = 5     # ValueOutOfRange; ReadOnly; TypeError for a float into an integer field

Invariants
    A view holds the buffer and an offset, nothing else. It checks no bounds of its own beyond those of `struct`, which
    refuses what lies outside the buffer.
    A store checks the value before it writes a byte.

The buffer belongs to whoever gave it; a crash between two stores leaves the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from statevec.codecs.field_codec import Dialect, FieldCodec
from statevec.codecs.layout import CompositeLayout, FieldLayout
from statevec.ipc.faults import ReadOnly, ValueOutOfRange


class BlockView:
    """A block in a buffer. `_offset` is that of the block's first byte."""

    __slots__ = ("_buffer", "_offset")
    _layouts: tuple[FieldLayout, ...] = ()
    _name = ""

    def __init__(self, buffer: Any, offset: int = 0) -> None:
        self._buffer = buffer
        self._offset = offset

    def __repr__(self) -> str:
        values = ", ".join(f"{each.attribute}={getattr(self, each.attribute)!r}" for each in self._layouts)
        return f"{self._name}({values})"


def constant_value(field: FieldLayout, dialect: Dialect) -> Any:
    """What reading a constant field gives."""
    if field.enum is not None:
        return FieldCodec(field, dialect).decode(field.constant)
    if isinstance(field.constant, str) and not dialect.text_as_str:
        return field.constant.encode(field.encoding)
    return field.constant


def make_getter(field: FieldLayout, dialect: Dialect, nested: Any) -> Callable[[Any], Any]:
    """The function behind reading the property; `nested` is the view class of a composite."""
    offset = field.offset
    if nested is not None:
        return lambda view: nested(view._buffer, view._offset + offset)
    if field.presence == "constant":
        value = constant_value(field, dialect)
        return lambda view: value
    codec = FieldCodec(field, dialect)
    unpack, decode = codec.struct.unpack_from, codec.decode
    if field.kind == "array":
        return lambda view: unpack(view._buffer, view._offset + offset)
    if decode.__name__ == "_same":
        return lambda view: unpack(view._buffer, view._offset + offset)[0]
    return lambda view: decode(unpack(view._buffer, view._offset + offset)[0])


def make_setter(
    field: FieldLayout, dialect: Dialect, refuse: Callable[[Any, FieldLayout], NoReturn]
) -> Callable[[Any, Any], None]:
    """The function behind assigning the property; `refuse` raises for a buffer that cannot be written."""
    offset = field.offset
    codec = FieldCodec(field, dialect)
    pack, encode = codec.struct.pack_into, codec.encode
    if field.kind == "array":

        def assign_array(view: Any, value: Any) -> None:
            raw = encode(value)
            try:
                pack(view._buffer, view._offset + offset, *raw)
            except TypeError:
                refuse(view, field)

        return assign_array

    def assign(view: Any, value: Any) -> None:
        raw = encode(value)
        try:
            pack(view._buffer, view._offset + offset, raw)
        except TypeError:  # the value has been checked, so it is the buffer
            refuse(view, field)

    return assign


class HandlerDialect(Dialect):
    """Values as compiled handlers see them: text as bytes, u64 as signed bits, faults."""

    text_as_str = False
    signed_u64 = True
    names_accepted = False

    def out_of_range(self, field: FieldLayout, value: Any, rule: str) -> NoReturn:
        raise ValueOutOfRange(f"{field.name}: {rule}")

    def wrong_type(self, field: FieldLayout, value: Any, rule: str) -> NoReturn:
        raise TypeError(f"{field.name}: {rule}")


HANDLER = HandlerDialect()


def refuse_assignment(name: str) -> Callable[[Any, FieldLayout], NoReturn]:
    """What raises ReadOnly for an assignment to a field of a view that only reads."""

    def refuse(view: Any, field: FieldLayout) -> NoReturn:
        raise ReadOnly(f"record {name} was only read, so '{field.attribute}' cannot be assigned")

    return refuse


def view_class(
    name: str, fields: Iterable[FieldLayout], writable: bool, base: type[BlockView] = BlockView
) -> type[BlockView]:
    """The interpreted twin of `StructType(name, key, fields, writable)`; see the module's docstring.

    `base` may be a subclass of `BlockView` with further attributes of its own (and `__slots__`).
    """
    layouts = tuple(fields)
    refuse = refuse_assignment(name)
    members: dict[str, Any] = {"__slots__": (), "_layouts": layouts, "_name": name, "__module__": __name__}
    for field in layouts:
        composite: CompositeLayout | None = field.composite
        nested = view_class(f"{name}.{field.name}", composite.fields, writable) if composite is not None else None
        getter = make_getter(field, HANDLER, nested)
        members[field.attribute] = property(getter, _setter(name, field, writable, refuse))
    return type(name, (base,), members)


def _setter(
    name: str, field: FieldLayout, writable: bool, refuse: Callable[[Any, FieldLayout], NoReturn]
) -> Callable[[Any, Any], None]:
    rule = ""
    if field.presence == "constant":
        rule = f"'{field.attribute}' of {name} is a constant"
    elif field.composite is not None:
        rule = f"'{field.attribute}' of {name} is a composite: assign its members"

    def assign_never(view: Any, value: Any) -> None:
        if not writable:
            refuse(view, field)
        raise TypeError(rule)

    if rule or not writable:
        return assign_never
    return make_setter(field, HANDLER, refuse)
