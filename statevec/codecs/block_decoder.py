"""Functions that unpack a whole block at once, into a dict or a tuple: the fast way to read a whole message.

A function's source is generated: one precompiled `struct.unpack_from` of the whole block, then one dict or tuple
display with the conversions in place. Calling a property for each field costs several times as much.

Invariant: values stand in the block's order, composites as dicts (tuples) of their own; enums by name, sets as lists
of names, arrays as lists. What has no name (an unlisted enum value, a set with unnamed bits) is an int.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from statevec.codecs.field_codec import BYTE_ORDER_CODE, Dialect, FieldCodec
from statevec.codecs.layout import LAST_VERSION, FieldLayout, SetLayout

MAX_ELEMENTS = 16
"""Longer arrays are unpacked from their bytes in a second step, so that the source does not grow with them."""


def _choice_names(layout: SetLayout) -> Callable[[int], Any]:
    known: dict[int, tuple[str, ...]] = {0: ()}
    mask = sum(1 << bit for _, bit in layout.choices)

    def names(raw: int) -> Any:
        found = known.get(raw)
        if found is None:
            if raw & ~mask:
                return raw
            found = tuple(name for name, bit in layout.choices if raw >> bit & 1)
            if len(known) < 1024:  # sets in use have few values; a hostile one must not fill memory
                known[raw] = found
        return list(found)

    return names


def plain_constant(field: FieldLayout) -> Any:
    """A constant as whole blocks show it: enum values by name."""
    if field.enum is not None:
        return {value: name for name, value in field.enum.values}.get(field.constant, field.constant)  # type: ignore[arg-type]
    return field.constant


class _Generator:
    """Collects the struct code, the expression and the objects that the expression names."""

    def __init__(self, dialect: Dialect, named: bool) -> None:
        self.dialect = dialect
        self.named = named
        self.code = ""
        self.end = 0
        self.variables: list[str] = []
        self.scope: dict[str, Any] = {"NUL": b"\0"}

    def _bind(self, value: Any) -> str:
        name = f"object{len(self.scope)}"
        self.scope[name] = value
        return name

    def block(self, fields: tuple[FieldLayout, ...], base: int, version: int = LAST_VERSION) -> str:
        values = [
            (each.name, repr(absent_value(each)) if each.is_absent(version) else self.field(each, base))
            for each in fields
        ]
        if self.named:
            return "{" + ", ".join(f"{name!r}: {value}" for name, value in values) + "}"
        return "(" + "".join(f"{value}, " for _, value in values) + ")"

    def field(self, field: FieldLayout, base: int) -> str:
        """The expression of a field's value."""
        if field.composite is not None:
            return self.block(field.composite.fields, base + field.offset)
        if field.presence == "constant":
            return repr(plain_constant(field))
        codec = FieldCodec(field, self.dialect)
        if codec.field.size == 0:
            return "''" if field.kind == "chars" else "[]"
        whole = field.kind == "array" and field.length > MAX_ELEMENTS
        self.code += f"{base + field.offset - self.end}x{f'{field.size}s' if whole else codec.code}"
        self.end = base + field.end
        count = field.length if field.kind == "array" and not whole else 1
        names = [f"raw{len(self.variables) + number}" for number in range(count)]
        self.variables.extend(names)
        return self._value(field, codec, names)

    def _value(self, field: FieldLayout, codec: FieldCodec, names: list[str]) -> str:
        raw = names[0]
        if field.kind == "array" and field.length > MAX_ELEMENTS:
            return f"[*{self._bind(codec.struct.unpack)}({raw})]"
        if field.kind == "array":
            return f"[{', '.join(names)}]"
        if field.kind == "chars":
            # text without NUL, the usual one, needs no new bytes object
            cut = f"({raw}.partition(NUL)[0] if 0 in {raw} else {raw})"
            return f"{cut}.decode({field.encoding!r})"
        if field.kind == "set":
            assert field.choices is not None
            return f"{self._bind(_choice_names(field.choices))}({raw})"
        if field.kind == "enum":
            assert field.enum is not None
            table: dict[Any, Any] = {value: name for name, value in field.enum.values}
            if codec.optional:
                table.setdefault(codec._null(), None)
            return f"{self._bind(table.get)}({raw}, {raw})"
        if not codec.optional:
            return f"bool({raw})" if field.kind == "bool" else raw
        null = codec._null()
        if null != null:
            return f"{raw} if {raw} == {raw} else None"
        return f"None if {raw} == {null!r} else {raw}"


def absent_value(field: FieldLayout) -> Any:
    """What a field reads as, in a whole block, when the message is older than it."""
    return {"set": [], "chars": ""}.get(field.kind)


def make_block_decoder(
    fields: tuple[FieldLayout, ...], dialect: Dialect, named: bool, version: int = LAST_VERSION
) -> Callable[[Any, int], Any]:
    """The function (buffer, offset of the block) -> dict of all its fields, or tuple if not `named`.

    The block is one of that version: what it lacks reads as null, and no byte of it is looked at.
    """
    generator = _Generator(dialect, named)
    # offsets only grow: within a block by the schema's rules, and a composite is written where it stands
    expression = generator.block(fields, 0, version)
    scope = generator.scope
    scope["unpack"] = _struct(fields, generator).unpack_from
    targets = f"{', '.join(generator.variables)}, = unpack(buffer, offset)" if generator.variables else "pass"
    exec(f"def decode(buffer, offset):\n    {targets}\n    return {expression}\n", scope)
    decode: Callable[[Any, int], Any] = scope["decode"]
    return decode


def _struct(fields: tuple[FieldLayout, ...], generator: _Generator) -> struct.Struct:
    order = BYTE_ORDER_CODE[fields[0].byte_order] if fields else "<"
    return struct.Struct(order + generator.code)


def make_block_reader(
    fields: tuple[FieldLayout, ...], dialect: Dialect, version: int = LAST_VERSION
) -> Callable[[Any, int], tuple[Any, ...]]:
    """The function (buffer, offset of the block) -> all that `struct` finds in it, nothing converted."""
    generator = _Generator(dialect, named=False)
    generator.block(fields, 0, version)
    return _struct(fields, generator).unpack_from
