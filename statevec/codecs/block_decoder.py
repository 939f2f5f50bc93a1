"""Functions that unpack a whole block at once, into a dict or a tuple: the fast way to read a whole message.

A function's source is generated: one precompiled `struct.unpack_from` of the whole block, then one dict or tuple
display with the conversions in place. Calling a property for each field costs several times as much. CPython makes a
dict of its final size only from a display of up to 15 names, so what comes behind them is assigned.

Invariant: values stand in the block's order, composites as dicts (tuples) of their own; enums by name, sets as lists
of names, arrays as lists. What has no name (an unlisted enum value, a set with unnamed bits) is an int.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from statevec.codecs.field_codec import BYTE_ORDER_CODE, Dialect, FieldCodec
from statevec.codecs.layout import LAST_VERSION, FieldLayout, SetLayout

MAX_DISPLAY = 15
"""Names in one dict display: more of them make CPython add one by one to an empty dict, at half the speed."""
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

    def values(self, fields: tuple[FieldLayout, ...], base: int, version: int) -> list[tuple[str, str]]:
        """Names and expressions of the fields of a block that begins at `base`."""
        return [
            (each.name, repr(absent_value(each)) if each.is_absent(version) else self.field(each, base))
            for each in fields
        ]

    def display(self, values: list[tuple[str, str]]) -> str:
        """The expression of a dict, or of a tuple."""
        if self.named:
            return "{" + ", ".join(f"{name!r}: {value}" for name, value in values) + "}"
        return "(" + "".join(f"{value}, " for _, value in values) + ")"

    def field(self, field: FieldLayout, base: int) -> str:
        """The expression of a field's value."""
        if field.composite is not None:
            return self.display(self.values(field.composite.fields, base + field.offset, LAST_VERSION))
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


def _body(generator: _Generator, fields: tuple[FieldLayout, ...], version: int, place: str) -> list[str]:
    """The lines that unpack the block at `place` (buffer and offset) and return its values."""
    # offsets only grow: within a block by the schema's rules, and a composite is written where it stands
    values = generator.values(fields, 0, version)
    generator.scope["unpack"] = _struct(fields, generator).unpack_from
    lines = [f"{', '.join(generator.variables)}, = unpack({place})"] if generator.variables else []
    if not generator.named or len(values) <= MAX_DISPLAY:
        return [*lines, f"return {generator.display(values)}"]
    lines.append(f"made = {generator.display(values[:MAX_DISPLAY])}")
    lines += [f"made[{name!r}] = {value}" for name, value in values[MAX_DISPLAY:]]
    return [*lines, "return made"]


def make_block_decoder(
    fields: tuple[FieldLayout, ...], dialect: Dialect, named: bool, version: int = LAST_VERSION
) -> Callable[[Any, int], Any]:
    """The function (buffer, offset of the block) -> dict of all its fields, or tuple if not `named`.

    The block is one of that version: what it lacks reads as null, and no byte of it is looked at.
    """
    generator = _Generator(dialect, named)
    lines = _body(generator, fields, version, "buffer, offset")
    exec("def decode(buffer, offset):\n" + "".join(f"    {line}\n" for line in lines), generator.scope)
    decode: Callable[[Any, int], Any] = generator.scope["decode"]
    return decode


def make_block_method(
    fields: tuple[FieldLayout, ...], dialect: Dialect, named: bool, version: int = LAST_VERSION
) -> Callable[[Any], Any]:
    """The same as a method of a view, so that a whole block costs one call. Text that is none becomes the view's
    `_text_error`.
    """
    generator = _Generator(dialect, named)
    lines = _body(generator, fields, version, "view._buffer, view._offset")
    source = "def decode(view):\n    try:\n" + "".join(f"        {line}\n" for line in lines)
    source += "    except UnicodeDecodeError as error:\n        raise view._text_error() from error\n"
    exec(source, generator.scope)
    decode: Callable[[Any], Any] = generator.scope["decode"]
    return decode


def _struct(fields: tuple[FieldLayout, ...], generator: _Generator) -> struct.Struct:
    order = BYTE_ORDER_CODE[fields[0].byte_order] if fields else "<"
    return struct.Struct(order + generator.code)


def make_block_reader(
    fields: tuple[FieldLayout, ...], dialect: Dialect, version: int = LAST_VERSION
) -> Callable[[Any, int], tuple[Any, ...]]:
    """The function (buffer, offset of the block) -> all that `struct` finds in it, nothing converted."""
    generator = _Generator(dialect, named=False)
    generator.values(fields, 0, version)
    return _struct(fields, generator).unpack_from
